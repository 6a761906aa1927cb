#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 200
"""The plugin as XAPI runs it: arguments, environment, bytes in and out, and what goes wrong."""
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import xapi_server                                              # noqa: E402
from harness import BUILD, OTHER, VM, Case                      # noqa: E402

KEYS = 'gpu_enabled gpu_pool gpu_priority gpu_weight gpu_rate gpu_queue_depth gpu_memory_mib'


class Functions(Case):
    def test_set_writes_all_three(self):
        self.add_domain()
        self.xs_put('/local/domain/7/platform/gpu_weight', '10')
        answer = self.good('set', vm_uuid=VM, gpu_enabled='true', weight='80', gpu_pool='B',
                           gpu_priority='high', rate='200', queue_depth='100', memory_mib='8192')
        stored = dict(gpu_enabled='true', gpu_weight='80', gpu_pool='B', gpu_priority='high',
                      gpu_rate='200', gpu_queue_depth='100', gpu_memory_mib='8192')
        self.assertEqual(self.platform(), stored)
        self.assertEqual(answer['platform'], stored)
        self.assertEqual(answer['xenstore'], 'written for domain 7')
        for key, value in stored.items():
            self.assertEqual(self.xs_get('/local/domain/7/platform/' + key), value)
        self.assertEqual(answer['mediator'], 'told')
        vm = self.good('get', vm_uuid=VM)['mediator']['vm']
        self.assertEqual((vm['pool'], vm['priority'], vm['weight'], vm['rate'], vm['queue_depth'],
                          vm['memory_mib']), ('B', 'high', 80, 200, 100, 8192))

    def test_set_leaves_other_keys_and_unchanged_values(self):
        self.platform().update(nx='true', gpu_weight='5', viridian='x')
        self.good('set', vm_uuid=VM, weight='5', pool='C')
        self.assertEqual(self.platform(), dict(nx='true', gpu_weight='5', viridian='x',
                                               gpu_pool='C'))
        self.assertEqual([c[1][1] for c in self.writes()], ['gpu_pool', 'gpu_pool'])

    def test_halted_vm_is_stored_only(self):
        self.xapi.vms[self.vm]['power_state'] = 'Halted'
        answer = self.good('set', vm_uuid=VM.upper(), weight='7')
        self.assertEqual(answer['vm_uuid'], VM)
        self.assertIn('does not run', answer['xenstore'])
        self.assertNotIn('mediator', answer)

    def test_unset(self):
        self.add_domain()
        self.good('set', vm_uuid=VM, weight='80', rate='5', enabled='true')
        self.good('unset', vm_uuid=VM, keys='weight, gpu_rate')
        self.assertEqual(self.platform(), {'gpu_enabled': 'true'})
        self.assertIsNone(self.xs_get('/local/domain/7/platform/gpu_weight'))
        self.assertEqual(self.xs_get('/local/domain/7/platform/gpu_enabled'), 'true')
        self.good('unset', vm_uuid=VM, keys='all')
        self.assertEqual(self.platform(), {})
        for keys in ('', 'colour', 'all,weight', ','):
            self.assertIn('keys', self.bad('unset', vm_uuid=VM, keys=keys)[3])
        self.assertIn('keys', self.bad('unset', vm_uuid=VM)[3])

    def test_register_and_unregister(self):
        self.add_domain()
        self.good('register', vm_uuid=VM, weight='33')
        self.assertEqual(self.platform(), dict(gpu_enabled='true', gpu_weight='33'))
        self.assertTrue(self.good('get', vm_uuid=VM)['mediator']['vm']['registered'])
        self.good('unregister', vm_uuid=VM)
        self.assertEqual(self.platform()['gpu_enabled'], 'false')
        self.assertIn('problem', self.good('get', vm_uuid=VM)['mediator'])

    def test_weight_and_rate(self):
        self.good('set_weight', vm_uuid=VM, weight='12')
        self.good('set_rate_limit', vm_uuid=VM, rate='1000', queue_depth='64')
        self.assertEqual(self.platform(), dict(gpu_weight='12', gpu_rate='1000',
                                               gpu_queue_depth='64'))
        self.assertIn('weight', self.bad('set_weight', vm_uuid=VM)[3])
        self.assertIn('rate', self.bad('set_rate_limit', vm_uuid=VM)[3])
        self.assertIn('gpu_pool', self.bad('set_weight', vm_uuid=VM, weight='1',
                                           gpu_pool='A')[3])

    def test_by_name(self):
        self.good('set_weight', vm_name='web', weight='12')
        self.assertEqual(self.platform(), dict(gpu_weight='12'))
        self.assertIn('there are 0 VMs', self.bad('get', vm_name='wob')[3])
        self.xapi.add_vm(OTHER, 'web')
        self.assertIn('there are 2 VMs', self.bad('get', vm_name='web')[3])
        self.assertIn('only one', self.bad('get', vm_name='web', vm_uuid=VM)[3])
        self.assertIn('needs vm_uuid', self.bad('get')[3])

    def test_what_is_no_text(self):
        self.platform().update(gpu_weight=None, gpu_rate={'a': 'b'})
        self.assertEqual(self.good('get', vm_uuid=VM)['problems'],
                         ['platform:gpu_weight is no text', 'platform:gpu_rate is no text'])
        self.assertTrue(any(v['vm_uuid'] == VM for v in self.good('list')['vms']))
        for function in ('apply', 'unset'):
            self.call(function, vm_uuid=VM, keys='gpu_weight,gpu_rate')

    def test_get(self):
        self.platform().update(gpu_enabled='true', gpu_weight='900', gpu_wieght='9')
        self.xapi.vms[self.vm]['other_config'].update(gpu_pool='B', folder='/x')
        self.xs_put('/local/domain/0/vgpu-mediator/vm/%s/state' % VM, 'enabled')
        self.xs_put('/local/domain/0/vgpu-mediator/vm/%s/reason' % VM, 'gpu_weight: too much')
        answer = self.good('get', 'operator', vm_uuid=VM)
        self.assertTrue(answer['enabled'])
        self.assertEqual(answer['other_config'], {'gpu_pool': 'B'})
        self.assertEqual(answer['xenstore'], dict(state='enabled', reason='gpu_weight: too much'))
        self.assertEqual(len(answer['problems']), 2)
        self.assertIn('1 to 100', ' '.join(answer['problems']))
        self.assertIn('gpu_wieght', ' '.join(answer['problems']))

    def test_names_that_need_escaping(self):
        label = 'a<b>&"c\' \u00e4 \u4e16 ]]> \\ \t'
        self.xapi.vms[self.vm]['name_label'] = label
        self.platform()['gpu_pool'] = label
        answer = self.good('get', vm_name=label)
        self.assertEqual((answer['name'], answer['platform']['gpu_pool']), (label, label))

    def test_list(self):
        self.platform().update(gpu_enabled='true')
        self.xapi.add_vm(OTHER, 'plain', other_config=dict(vm_uuid=OTHER))
        self.xapi.add_vm('22222222-2222-3333-4444-555555555555', 'template',
                         platform=dict(gpu_enabled='true'), is_a_template=True)
        cloud = '33333333-2222-3333-4444-555555555555'
        self.xapi.add_vm(cloud, 'i-2-9-VM', other_config=dict(gpu_enabled='yes'))
        identity = '44444444-2222-3333-4444-555555555555'
        self.xs_put('/vgpu/vm/%s/identity' % cloud, identity)
        self.add_domain(8, cloud)
        self.good('set', vm_uuid=cloud, weight='44')
        answer = self.good('list', 'operator')
        self.assertEqual([v['name'] for v in answer['vms']], ['web', 'i-2-9-VM'])
        self.assertTrue(answer['vms'][1]['enabled'])
        self.assertEqual(answer['vms'][1]['mediator']['name'], identity)
        self.assertEqual(answer['vms'][1]['mediator']['weight'], 44)
        self.assertNotIn(identity, [v['name'] for v in answer['not_in_xapi']])

    def test_metrics_health_version(self):
        self.add_domain()
        self.good('set', vm_uuid=VM, weight='80')
        self.assertEqual(self.good('metrics', 'operator', vm_uuid=VM)['vms'][0]['name'], VM)
        self.assertIn('vms', self.good('metrics'))
        self.assertIn('status', self.good('health')['health'])
        version = self.good('version')
        self.assertEqual(version['mediator'], 'ok')
        self.assertGreaterEqual(version['protocol_version'], 2)
        self.assertIn('no argument', self.bad('health', vm_uuid=VM)[3])

    def test_unknown_function(self):
        self.assertEqual(self.bad('reboot'), ['UNKNOWN_XENAPI_PLUGIN_FUNCTION', 'reboot'])

    def test_wrong_values_change_nothing(self):
        self.add_domain()
        wrong = dict(enabled='maybe', pool='a b', priority='top', weight='0', rate='-1',
                     queue_depth='1e3', memory_mib='8g')
        for key, value in wrong.items():
            error = self.bad('set', vm_uuid=VM, gpu_memory='1') if not key else \
                self.bad('set', vm_uuid=VM, **{key: value, 'pool' if key != 'pool' else 'weight':
                                               '7'})
            self.assertEqual(error[:3], ['XENAPI_PLUGIN_FAILURE', 'set', 'BadArgument'])
            self.assertIn('gpu_' + key, error[3])
            self.assertIn(value, error[3])
        for args in (dict(colour='red'), dict(weight='1', gpu_weight='2'), {}):
            error = self.bad('set', vm_uuid=VM, **args)
            self.assertEqual(error[2], 'BadArgument')
        self.assertEqual(self.writes(), [])
        self.assertIn('uuid', self.bad('set', vm_uuid='../../x', weight='1')[3])
        self.assertEqual(self.bad('set', vm_uuid=OTHER, weight='1')[:2], ['UUID_INVALID', 'VM'])

    def test_templates_and_dom0_are_refused(self):
        self.xapi.add_vm(OTHER, 'Control domain', is_control_domain=True)
        self.assertIn('control domain', self.bad('set', vm_uuid=OTHER, weight='1')[3])

    def test_clear_quarantine_of_an_unknown_vm(self):
        error = self.bad('clear_quarantine', vm_uuid=OTHER)
        self.assertEqual(error[0], 'UUID_INVALID')
        error = self.bad('clear_quarantine', vm_uuid=VM)
        self.assertEqual(error[2], 'MediatorError')


class Rights(Case):
    def test_session_of_the_caller(self):
        self.good('set', 'admin', vm_uuid=VM, weight='1')
        self.good('set', 'vmadmin', vm_uuid=VM, weight='2')
        self.assertEqual(self.bad('set', 'operator', vm_uuid=VM, weight='3')[2], 'NotAllowed')
        self.assertEqual(self.platform()['gpu_weight'], '2')
        for who in ('vmadmin', 'operator'):
            self.assertEqual(self.bad('clear_quarantine', who, vm_uuid=VM)[2], 'NotAllowed')
        self.assertEqual(self.bad('clear_quarantine', 'admin', vm_uuid=VM)[2], 'MediatorError')

    def test_every_function_by_everybody(self):
        """Whoever may not is told so before anything else; whoever may gets as far as the arguments let him."""
        read = dict.fromkeys(('get', 'list', 'metrics', 'health', 'version', 'apply'),
                             ('root', 'admin', 'vmadmin', 'operator', 'pool'))
        policy = dict.fromkeys(('set', 'unset', 'register', 'unregister', 'set_weight', 'set_rate_limit'),
                               ('root', 'admin', 'vmadmin'))
        may = dict(read, **policy, clear_quarantine=('root', 'admin'))
        for function, allowed in may.items():
            for session in ('root', 'admin', 'vmadmin', 'operator', 'pool'):
                answer = self.call(function, session, vm_uuid='no uuid') if function not in \
                    ('list', 'health', 'version') else self.call(function, session)
                refused = not answer.ok and answer.error[2:3] == ['NotAllowed']
                self.assertEqual(refused, session not in allowed, (function, session, answer.error))
        self.assertEqual(self.writes(), [])
        for function in ('call', 'main', 'Get', 'get ', '', '__init__', 'set_memory'):
            self.assertFalse(self.call(function).ok, function)

    def test_no_session(self):
        self.assertEqual(self.bad('set', 'none', vm_uuid=VM, weight='3')[0], 'SESSION_INVALID')
        self.assertEqual(self.bad('get', 'none', vm_uuid=VM)[0], 'SESSION_INVALID')

    def test_hidden_caller(self):
        for function, args in (('set', dict(weight='3')), ('register', {}), ('unregister', {}),
                               ('unset', dict(keys='all')), ('set_weight', dict(weight='3')),
                               ('set_rate_limit', dict(rate='3')), ('clear_quarantine', {})):
            error = self.bad(function, 'pool', vm_uuid=VM, **args)
            self.assertEqual(error[2], 'NotAllowed')
            self.assertIn('master', error[3])
        self.assertEqual(self.writes(), [])
        self.good('get', 'pool', vm_uuid=VM)

    def test_hidden_caller_trusted_by_configuration(self):
        with open(self.work + '/plugin.conf', 'w') as f:
            f.write('# this pool has no operators\nforwarded = trust\n')
        self.good('set', 'pool', vm_uuid=VM, weight='3')
        with open(self.work + '/plugin.conf', 'w') as f:
            f.write('forwarded = trust\nforwarded = maybe\n')
        self.assertEqual(self.bad('set', 'pool', vm_uuid=VM, weight='4')[2], 'NotAllowed')

    def test_hidden_caller_may_apply_what_is_stored(self):
        self.add_domain()
        self.platform().update(gpu_weight='9', gpu_pool='B', nx='true')
        self.xs_put('/local/domain/7/platform/gpu_rate', '5')
        self.good('apply', 'pool', vm_uuid=VM, keys='gpu_weight,gpu_rate')
        self.assertEqual(self.xs_get('/local/domain/7/platform/gpu_weight'), '9')
        self.assertIsNone(self.xs_get('/local/domain/7/platform/gpu_rate'))
        self.assertIsNone(self.xs_get('/local/domain/7/platform/gpu_pool'))
        self.good('apply', 'pool', vm_uuid=VM)
        self.assertEqual(self.xs_get('/local/domain/7/platform/gpu_pool'), 'B')
        self.assertIsNone(self.xs_get('/local/domain/7/platform/nx'))


class OldXapi(Case):
    """XCP-ng 8.2: only pool administrators reach plugins."""
    has_vm_call = False

    def test_hidden_caller_is_an_administrator(self):
        self.good('set', 'pool', vm_uuid=VM, weight='3')

    def test_vm_on_another_host(self):
        seen = []
        self.xapi.plugin = lambda function, args: seen.append((function, args)) or '{"x":1}'
        answer = self.good('set', vm_uuid=VM, weight='3')
        self.assertEqual(seen, [('apply', dict(vm_uuid=VM, keys='gpu_weight'))])
        self.assertEqual(answer['host'], {'x': 1})


class OtherHost(Case):
    def test_vm_on_another_host(self):
        seen = []
        self.xapi.plugin = lambda function, args: seen.append((function, args)) or '{"x":1}'
        answer = self.good('set', 'vmadmin', vm_uuid=VM, weight='3', pool='B')
        self.assertEqual(seen, [('apply', dict(vm_uuid=VM, keys='gpu_weight,gpu_pool'))])
        self.assertEqual(answer['host'], {'x': 1})

    def test_that_cannot_be_reached(self):
        self.xapi.behave['VM.call_host_plugin'] = 'fail:HOST_OFFLINE,OpaqueRef:host-1'
        answer = self.good('set', vm_uuid=VM, weight='3')
        self.assertIn('HOST_OFFLINE', answer['xenstore'])
        self.assertEqual(self.platform()['gpu_weight'], '3')


class Hostile(Case):
    def refused(self, argument):
        answer = self.raw(argument)
        self.assertFalse(answer.ok, answer.value)
        self.assertEqual(answer.error[2], 'BadRequest')
        self.assertEqual(self.xapi.calls, [])
        return answer.error[3]

    def request(self, args):
        return ('<methodCall><methodName>set</methodName><params><param><value>OpaqueRef:root'
                '</value></param><param>%s</param></params></methodCall>' % args)

    def test_not_a_call(self):
        for text in ('', '   ', 'x', '{"a":1}', '<a/>', '<methodCall/>', '<methodCall>',
                     '<methodCall><methodName>get</methodName></methodCall>',
                     '<methodCall><methodName>get</methodName><params/></methodCall>',
                     b'<methodCall>\xff\xfe'.decode('latin1'), '\x01\x02'):
            self.refused(text)
        answer = self.raw(xapi_server.call('a b<', 'x', {}))
        self.assertIn('not a word', answer.error[3])

    def test_wrong_types(self):
        self.assertIn('no string', self.refused(self.request(
            '<value><struct><member><name>weight</name><value><struct/></value></member></struct>'
            '</value>')))
        self.refused(self.request('<value>text</value>'))
        self.refused(self.request('<value><array><data/></array></value>'))
        self.refused(self.request('<value><int>4</int><int>5</int></value>'))
        self.refused(self.request('<value><other/></value>'))
        self.refused(self.request('<value><struct><member><name>a</name></member></struct>'
                                  '</value>'))
        self.assertIn('twice', self.refused(self.request(
            '<value><struct>%s</struct></value>' %
            ('<member><name>weight</name><value>1</value></member>' * 2))))

    def test_entities(self):
        bomb = ''.join('<!ENTITY e%d "%s">' % (i, '&e%d;' % (i - 1) * 10 if i else 'ha')
                       for i in range(12))
        for doctype in ('<!DOCTYPE x [%s]>' % bomb,
                        '<!DOCTYPE x [<!ENTITY e11 SYSTEM "file:///etc/passwd">]>',
                        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">'):
            text = doctype + self.request('<value><struct><member><name>pool</name><value>&e11;'
                                          '</value></member></struct></value>')
            self.assertNotIn('root:', self.refused(text))
        self.refused(self.request('<value>&e11;</value>'))

    def test_sizes(self):
        deep = '<value><struct><member><name>a</name>' * 2000
        self.refused(self.request(deep + '<value/>' + '</member></struct></value>' * 2000))
        nested = '<value><array><data>' * 60 + '</data></array></value>' * 60
        self.assertIn('deep', self.refused(self.request(nested)))
        many = {'k%d' % i: 'v' for i in range(65)}
        self.refused(xapi_server.call('set', 'OpaqueRef:root', many))
        self.refused(xapi_server.call('set', 'OpaqueRef:root', {'pool': 'p' * 5000}))
        self.refused(xapi_server.call('set', 'OpaqueRef:root', {'p' * 5000: 'x'}))
        self.refused(xapi_server.call('set', 'x' * 200, {}))
        self.refused(self.request('<value>' + ' ' * 120000 + '</value>'))

    def test_other_forms_of_strings(self):
        answer = self.raw('<?xml version="1.0"?>\n<methodCall>\n<methodName>set</methodName>\n'
                          '<params> <param><value><string>OpaqueRef:root</string></value></param>\n'
                          '<param><value><struct>\n<member><name>vm_uuid</name> <value><string>%s'
                          '</string></value></member><member><name>gpu_pool</name><value>&#65;&#x42;'
                          '</value></member></struct></value></param></params></methodCall>' % VM)
        self.assertTrue(answer.ok, answer.error)
        self.assertEqual(self.platform(), {'gpu_pool': 'AB'})

    def test_no_argument(self):
        import subprocess
        for args in ([], ['a', 'b']):
            done = subprocess.run([BUILD + '/bin/vgpu'] + args, env=self.environment(),
                                  stdout=subprocess.PIPE)
            self.assertEqual(done.returncode, 0)
            self.assertIn(b'Failure', done.stdout)


class Trouble(Case):
    """XAPI, xenstore or the mediator do not do what they should."""

    def test_xapi_that_misbehaves(self):
        for how in ('close', 'garbage', 'untyped', 'empty', 'fault', 'doctype'):
            self.xapi.behave['*'] = how
            for function, args in (('get', {}), ('set', dict(weight='1'))):
                error = self.bad(function, vm_uuid=VM, **args)
                self.assertEqual(error[0], 'XENAPI_PLUGIN_FAILURE', how)
                self.assertIn(error[2], ('XapiUnreachable', 'XapiAnswer'), how)
        self.assertEqual(self.writes(), [])

    def test_xapi_is_gone(self):
        self.xapi.stop()
        error = self.bad('get', vm_uuid=VM)
        self.assertEqual(error[2], 'XapiUnreachable')
        self.good('health')

    def test_xapi_that_does_not_end(self):
        self.deadline_ms = '1500'
        for how in ('half', 'endless'):
            self.xapi.behave['VM.get_platform'] = how
            answer = self.call('get', vm_uuid=VM)
            self.assertEqual(answer.error[0], 'XENAPI_PLUGIN_FAILURE', how)
            self.assertIn(answer.error[2], ('XapiUnreachable', 'Timeout'))
            self.assertLess(answer.seconds, 30)

    def test_a_write_that_fails_is_taken_back(self):
        self.platform().update(gpu_weight='5')
        self.xapi.behave['VM.add_to_platform'] = ''

        def add(ref, key, value, real=self.xapi.VM_add_to_platform):
            if key == 'gpu_rate':
                raise xapi_server.Failure('OTHER_OPERATION_IN_PROGRESS', 'VM', ref)
            return real(ref, key, value)
        self.xapi.VM_add_to_platform = add
        error = self.bad('set', vm_uuid=VM, weight='80', pool='B', rate='7', memory_mib='5')
        self.assertEqual(error[0], 'OTHER_OPERATION_IN_PROGRESS')
        self.assertEqual(self.platform(), dict(gpu_weight='5'))

    def test_xapi_refuses(self):
        self.xapi.behave['VM.add_to_platform'] = 'fail:RBAC_PERMISSION_DENIED,vm.add_to_platform,no'
        self.platform().update(gpu_weight='5')
        self.assertEqual(self.bad('set', 'vmadmin', vm_uuid=VM, weight='80')[0],
                         'RBAC_PERMISSION_DENIED')

    def test_xenstore_absent(self):
        os.rmdir(self.xs)
        answer = self.good('set', vm_uuid=VM, weight='80')
        self.assertIn('xenstored does not answer', answer['xenstore'])
        self.assertEqual(self.platform(), dict(gpu_weight='80'))
        self.assertIn('xenstored', self.good('get', vm_uuid=VM)['xenstore']['problem'])

    def test_the_library_of_the_older_release(self):
        """XCP-ng 8.2 has libxenstore.so.3.0 and no other."""
        self.add_domain()
        old = self.work + '/lib'
        os.mkdir(old)
        with open(old + '/libxenstore.so.4', 'w') as f:
            f.write('none')
        call = xapi_server.call('set', 'OpaqueRef:root', dict(vm_uuid=VM, weight='80'))
        answer = self.raw(call, LD_LIBRARY_PATH=old)
        self.assertIn('libxenstore', answer.value['xenstore'])  # it is hidden
        shutil.copy(BUILD + '/tests/xenstore/libxenstore.so.4', old + '/libxenstore.so.3.0')
        self.raw(call.replace('80', '81'), LD_LIBRARY_PATH=old)
        self.assertEqual(self.xs_get('/local/domain/7/platform/gpu_weight'), '81')

    def test_xenstore_hangs(self):
        self.deadline_ms = ''
        self.xs_put('', '')
        open(self.xs + '/.hang', 'w').close()
        answer = self.call('set', vm_uuid=VM, weight='80')
        self.assertEqual(answer.error[2], 'Timeout')
        self.assertIn('VM.platform is written', answer.error[3])
        self.assertLess(answer.seconds, 30)

    def test_two_at_the_same_key(self):
        """Another host's plugin puts the key back between our remove and our add."""
        real, raced = self.xapi.VM_remove_from_platform, []

        def remove(ref, key):
            real(ref, key)
            if not raced:
                raced.append(key)
                self.platform()[key] = '77'
            return ''
        self.xapi.VM_remove_from_platform = remove
        self.good('set', vm_uuid=VM, weight='80')
        self.assertEqual(self.platform(), dict(gpu_weight='80'))

    def test_many_at_once(self):
        self.add_domain()
        calls = [xapi_server.call('set', 'OpaqueRef:root', dict(vm_uuid=VM, weight=str(i + 1),
                                                                rate=str(i + 1)))
                 for i in range(12)]
        answers = [self.finish(p) for p in [self.start(c) for c in calls]]
        done = [a for a in answers if a.ok]
        for a in answers:
            self.assertEqual(a.status, 0)
            self.assertTrue(a.ok or a.error[2] == 'Timeout', a.error)
        self.assertGreater(len(done), 0)
        if len(done) == len(answers):
            self.assertEqual(self.platform()['gpu_rate'], self.platform()['gpu_weight'])
            for key in ('gpu_weight', 'gpu_rate'):
                self.assertEqual(self.xs_get('/local/domain/7/platform/' + key),
                                 self.platform()[key])


class NoMediator(Case):
    mediator_wanted = False

    def test_stored_all_the_same(self):
        self.add_domain()
        answer = self.good('set', vm_uuid=VM, weight='80')
        self.assertEqual(self.platform(), dict(gpu_weight='80'))
        self.assertEqual(self.xs_get('/local/domain/7/platform/gpu_weight'), '80')
        self.assertIn('is vgpu-mediator running?', answer['mediator'])
        self.assertEqual(self.bad('health')[2], 'MediatorError')
        self.assertIn('running?', self.good('version')['mediator'])
        self.assertIn('running?', self.good('list')['problem'])

    def test_that_does_not_answer(self):
        self.deadline_ms = '1500'
        import socket
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.control_path)
        listener.listen(1)
        answer = self.call('health')
        self.assertEqual(answer.error[2], 'Timeout')
        self.assertLess(answer.seconds, 30)
        listener.close()


if __name__ == '__main__':
    unittest.main(verbosity=2)
