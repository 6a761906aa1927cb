#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 120
"""xenopsd's hooks and what a host publishes: run as xenopsd runs them, beside a XAPI that may fail."""
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, HOST, OTHER, TOP, VM, Case           # noqa: E402

CLOUD = 'cccccccc-2222-3333-4444-555555555555'
TREE = '/vgpu/vm/' + VM


class Hooks(Case):
    mediator_wanted = False

    def environment(self):
        return dict(super().environment(), VGPU_VM_HOOK=self.program, VGPU_QMP_DIR=self.work)

    def setUp(self):
        super().setUp()
        self.program = BUILD + '/bin/vgpu-vm-hook'
        self.xapi.vms[self.vm]['other_config'].update(
            gpu_enabled='true', gpu_weight='80', gpu_pool='B', vm_uuid=CLOUD.upper(), folder='x')

    def hook(self, name, reason='none', uuid=VM, more=()):
        """The arguments of xenops_hooks.ml."""
        script = '%s/xapi.d/%s/50-vgpu' % (self.work, name)
        os.makedirs(os.path.dirname(script), exist_ok=True)
        shutil.copy(TOP + '/xapi-plugin/hook/50-vgpu', script)
        done = subprocess.run([script, '-vmuuid', uuid, '-reason', reason] + list(more),
                              env=self.environment(), cwd='/', stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.said = (done.stdout + done.stderr).decode()
        return done.returncode

    def tree(self, uuid=VM):
        names = sorted(n for n in os.listdir(self.xs + '/vgpu/vm/' + uuid) if n[0] != '.')
        return {n: self.xs_get('/vgpu/vm/%s/%s' % (uuid, n)) for n in names}

    def test_carries(self):
        wanted = dict(gpu_enabled='true', gpu_weight='80', gpu_pool='B', identity=CLOUD)
        for name, reason, more in (('vm-pre-start', 'none', ()),
                                   ('vm-pre-resume', 'none', ('-vmdomid', '7')),
                                   ('vm-post-migrate', 'destination', ('-vmdomid', '7'))):
            shutil.rmtree(self.xs + '/vgpu', ignore_errors=True)
            self.assertEqual(self.hook(name, reason, more=more), 0, self.said)
            self.assertEqual(self.tree(), wanted)
        for node in ('/vgpu', '/vgpu/vm', TREE):
            with open(self.xs + node + '/.perms') as f:
                self.assertEqual(f.read(), '1 0 0', node)       # Dom0's, nobody else's
        self.assertEqual(len(self.xapi.sessions), 5)            # none of ours is left

    def test_replaces_and_forgets(self):
        self.xs_put(TREE + '/gpu_rate', '5')
        self.assertEqual(self.hook('vm-pre-start'), 0)
        self.assertNotIn('gpu_rate', self.tree())
        self.add_domain()
        self.assertEqual(self.hook('vm-post-destroy', 'suspend'), 0)
        self.assertIn('gpu_pool', self.tree())                  # it runs here again
        shutil.rmtree(self.xs + '/vm')
        self.assertEqual(self.hook('vm-post-destroy', 'clean-shutdown'), 0)
        self.assertFalse(os.path.exists(self.xs + TREE))
        self.assertEqual(self.hook('vm-post-destroy', 'clean-shutdown'), 0)

    def test_nothing_to_carry(self):
        self.xapi.vms[self.vm]['other_config'] = {'folder': 'x'}
        self.assertEqual(self.hook('vm-pre-start'), 0)
        self.assertFalse(os.path.exists(self.xs + '/vgpu'))

    def test_identity_survives_a_new_xapi_vm(self):
        self.hook('vm-pre-start')
        self.xapi.add_vm(OTHER, 'i-2-9-VM', other_config=dict(vm_uuid=CLOUD, gpu_enabled='true'))
        self.assertEqual(self.hook('vm-pre-start', uuid=OTHER), 0)
        self.assertEqual(self.tree(OTHER)['identity'], CLOUD)

    def test_identity_of_a_running_vm_is_not_taken(self):
        self.hook('vm-pre-start')
        self.add_domain()
        self.xapi.add_vm(OTHER, 'copy', other_config=dict(vm_uuid=CLOUD, gpu_enabled='true'))
        self.assertEqual(self.hook('vm-pre-start', uuid=OTHER), 0)
        self.assertEqual(self.tree(OTHER), dict(gpu_enabled='true'))

    def test_what_cannot_be_carried(self):
        self.xapi.vms[self.vm]['other_config'] = {
            'gpu_weight': '900', 'gpu_a.b': '1', 'gpu_../../x': '1', 'gpu_pool': 'p' * 300,
            'gpu_rate': 'a\nb', 'gpu_enabled': None, 'gpu_memory_mib': {'x': 'y'}, 'vm_uuid': 'i-2-9-VM'}
        self.assertEqual(self.hook('vm-pre-start'), 0)
        self.assertEqual(self.tree(), dict(gpu_weight='900'))   # the watcher says what is wrong
        self.xapi.vms[self.vm]['other_config'] = {'gpu_%d' % i: str(i) for i in range(100)}
        self.assertEqual(self.hook('vm-pre-start'), 0)
        self.assertEqual(len(self.tree()), 24)

    def test_trouble_is_never_worse_than_1(self):
        for how in ('close', 'garbage', 'empty', 'fault', 'doctype', 'untyped'):
            self.xapi.behave['*'] = how
            self.assertEqual(self.hook('vm-pre-start'), 1, how)
        self.xapi.behave = {'VM.get_other_config': 'hang'}
        self.assertEqual(self.hook('vm-pre-start'), 1)
        self.xapi.behave = {}
        self.assertEqual(self.hook('vm-pre-start', uuid='nonsense'), 1)
        self.assertEqual(self.hook('vm-pre-start', uuid=OTHER), 1)
        self.assertEqual(self.hook('vm-other'), 1)
        self.xs_put(TREE + '/gpu_rate', '5')
        self.xapi.stop()
        self.assertEqual(self.hook('vm-pre-start'), 1)
        self.assertEqual(self.tree(), dict(gpu_rate='5'))       # what is known stays
        shutil.rmtree(self.xs)
        self.assertEqual(self.hook('vm-pre-start'), 1)

    def test_a_program_that_is_gone_or_broken(self):
        self.program = self.work + '/none'
        self.assertEqual(self.hook('vm-pre-start'), 0)
        for script in ('#!/bin/sh\nexit 7', '#!/bin/sh\nkill -SEGV $$', '#!/no/such/interpreter',
                       'not a program'):
            self.program = self.work + '/broken'
            with open(self.program, 'w') as f:
                f.write(script + '\n')
            os.chmod(self.program, 0o755)
            self.assertEqual(self.hook('vm-pre-start'), 1, script)

    def qemu(self, answers, device='vgpu-stub,addr=1e'):
        """A process that looks like QEMU, and its end of libxl's socket, which takes down what it hears."""
        self.add_domain()
        process = subprocess.Popen(['/bin/sh', '-c', 'read x', 'qemu-dm-7', '-device', device],
                                   stdin=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.xs_put('/local/domain/7/qemu-pid', str(process.pid))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.work + '/qmp-libxl-7')
        listener.listen(1)
        heard = []

        def serve():
            peer = listener.accept()[0]
            peer.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\r\n')
            with peer.makefile('r') as lines:
                for answer in answers:
                    heard.append(json.loads(lines.readline()))
                    peer.sendall(answer)
                lines.readline()
            peer.close()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(listener.close)
        return heard

    def test_a_migration_is_announced_to_qemu(self):
        ok = b'{"return": {}}\r\n'
        heard = self.qemu([ok, b'{"event": "RTC_CHANGE", "data": {}}\r\n' + ok])
        self.assertEqual(self.hook('vm-pre-migrate', 'source', more=('-vmdomid', '7')), 0, self.said)
        self.assertEqual(heard, [{'execute': 'qmp_capabilities'},
                                 {'execute': 'qom-set', 'arguments': {
                                     'path': '/machine', 'property': 'vgpu-leaving', 'value': True}}])

    def test_an_older_device_hears_of_it_in_other_words(self):
        ok = b'{"return": {}}\r\n'
        no = b'{"error": {"class": "GenericError", "desc": "Property \'.vgpu-leaving\' not found"}}\r\n'
        heard = self.qemu([ok, no, ok])
        self.assertEqual(self.hook('vm-pre-migrate', 'source'), 0, self.said)
        self.assertEqual(heard[2], {'execute': 'xen-set-global-dirty-log', 'arguments': {'enable': True}})

    def test_a_qemu_that_refuses_or_hangs_is_told_of(self):
        no = b'{"error": {"class": "GenericError", "desc": "a program of this VM uses the GPU"}}\r\n'
        heard = self.qemu([b'{"return": {}}\r\n', no])
        self.assertEqual(self.hook('vm-pre-migrate', 'source'), 1)
        self.assertIn('domain 7', self.said)
        self.assertEqual(len(heard), 2)
        self.assertEqual(self.hook('vm-pre-migrate', 'source'), 1)      # it hears nobody any more

    def test_a_qemu_without_the_device_is_left_alone(self):
        self.assertEqual(self.hook('vm-pre-migrate', 'source'), 0)      # no domain
        heard = self.qemu([], 'e1000')
        self.assertEqual(self.hook('vm-pre-migrate', 'source'), 0)
        self.assertEqual(heard, [])

    def test_xenstore_hangs(self):
        open(self.xs + '/.hang', 'w').close()
        self.assertEqual(self.hook('vm-pre-start'), 1)


class Publish(Case):
    def setUp(self):
        super().setUp()
        self.host = self.xapi.hosts['OpaqueRef:host-1']
        self.inventory = self.work + '/inventory'
        with open(self.inventory, 'w') as f:
            f.write("PRODUCT_BRAND='XCP-ng'\nINSTALLATION_UUID='%s'\n" % HOST)

    def publish(self):
        done = subprocess.run([BUILD + '/bin/vgpu-publish'],
                              env=dict(self.environment(), VGPU_INVENTORY=self.inventory),
                              stderr=subprocess.PIPE, timeout=60)
        self.said = done.stderr.decode()
        return done.returncode

    def changes(self):
        return [c for c in self.xapi.calls if c[0].startswith('host.') and '.get_' not in c[0]]

    def test_says_what_there_is(self):
        self.host['other_config']['theirs'] = 'x'
        self.good('register', vm_uuid=VM, memory_mib='512')
        self.add_domain()
        self.good('register', vm_uuid=VM, memory_mib='512')
        self.assertEqual(self.publish(), 0, self.said)
        said = self.host['other_config']
        self.assertEqual((said['vgpu_status'], said['vgpu_backend'], said['vgpu_vms'],
                          said['vgpu_memory_reserved_mib'], said['theirs']),
                         ('ok', 'soft', '1', '512', 'x'))
        total, left = int(said['vgpu_memory_mib']), int(said['vgpu_memory_free_mib'])
        self.assertGreaterEqual(total, 256)
        self.assertTrue(0 < left <= total and left % 256 == 0, (total, left))
        self.assertEqual(self.host['tags'], ['vgpu'])
        before = len(self.changes())
        self.assertEqual(self.publish(), 0)
        self.assertEqual(len(self.changes()), before)           # nothing new, nothing written

    def test_without_a_mediator(self):
        self.host['tags'] = ['theirs', None, 'vgpu']
        self.control_path = self.work + '/none'
        self.assertEqual(self.publish(), 0)
        self.assertEqual(self.host['other_config']['vgpu_status'], 'down')
        self.assertEqual(self.host['other_config']['vgpu_memory_free_mib'], '0')
        self.assertEqual(self.host['tags'], ['theirs', None])

    def test_trouble(self):
        self.xapi.behave['host.add_tags'] = 'fail:DB_UNIQUENESS_CONSTRAINT_VIOLATION'
        self.assertEqual(self.publish(), 1)
        self.assertIn('DB_UNIQUENESS', self.said)
        with open(self.inventory, 'w') as f:
            f.write("INSTALLATION_UUID='x'\n")
        self.assertEqual(self.publish(), 1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
