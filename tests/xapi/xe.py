#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""xe VERB NAME=VALUE...: as much of xe as tests need, against serve.py's XAPI at $VGPU_XAPI_SOCKET.

host-call-plugin plugin=vgpu fn=F [args:K=V]...: runs the plugin as XAPI does
host-param-get, vm-param-get uuid=U param-name=P [param-key=K]
vm-param-set uuid=U platform:K=V...
vm-list name-label=L, host-list, pool-list params=master: one uuid; flags are ignored
"""
import os
import socket
import subprocess
import sys
import xmlrpc.client

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import xapi_server                                              # noqa: E402

SESSION = 'OpaqueRef:root'
HOST = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'       # serve.py's only one


def fail(text):
    sys.stderr.write(text + '\n')
    sys.exit(1)


def value_of(text):
    answer = xmlrpc.client.loads(text)[0][0]
    if answer['Status'] != 'Success':
        fail('\n'.join(answer['ErrorDescription']))
    return answer['Value']


def ask(method, *params):
    body = ('<?xml version="1.0"?><methodCall><methodName>%s</methodName><params>%s</params></methodCall>' % (
        method, ''.join('<param>%s</param>' % xapi_server.value(p) for p in (SESSION,) + params))).encode()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ['VGPU_XAPI_SOCKET'])
        s.sendall(b'POST / HTTP/1.0\r\ncontent-length: %d\r\n\r\n' % len(body) + body)
        s.shutdown(socket.SHUT_WR)
        answer = s.makefile('rb').read()
    return value_of(answer.split(b'\r\n\r\n', 1)[1].decode())


def call_plugin(words):
    args = {k[5:]: v for k, v in words.items() if k.startswith('args:')}
    call = xapi_server.call(words['fn'], SESSION, args)
    done = subprocess.run([os.environ['VG_PLUGIN'], call], stdout=subprocess.PIPE, check=True)
    return value_of(done.stdout.decode())


def param_get(table, words):
    found = ask('%s.get_%s' % (table, words['param-name'].replace('-', '_')),
                ask(table + '.get_by_uuid', words['uuid']))
    if 'param-key' in words:
        if words['param-key'] not in found:
            fail('Error: Key %s not found in map' % words['param-key'])
        return found[words['param-key']]
    return ', '.join(found) if isinstance(found, list) else \
        '; '.join('%s: %s' % pair for pair in found.items()) if isinstance(found, dict) else found


def param_set(words):
    ref = ask('VM.get_by_uuid', words['uuid'])
    for key, value in words.items():
        if key.startswith('platform:'):
            ask('VM.remove_from_platform', ref, key[9:])
            ask('VM.add_to_platform', ref, key[9:], value)
    return ''


def main():
    verb, words = sys.argv[1], dict(w.split('=', 1) for w in sys.argv[2:] if not w.startswith('--'))
    if verb == 'host-call-plugin':
        print(call_plugin(words))
    elif verb in ('host-param-get', 'vm-param-get'):
        print(param_get('VM' if verb[0] == 'v' else 'host', words))
    elif verb == 'vm-param-set':
        param_set(words)
    elif verb == 'vm-list':
        print(ask('VM.get_uuid', ask('VM.get_by_name_label', words['name-label'])[0]))
    elif verb in ('host-list', 'pool-list'):
        print(HOST)
    else:
        fail('Unknown command: ' + verb)


if __name__ == '__main__':
    main()
