#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""serve.py SOCKET [UUID LABEL [KEY=VALUE]...]...: the tests' XAPI with these VMs and a host, until it is ended.

KEY=VALUE goes to other_config, platform:KEY=VALUE to platform. With "call FUNCTION [NAME=VALUE]..." in
place of the VMs: prints what XAPI would pass to a plugin.
"""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import xapi_server                                              # noqa: E402


HOST = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'


def main():
    socket, words = sys.argv[1], sys.argv[2:]
    if words[0] == 'call':
        args = dict(w.split('=', 1) for w in words[2:])
        print(xapi_server.call(words[1], 'OpaqueRef:root', args), end='')
        return
    server = xapi_server.Server(socket)
    server.hosts['OpaqueRef:host-1'] = dict(uuid=HOST, other_config={}, tags=[])
    while words:
        ref = server.add_vm(words.pop(0), words.pop(0))
        while words and '=' in words[0]:
            key, value = words.pop(0).split('=', 1)
            name, where = (key[9:], 'platform') if key.startswith('platform:') else \
                (key, 'other_config')
            server.vms[ref][where][name] = value
    signal.pause()


if __name__ == '__main__':
    main()
