# SPDX-License-Identifier: MIT
"""What the toolstack's tests share: a place of their own, a mediator, a plugin run as XAPI does."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree as ET
import xmlrpc.client

import xapi_server

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('VG_BUILD', os.path.join(TOP, 'build/release')))
VM = '11111111-2222-3333-4444-555555555555'
OTHER = '11111111-2222-3333-4444-666666666666'
HOST = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Answer:
    """What came back: .ok with .value, or .error, a list."""

    def __init__(self, status, stdout, stderr, seconds):
        self.status, self.stdout, self.stderr, self.seconds = status, stdout, stderr, seconds
        self.ok = self.value = self.error = None
        if status == 0:
            self.parse()

    def parse(self):
        """As strict as XAPI: no attributes, members of two, the value a string."""
        root = ET.fromstring(self.stdout.decode('utf-8'))
        assert all(not e.attrib for e in root.iter()), 'attributes'
        assert root.tag == 'methodResponse' and root[0].tag == 'params', self.stdout
        struct = root[0][0][0][0]
        members = {m[0].text: m[1] for m in struct}
        assert list(members) == ['Status', 'Value' if members['Status'][0].text == 'Success'
                                 else 'ErrorDescription'], self.stdout
        if members['Status'][0].text == 'Success':
            self.ok = True
            assert members['Value'][0].tag == 'string'
            text = members['Value'][0].text
            assert '\n' not in text, text
            self.value = json.loads(text)
            self.same_bytes({'Status': 'Success', 'Value': text})
        else:
            self.ok = False
            self.error = [v[0].text or '' for v in members['ErrorDescription'][0][0]]
            assert self.error and self.error[0], self.stdout
            self.same_bytes({'Status': 'Failure', 'ErrorDescription': self.error})

    def same_bytes(self, struct):
        """Plugins in Python print exactly this."""
        python = xmlrpc.client.dumps((struct,), methodresponse=True)
        assert self.stdout.decode() == python + '\n', (self.stdout, python)


class Case(unittest.TestCase):
    """A work directory, a fake XAPI and a fake xenstore; subclasses want a mediator or not."""
    mediator_wanted = True
    has_vm_call = True
    deadline_ms = '60000'           # a busy machine is no failure

    @classmethod
    def setUpClass(cls):
        cls.class_work = tempfile.mkdtemp(prefix='vgpu-xapi.')
        cls.mediator = None
        if cls.mediator_wanted:
            cls.mediator_start()

    @classmethod
    def tearDownClass(cls):
        cls.mediator_stop()
        shutil.rmtree(cls.class_work)

    @classmethod
    def mediator_start(cls):
        cls.control = cls.class_work + '/control.sock'
        with open(cls.class_work + '/mediator.log', 'ab') as log:
            cls.mediator = subprocess.Popen(
                [BUILD + '/bin/vgpu-mediator', '--foreground', '--config', '/dev/null', '--socket',
                 cls.class_work + '/mediator.sock', '--control-socket', cls.control, '--backend',
                 'soft', '--set', 'state_dir=', '--set', 'prestart=0'], stderr=log)
        assert within(20, lambda: os.path.exists(cls.control)), 'no mediator'

    @classmethod
    def mediator_stop(cls):
        if cls.mediator:
            cls.mediator.terminate()
            cls.mediator.wait()
            cls.mediator = None

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix='vgpu-xapi.')
        self.addCleanup(shutil.rmtree, self.work, True)
        self.xs = self.work + '/xs'
        os.mkdir(self.xs)
        self.xapi = xapi_server.Server(self.work + '/xapi', self.has_vm_call)
        self.addCleanup(self.stop_xapi)
        self.vm = self.xapi.add_vm(VM, 'web', domid='7')
        self.xapi.hosts['OpaqueRef:host-1'] = dict(uuid=HOST, name_label='h1', other_config={},
                                                   tags=[])
        self.control_path = getattr(self, 'control', self.work + '/control.sock')

    def stop_xapi(self):
        if os.path.exists(self.xapi.path):
            self.xapi.stop()

    # ---- xenstore ----

    def xs_put(self, path, value):
        os.makedirs(self.xs + path, exist_ok=True)
        with open(self.xs + path + '/.value', 'w') as f:
            f.write(value)

    def xs_get(self, path):
        try:
            with open(self.xs + path + '/.value') as f:
                return f.read()
        except FileNotFoundError:
            return None

    def add_domain(self, domid=7, uuid=VM):
        self.xs_put('/vm/%s/domains/%d' % (uuid, domid), '')
        self.xs_put('/local/domain/%d/vm' % domid, '/vm/' + uuid)

    # ---- programs ----

    def environment(self):
        return {'PATH': '/sbin:/usr/sbin:/bin:/usr/bin', 'FAKE_XENSTORE': self.xs,
                'LD_LIBRARY_PATH': BUILD + '/tests/xenstore', 'VGPU_XAPI_SOCKET': self.xapi.path,
                'VGPU_CONTROL_SOCKET': self.control_path, 'VGPU_PLUGIN_LOCK': self.work + '/lock',
                'VGPU_PLUGIN_CONF': self.work + '/plugin.conf',
                'VGPU_PLUGIN_DEADLINE_MS': self.deadline_ms}

    def start(self, argument, **env):
        """Descriptors, session and directory as XAPI's forkexecd gives them."""
        out = tempfile.TemporaryFile(dir=self.work)
        err = tempfile.TemporaryFile(dir=self.work)
        null = os.open('/dev/null', os.O_WRONLY)
        process = subprocess.Popen(
            [BUILD + '/bin/vgpu', argument], stdin=null, stdout=out, stderr=err,
            env=dict(self.environment(), **env), cwd='/', start_new_session=True)
        os.close(null)
        process.files = out, err
        process.began = time.monotonic()
        return process

    def finish(self, process):
        status = process.wait(60)
        seconds = time.monotonic() - process.began
        texts = []
        for f in process.files:
            f.seek(0)
            texts.append(f.read())
            f.close()
        return Answer(status, texts[0], texts[1], seconds)

    def raw(self, argument, **env):
        answer = self.finish(self.start(argument, **env))
        self.assertEqual(answer.status, 0, answer.stderr)
        self.assertEqual(answer.stderr, b'')
        return answer

    def call(self, function, session='root', **args):
        return self.raw(xapi_server.call(function, 'OpaqueRef:' + session, args))

    def good(self, function, session='root', **args):
        answer = self.call(function, session, **args)
        self.assertTrue(answer.ok, answer.error)
        return answer.value

    def bad(self, function, session='root', **args):
        answer = self.call(function, session, **args)
        self.assertFalse(answer.ok, answer.value)
        return answer.error

    def platform(self):
        return self.xapi.vms[self.vm]['platform']

    def writes(self):
        return [c for c in self.xapi.calls if c[0].endswith('_platform') and '.get_' not in c[0]]
