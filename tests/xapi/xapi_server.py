# SPDX-License-Identifier: MIT
"""A XAPI for tests: its XML-RPC byte for byte, on a Unix socket, over a small database.

It answers what the plugin, the hook and the publisher ask, with sessions and roles, and
misbehaves on request: Server.behave["VM.add_to_platform"] = "hang" and so on.
"""
import os
import re
import socket
import threading

HEAD = '<?xml version="1.0"?>'


def escape(text):
    """XAPI's serializer: four entities, control characters dropped."""
    text = ''.join(c for c in text if c >= ' ' or c in '\t\n\r')
    for c, e in (('&', '&amp;'), ('>', '&gt;'), ('<', '&lt;'), ('"', '&quot;')):
        text = text.replace(c, e)
    return text


def value(v):
    if v is True or v is False:
        return '<value><boolean>%d</boolean></value>' % v
    if isinstance(v, dict):
        if not v:
            return '<value><struct/></value>'
        members = ''.join('<member>%s%s</member>' % (
            '<name>%s</name>' % escape(k) if k else '<name/>', value(x)) for k, x in v.items())
        return '<value><struct>%s</struct></value>' % members
    if isinstance(v, (list, tuple)):
        inner = '<data>%s</data>' % ''.join(map(value, v)) if v else '<data/>'
        return '<value><array>%s</array></value>' % inner
    if v is None:
        return '<value><nil/></value>'
    return '<value>%s</value>' % escape(v) if v else '<value/>'


def call(function, session, args):
    """What XAPI passes to a plugin as its one argument."""
    return ('<methodCall><methodName>%s</methodName><params><param>%s</param><param>%s</param>'
            '</params></methodCall>' % (escape(function), value(session), value(args)))


class Failure(Exception):
    pass


def params_of(body):
    """The parameters of a methodCall: strings and maps of strings, XAPI's untyped form only."""
    import xml.etree.ElementTree as ET
    root = ET.fromstring(body)
    assert root.tag == 'methodCall', body
    assert [c.tag for c in root] == ['methodName', 'params'], body

    def parse(v):
        assert v.tag == 'value', body
        if len(v) == 0:
            return v.text or ''
        assert len(v) == 1 and v[0].tag == 'struct', body
        return {m[0].text or '': parse(m[1]) for m in v[0]}

    return root[0].text, [parse(p[0]) for p in root[1]]


class Server:
    """Records: self.vms[ref], self.hosts[ref]; sessions: self.sessions[ref]."""

    def __init__(self, path, has_vm_call=True):
        self.path = path
        self.has_vm_call = has_vm_call
        self.vms, self.hosts = {}, {}
        self.master = 'OpaqueRef:host-1'
        self.sessions = {
            'OpaqueRef:root': dict(pool=False, superuser=True, permissions=[]),
            'OpaqueRef:pool': dict(pool=True, superuser=True, permissions=[]),
            'OpaqueRef:admin': dict(pool=False, superuser=False,
                                    permissions=['host.call_plugin', 'vm.add_to_platform',
                                                 'vm.remove_from_platform']),
            'OpaqueRef:vmadmin': dict(pool=False, superuser=False,
                                      permissions=['vm.add_to_platform',
                                                   'vm.remove_from_platform']),
            'OpaqueRef:operator': dict(pool=False, superuser=False, permissions=[]),
        }
        self.behave = {}
        self.calls = []             # (method, params without the session)
        self.plugin = lambda function, args: '{}'     # what call_plugin runs: f(function, args) -> text
        self.lock = threading.Lock()
        self.socket = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(64)
        threading.Thread(target=self.accept, args=(self.socket,), daemon=True).start()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        os.unlink(self.path)

    def accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    # ---- HTTP ----

    def serve(self, conn):
        with conn, conn.makefile('rb') as f:
            while True:
                line = f.readline()
                if not line:
                    return
                assert re.match(rb'POST / HTTP/1\.[01]\r\n', line), line
                length = 0
                while True:
                    header = f.readline().strip().lower()
                    if not header:
                        break
                    assert not header.startswith(b'expect'), header
                    if header.startswith(b'content-length:'):
                        length = int(header.split(b':')[1])
                if not self.answer(conn, f.read(length)):
                    return

    def answer(self, conn, body):
        method, params = params_of(body)
        how = self.behave.get(method, self.behave.get('*', ''))
        if how == 'hang':
            threading.Event().wait(30)
            return False
        if how == 'close':
            return False
        text = (HEAD + '<methodResponse><params><param>%s</param></params></methodResponse>' %
                value(self.result(method, params))).encode()
        if how == 'garbage':
            text = b'<html>busy</html>'
        elif how == 'untyped':
            text = (HEAD + '<methodResponse><params><param><value>7</value></param></params>'
                    '</methodResponse>').encode()
        elif how == 'empty':
            text = b''
        elif how == 'fault':
            text = (HEAD + '<methodResponse><fault><value><struct><member><name>faultCode</name>'
                    '<value><int>1</int></value></member><member><name>faultString</name>'
                    '<value>no</value></member></struct></value></fault></methodResponse>').encode()
        elif how == 'doctype':
            text = (HEAD + '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>').encode() + \
                text[len(HEAD):].replace(b'Success', b'&a;')
        head = ('HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\naccess-control-allow-origin: *\r\n'
                'cache-control: no-cache, no-store\r\ncontent-length: %d\r\n\r\n' % len(text))
        if how == 'endless':
            conn.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
            try:
                while True:
                    conn.sendall(b'<value>' * 65536)
            except OSError:
                return False
        if how == 'half':
            conn.sendall((head.encode() + text)[:len(head) + len(text) // 2])
            threading.Event().wait(30)
            return False
        conn.sendall(head.encode() + text)
        return True

    def result(self, method, params):
        try:
            with self.lock:
                return {'Status': 'Success', 'Value': self.dispatch(method, params)}
        except Failure as e:
            return {'Status': 'Failure', 'ErrorDescription': list(e.args)}

    # ---- API ----

    def dispatch(self, method, params):
        if method == 'session.login_with_password':
            assert params == ['root', '', '1.0', 'vgpu'], params
            self.calls.append((method, params))
            ref = 'OpaqueRef:own-%d' % len(self.calls)
            self.sessions[ref] = dict(pool=False, superuser=True, permissions=[])
            return ref
        known = method.startswith(('session.', 'VM.get_', 'host.get_', 'pool.')) or method in (
            'VM.add_to_platform', 'VM.remove_from_platform', 'host.call_plugin',
            'host.add_to_other_config', 'host.remove_from_other_config', 'host.add_tags',
            'host.remove_tags')
        if not known and not (method == 'VM.call_host_plugin' and self.has_vm_call):
            raise Failure('MESSAGE_METHOD_UNKNOWN', method)
        session = self.sessions.get(params[0])
        if session is None:
            raise Failure('SESSION_INVALID', params[0])
        rest = params[1:]
        if method == 'VM.call_host_plugin' and len(rest) != 4:
            raise Failure('MESSAGE_PARAMETER_COUNT_MISMATCH', method, '4', str(len(rest)))
        self.calls.append((method, rest))
        if method == 'session.logout':
            del self.sessions[params[0]]
            return ''
        if '.get_' not in method and not session['superuser'] and \
                method.lower() not in session['permissions'] and method != 'VM.call_host_plugin':
            raise Failure('RBAC_PERMISSION_DENIED', method.lower(), 'No permission in user session')
        if self.behave.get(method, '').startswith('fail:'):
            raise Failure(*self.behave[method][5:].split(','))
        return getattr(self, method.replace('.', '_'))(*rest)

    def session_get_pool(self, ref):
        return self.sessions[ref]['pool']

    def session_get_is_local_superuser(self, ref):
        return self.sessions[ref]['superuser']

    def session_get_rbac_permissions(self, ref):
        return self.sessions[ref]['permissions']

    def vm(self, ref):
        if ref not in self.vms:
            raise Failure('HANDLE_INVALID', 'VM', ref)
        return self.vms[ref]

    def VM_get_by_uuid(self, uuid):
        for ref, vm in self.vms.items():
            if vm['uuid'] == uuid:
                return ref
        raise Failure('UUID_INVALID', 'VM', uuid)

    def VM_get_by_name_label(self, label):
        return [r for r, vm in self.vms.items() if vm['name_label'] == label]

    def VM_get_all_records_where(self, expr):
        assert expr == ('field "is_a_template" = "false" and field "is_control_domain" = "false" '
                        'and field "is_a_snapshot" = "false"'), expr
        return {r: vm for r, vm in self.vms.items()
                if not (vm['is_a_template'] or vm['is_control_domain'] or vm['is_a_snapshot'])}

    def __getattr__(self, name):
        getter = re.match(r'(VM|host)_get_(\w+)$', name)
        if not getter:
            raise AttributeError(name)
        table = self.vms if getter[1] == 'VM' else self.hosts

        def get(ref):
            if ref not in table:
                raise Failure('HANDLE_INVALID', getter[1], ref)
            return table[ref][getter[2]]
        return get

    def VM_add_to_platform(self, ref, key, v):
        if key in self.vm(ref)['platform']:
            raise Failure('MAP_DUPLICATE_KEY', 'VM', 'platform', ref, key)
        self.vm(ref)['platform'][key] = v
        return ''

    def VM_remove_from_platform(self, ref, key):
        self.vm(ref)['platform'].pop(key, None)
        return ''

    def host_get_all_records(self):
        return self.hosts

    def pool_get_all_records(self):
        return {'OpaqueRef:pool-1': dict(master=self.master)}

    def host_get_by_uuid(self, uuid):
        for ref, host in self.hosts.items():
            if host['uuid'] == uuid:
                return ref
        raise Failure('UUID_INVALID', 'host', uuid)

    def host_add_to_other_config(self, ref, key, v):
        if key in self.hosts[ref]['other_config']:
            raise Failure('MAP_DUPLICATE_KEY', 'host', 'other_config', ref, key)
        self.hosts[ref]['other_config'][key] = v
        return ''

    def host_remove_from_other_config(self, ref, key):
        self.hosts[ref]['other_config'].pop(key, None)
        return ''

    def host_add_tags(self, ref, tag):
        if tag not in self.hosts[ref]['tags']:
            self.hosts[ref]['tags'].append(tag)
        return ''

    def host_remove_tags(self, ref, tag):
        if tag in self.hosts[ref]['tags']:
            self.hosts[ref]['tags'].remove(tag)
        return ''

    def VM_call_host_plugin(self, ref, plugin, function, args):
        assert plugin == 'vgpu', plugin
        return self.plugin(function, args)

    def host_call_plugin(self, ref, plugin, function, args):
        assert plugin == 'vgpu', plugin
        return self.plugin(function, args)

    # ---- data ----

    def add_vm(self, uuid, label, power_state='Running', **more):
        ref = 'OpaqueRef:vm-%d' % (len(self.vms) + 1)
        self.vms[ref] = dict(dict(
            uuid=uuid, name_label=label, power_state=power_state, platform={}, other_config={},
            is_a_template=False, is_control_domain=False, is_a_snapshot=False,
            resident_on='OpaqueRef:host-1', domid='-1', name_description='', tags=[]), **more)
        return ref
