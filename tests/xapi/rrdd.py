#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 120
"""vgpu-rrdd's file, read as xcp-rrdd reads it, while VMs come and the mediator goes."""
import json
import os
import struct
import subprocess
import sys
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, OTHER, VM, Case, within              # noqa: E402


class Torn(Exception):
    pass


def read(path):
    """(timestamp, [(name, source, value)]); rrd_protocol_v2.ml, but for its caching."""
    with open(path, 'rb') as f:
        data = f.read()
    if data[:11] != b'DATASOURCES':
        raise Torn('header')
    data_crc, text_crc, count, time = struct.unpack('>IIId', data[11:31])
    end = 31 + 8 * count
    if zlib.crc32(data[23:end]) != data_crc:
        raise Torn('data')
    length, = struct.unpack('>I', data[end:end + 4])
    text = data[end + 4:end + 4 + length]
    if zlib.crc32(text) != text_crc:
        raise Torn('metadata')
    # Names come more than once, one for each owner, as cpu0 does in xcp-rrdd's own file.
    sources = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    assert [k for k, _ in sources] == ['datasources']
    sources = [(name, dict(pairs)) for name, pairs in sources[0][1]]
    assert len(sources) == count
    values = [struct.unpack('>d' if s['value_type'] == 'float' else '>q',
                            data[31 + 8 * i:39 + 8 * i])[0] for i, (_, s) in enumerate(sources)]
    return time, [(n, s, v) for (n, s), v in zip(sources, values)]


class Rrdd(Case):
    def setUp(self):
        self.mediator_stop()
        self.mediator_start()       # one that knows no VM
        super().setUp()
        self.path = self.work + '/vgpu'
        self.rrdd = None
        self.addCleanup(self.stop)

    def start_rrdd(self):
        with open(self.work + '/log', 'ab') as log:
            self.rrdd = subprocess.Popen(
                [BUILD + '/bin/vgpu-rrdd', '--file', self.path, '--socket', self.control_path,
                 '--period-ms', '100'], stderr=log)
        self.assertTrue(within(30, lambda: os.path.exists(self.path)))

    def stop(self):
        if self.rrdd:
            self.rrdd.terminate()
            self.assertEqual(self.rrdd.wait(30), 0)
            self.rrdd = None

    def admin(self, *args):
        subprocess.run([BUILD + '/bin/vgpu-admin', '--socket', self.control_path] + list(args),
                       check=True, stdout=subprocess.DEVNULL)

    def look(self):
        """What stands there; a torn file is read again, as xcp-rrdd does."""
        for _ in range(1000):
            try:
                return read(self.path)
            except Torn:
                pass
        self.fail('torn a thousand times')

    def owners(self):
        return sorted({s['owner'] for _, s, _ in self.look()[1]})

    def test_follows_vms_and_mediator(self):
        self.start_rrdd()
        size, inode = os.path.getsize(self.path), os.stat(self.path).st_ino
        self.assertEqual(self.look()[1], [])
        for name in (VM, OTHER, 'no-uuid'):
            self.admin('register-vm', '--vm-name=' + name)
        self.assertTrue(within(30, lambda: self.owners() == ['vm ' + VM, 'vm ' + OTHER]))
        time, sources = self.look()
        self.assertTrue(within(30, lambda: self.look()[0] > time))
        self.assertEqual([n for n, _, _ in sources][:3],
                         ['vgpu_usage', 'vgpu_memory', 'vgpu_launches'])
        usage = sources[0][1]
        self.assertEqual((usage['type'], usage['value_type'], usage['units'], usage['default'],
                          float(usage['min']), float(usage['max'])),
                         ('derive', 'float', '(fraction)', 'true', 0, 1))
        self.assertEqual({float(s['max']) for n, s, _ in sources if n == 'vgpu_memory'},
                         {float('inf')})
        self.admin('unregister-vm', '--vm-name=' + OTHER)
        self.assertTrue(within(30, lambda: self.owners() == ['vm ' + VM]))
        # One file of one size from first to last: xcp-rrdd has it mapped.
        self.assertEqual((os.path.getsize(self.path), os.stat(self.path).st_ino), (size, inode))
        self.mediator_stop()
        self.assertTrue(within(30, lambda: self.owners() == []))
        self.mediator_start()
        self.admin('register-vm', '--vm-name=' + VM)
        self.assertTrue(within(60, lambda: self.owners() == ['vm ' + VM]))
        self.stop()
        self.assertEqual([f for f in os.listdir(self.work) if f.startswith('vgpu')], [])

    def test_counts_work(self):
        """A process of this host stands for the VM: what it does arrives in the file."""
        self.admin('register-vm', '--vm-name=' + VM)
        self.start_rrdd()
        subprocess.run([BUILD + '/bin/vgpu-run', '--vm', VM, '--', BUILD + '/demo/vectoradd'],
                       env=dict(os.environ, VGPU_SOCKET=self.class_work + '/mediator.sock'),
                       stdout=subprocess.DEVNULL, check=True)
        self.assertTrue(within(60, lambda: dict(
            (n, v) for n, _, v in self.look()[1])['vgpu_launches'] > 0))
        values = {n: v for n, _, v in self.look()[1]}
        self.assertGreaterEqual(values['vgpu_usage'], 0)
        self.assertLess(values['vgpu_usage'], 1000)

    def test_one_owner_once(self):
        """Who gives his process the uuid of a VM, in other letters, adds no second source."""
        uuid = 'abcdefab-2222-3333-4444-555555555555'
        for name in (uuid, uuid.upper(), VM):
            self.admin('register-vm', '--vm-name=' + name)
        self.start_rrdd()
        self.assertTrue(within(30, lambda: self.owners() == sorted(['vm ' + VM, 'vm ' + uuid])))
        self.assertEqual(len(self.look()[1]), 6)

    def test_many_vms_fit(self):
        self.start_rrdd()
        for i in range(40):
            self.admin('register-vm', '--vm-name=%08x-2222-3333-4444-555555555555' % i)
        self.assertTrue(within(60, lambda: len(self.owners()) >= 40))
        count = len(self.owners())
        with open(self.path, 'rb') as f:
            used = len(f.read().rstrip(b'\0'))
        self.assertLess(used / count * 1024, os.path.getsize(self.path))

    def test_wrong_usage(self):
        for args in (['--nothing'], ['x'], ['--period-ms', '0']):
            done = subprocess.run([BUILD + '/bin/vgpu-rrdd'] + args, stderr=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2)
        done = subprocess.run([BUILD + '/bin/vgpu-rrdd', '--file', '/nowhere/x', '--socket', '/x'],
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'/nowhere/x', done.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
