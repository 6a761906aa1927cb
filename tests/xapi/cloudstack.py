#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 120
"""vgpu-cloudstack between a XAPI and a CloudStack: host tags as GPUs come and go, and nobody else's touched."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cloud_server                                             # noqa: E402
from harness import BUILD, HOST, Case                           # noqa: E402

SECRET = 'wZ-3_xtwyFbZd1TErLoAInu9LqAFugEqSguVzugpETNB6YWUiTOGBiyQ9AHfjS3y8kgnm1e7Iddy_0YkWIylQ'


class CloudStack(Case):
    mediator_wanted = False

    def setUp(self):
        super().setUp()
        self.cloud = cloud_server.Server('Gz-key_1', SECRET)
        self.addCleanup(self.cloud.stop)
        with open(self.work + '/inventory', 'w') as f:
            f.write("INSTALLATION_UUID='%s'\n" % HOST)
        self.conf = self.work + '/cloudstack.conf'
        self.configure()
        self.host(1, gpu=True)
        self.first = self.cloud.add('h1', '10.0.0.1', 'ssd,big')

    def configure(self, mode=0o600, **more):
        words = dict(url=self.cloud.url, api_key=self.cloud.api_key, secret_key=self.cloud.secret_key)
        words.update(more)
        with open(self.conf, 'w') as f:
            f.writelines('%s = %s\n' % pair for pair in words.items() if pair[1] is not None)
        os.chmod(self.conf, mode)

    def host(self, n, gpu, total=81920, free=81920, reserved=0):
        """As vgpu-publish leaves a host."""
        self.xapi.hosts['OpaqueRef:host-%d' % n] = dict(
            uuid=HOST[:-1] + str(n) if n > 1 else HOST, name_label='h%d' % n, hostname='h%d.lan' % n,
            address='10.0.0.%d' % n, tags=['theirs'] + ['vgpu'] * gpu,
            other_config=dict(vgpu_memory_mib=str(total), vgpu_memory_free_mib=str(free),
                              vgpu_memory_reserved_mib=str(reserved), vgpu_status='ok' if gpu else 'down'))

    def run_it(self, *words):
        done = subprocess.run([BUILD + '/bin/vgpu-cloudstack', '--config', self.conf] + list(words),
                              env=dict(self.environment(), VGPU_INVENTORY=self.work + '/inventory'),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        self.out, self.err = done.stdout.decode(), done.stderr.decode()
        self.assertNotIn(SECRET, self.out + self.err)
        return done.returncode

    def good(self, *words):
        self.assertEqual(self.run_it(*words), 0, self.err)
        self.assertEqual(self.err, '')

    def updates(self):
        return len(self.cloud.commands('updateHost'))

    def test_a_tag_comes_and_goes(self):
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'big', 'vgpu'})
        self.assertEqual(self.cloud.commands('updateHost')[0]['hosttags'], 'ssd,big,vgpu')
        self.good()
        self.assertEqual(self.updates(), 1)                     # right already
        self.host(1, gpu=False)
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'big'})
        self.assertEqual(self.out, 'h1: vgpu,ssd,big -> ssd,big\n')

    def test_the_only_tag(self):
        bare = self.cloud.add('h2', '10.0.0.2')
        self.host(2, gpu=True)
        self.good()
        self.assertEqual(self.cloud.tags(bare), {'vgpu'})
        self.host(2, gpu=False)
        self.good()
        self.assertEqual(self.cloud.tags(bare), set())
        self.good()
        self.assertEqual(self.updates(), 3)

    def test_room(self):
        self.configure(room_gib='8 40  80', tag='gpu')
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'big', 'gpu', 'gpu-8g', 'gpu-40g', 'gpu-80g'})
        self.host(1, gpu=True, reserved=41000)                  # promised
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'big', 'gpu', 'gpu-8g'})
        self.host(1, gpu=True, free=8191)                       # in use
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'big', 'gpu'})
        self.host(1, gpu=True, free=8192, reserved=100000)      # more promised than there is
        self.good()
        self.assertEqual(self.updates(), 3)
        self.host(1, gpu=True)
        self.configure(room_gib='16', tag='gpu')                # another setting takes the old tags away
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'big', 'gpu', 'gpu-16g'})

    def test_tags_of_others_stay(self):
        theirs = 'vgpux,vgpu-8gb,vgpu-g,vgpu-,vgpu-8G,xvgpu,vgpu-1-2g,a b,gr\u00fcn~*'
        self.cloud.hosts[self.first]['hosttags'] = theirs + ', vgpu-8g ,vgpu'
        self.host(1, gpu=False)
        self.good()
        self.assertEqual(self.cloud.tags(self.first), set(theirs.split(',')))

    def test_dry_run(self):
        self.good('--dry-run')
        self.assertEqual((self.updates(), self.cloud.tags(self.first)), (0, {'ssd', 'big'}))
        self.assertEqual(self.out, 'h1: ssd,big -> ssd,big,vgpu (not written)\n')

    def test_only_the_master_does_it(self):
        self.host(2, gpu=True)
        self.xapi.master = 'OpaqueRef:host-2'
        self.good()
        self.assertEqual((self.cloud.calls, self.out), ([], ''))
        self.good('--dry-run')
        self.assertIn('not the pool\'s master', self.out)

    def test_whose_host_it_is(self):
        stranger = self.cloud.add('other-pool', '10.9.9.9', 'vgpu,vgpu-8g')
        kvm = self.cloud.add('h1', '10.0.0.1', 'kvm')
        self.cloud.hosts[kvm]['hypervisor'] = 'KVM'
        twin = self.cloud.add('twin', '10.0.0.1', 'x')          # another zone
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'big', 'vgpu'})
        for ident, tags in ((stranger, {'vgpu', 'vgpu-8g'}), (kvm, {'kvm'}), (twin, {'x'})):
            self.assertEqual(self.cloud.tags(ident), tags)

    def test_who_cannot_be_told_is_left_alone(self):
        self.host(2, gpu=True)
        self.host(3, gpu=True)
        twins = [self.cloud.add('t%d' % n, '10.0.0.2', 'x') for n in (1, 2)]
        self.assertEqual(self.run_it(), 1)
        self.assertIn('h2: CloudStack has several hosts with the address 10.0.0.2', self.err)
        self.assertIn('h3: CloudStack has no host with the address 10.0.0.3', self.err)
        self.assertEqual([self.cloud.tags(t) for t in twins], [{'x'}, {'x'}])
        self.assertIn('vgpu', self.cloud.tags(self.first))      # the others are done all the same

    def test_a_change_in_between_is_kept(self):
        def edit(command, parameters):
            if command == 'listHosts' and 'id' in parameters:
                self.cloud.hosts[self.first]['hosttags'] = 'ssd,new'
        self.cloud.before = edit
        self.good()
        self.assertEqual(self.cloud.tags(self.first), {'ssd', 'new', 'vgpu'})

    def test_a_host_that_goes_in_between(self):
        def edit(command, parameters):
            if 'id' in parameters:
                self.cloud.hosts.clear()
        self.cloud.before = edit
        self.assertEqual((self.run_it(), self.updates()), (1, 0))

    def test_a_rule_is_left_alone(self):
        self.cloud.hosts[self.first].update(hosttags='tags.contains("a")', istagarule=True)
        self.assertEqual((self.run_it(), self.updates()), (1, 0))
        self.assertIn('rule', self.err)

    def test_tags_that_hosts_bring_themselves(self):
        self.cloud.hosts[self.first].update(hosttags='ssd,auto', explicithosttags='ssd', implicithosttags='auto')
        self.good()
        self.assertEqual(self.cloud.hosts[self.first]['explicithosttags'], 'vgpu,ssd')
        self.good()
        self.assertEqual(self.updates(), 1)

    def test_many_hosts(self):
        for n in range(300):
            self.cloud.add('x%d' % n, '10.1.%d.%d' % (n // 200, n % 200))
        last = self.cloud.add('h2', '10.0.0.2')
        self.host(2, gpu=True)
        self.good()
        self.assertEqual(self.cloud.tags(last), {'vgpu'})
        self.assertEqual([p['page'] for p in self.cloud.commands('listHosts') if 'page' in p],
                         ['1', '2', '3', '4'])

    def test_signatures_of_all_lengths(self):
        for n in range(1, 140, 2):
            self.cloud.api_key, self.cloud.secret_key = 'K~*&=+ %'[:n % 9] + 'k' * n, 's/+' + 'S' * n
            self.configure()
            self.good('--dry-run')

    def test_settings(self):
        self.assertEqual(self.run_it('--nonsense'), 2)
        for words, said in ((dict(mode=0o640), 'others may read it'), (dict(url='ftp://x'), 'https://'),
                            (dict(url=None), 'must stand there'), (dict(secret_key=''), '1 to 255'),
                            (dict(tag='a,b'), 'letters'), (dict(room_gib='8 x'), 'x'),
                            (dict(room_gib='0'), '0'), (dict(room_gib='1 ' * 17), 'at most 16'),
                            (dict(nonsense='1'), 'no setting')):
            self.configure(**words)
            self.assertEqual(self.run_it(), 1, words)
            self.assertIn(said, self.err)
        os.unlink(self.conf)
        self.assertEqual(self.run_it(), 1)
        self.assertEqual(self.cloud.calls, [])

    def test_trouble(self):
        self.configure(secret_key='x' + SECRET[1:])
        self.assertEqual(self.run_it(), 1)
        self.assertIn('HTTP status 401: unable to verify user credentials', self.err)
        self.configure()
        for body in (b'', b'<html>503</html>', b'[]', b'{"listhostsresponse":7}', b'{"a":{"host":7}}', b'{'):
            for status in (200, 503):
                self.cloud.misbehave = status, body
                self.assertEqual(self.run_it(), 1, body)
                self.assertNotEqual(self.err, '')
        self.cloud.misbehave = None
        self.xapi.behave['host.get_all_records'] = 'garbage'
        self.assertEqual(self.run_it(), 1)
        self.xapi.behave = {}
        self.cloud.hosts[self.first]['id'] = 'gone'
        self.assertEqual(self.run_it(), 1)
        self.cloud.stop()
        self.assertEqual(self.run_it(), 1)
        self.assertIn('listHosts at http://127.0.0.1', self.err)


if __name__ == '__main__':
    unittest.main(verbosity=2)
