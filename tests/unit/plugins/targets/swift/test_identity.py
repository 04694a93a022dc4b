# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""How the driver logs in, before anybody is asked."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
import tempfile
from typing import Any
import unittest
from unittest import mock

from backupkit import errors
from backupkit.testing import sections
from backupkit_plugins.targets import swift
from keystoneauth1 import session as session_
from tests.unit.plugins import keystone


class IdentityTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.keystone = keystone.answer_for(self, 'object-store')

    def load(self, **options: Any) -> swift.SwiftTarget:
        target = sections.load_target('swift', container='c', **options)
        assert isinstance(target, swift.SwiftTarget)
        return target

    def methods(self) -> Sequence[str]:
        methods: Sequence[str] = self.keystone.bodies[-1]['auth']['identity'][
            'methods'
        ]
        return methods

    def test_access_when_by_password_then_the_domain_is_default(self) -> None:
        access = self.load(**keystone.PASSWORD)._identity.access()
        self.assertEqual('http://public.one/v1/AUTH_x', access.storage_url)
        self.assertEqual('the-token', access.token)
        auth = self.keystone.bodies[0]['auth']
        user = auth['identity']['password']['user']
        self.assertEqual({'id': 'default'}, user['domain'])
        self.assertEqual('default', auth['scope']['project']['domain']['id'])

    def test_access_when_region_and_interface_are_given_then_those(
        self,
    ) -> None:
        access = self.load(
            **keystone.PASSWORD, region_name='two', interface='internal'
        )._identity.access()
        self.assertEqual('http://internal.two/v1/AUTH_x', access.storage_url)

    def test_access_when_there_is_no_such_region_then_told(self) -> None:
        target = self.load(**keystone.PASSWORD, region_name='nowhere')
        with self.assertRaisesRegex(errors.ConfigurationError, 'nowhere'):
            target._identity.access()

    def test_access_when_by_application_credential_then_without_scope(
        self,
    ) -> None:
        self.load(
            auth_type='v3applicationcredential',
            auth_url='http://keystone.invalid',
            application_credential_id='id',
            application_credential_secret='seeded-secret',
        )._identity.access()
        self.assertEqual(['application_credential'], self.methods())
        self.assertNotIn('scope', self.keystone.bodies[0]['auth'])

    def test_access_when_a_cloud_is_named_then_as_clouds_yaml_says(
        self,
    ) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, 'clouds.yaml')
            path.write_text(
                'clouds:\n  vault:\n    region_name: two\n'
                '    interface: internal\n    auth:\n'
                '      auth_url: http://keystone.invalid/v3\n'
                '      username: someone\n      password: seeded-secret\n'
                '      project_name: vault\n'
                '      user_domain_id: default\n'
                '      project_domain_id: default\n'
                '    auth_type: v3password\n'
            )
            named = {'cloud': 'vault', 'clouds_file': str(path)}
            access = self.load(**named)._identity.access()
            with self.assertRaisesRegex(errors.ConfigurationError, 'absent'):
                self.load(**(named | {'cloud': 'absent'}))._identity.access()
        self.assertEqual('http://internal.two/v1/AUTH_x', access.storage_url)

    def test_access_when_the_password_is_in_secure_yaml_then_it_is_used(
        self,
    ) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, 'clouds.yaml')
            path.write_text(
                'clouds:\n  vault:\n    auth:\n'
                '      auth_url: http://keystone.invalid/v3\n'
                '      username: someone\n'
                '      project_name: vault\n'
                '      user_domain_id: default\n'
                '      project_domain_id: default\n'
            )
            path.with_name('secure.yaml').write_text(
                'clouds:\n  vault:\n    auth:\n      password: seeded-secret\n'
            )
            named = {'cloud': 'vault', 'clouds_file': str(path)}
            self.load(**named)._identity.access()
        told = self.keystone.bodies[0]['auth']['identity']['password']
        self.assertEqual('seeded-secret', told['user']['password'])

    def test_access_when_something_lacks_then_it_is_named(self) -> None:
        for name in keystone.PASSWORD:
            given = {
                key: one
                for key, one in keystone.PASSWORD.items()
                if key != name
            }
            with self.assertRaisesRegex(errors.ConfigurationError, name):
                self.load(**given)._identity.access()

    def test_access_when_it_is_shown_then_without_its_token(self) -> None:
        access = self.load(**keystone.PASSWORD)._identity.access()
        self.assertNotIn('the-token', repr(access))

    def test_access_when_the_answer_is_none_then_told_by_its_kind(
        self,
    ) -> None:
        given = {
            'auth_type': 'v1password',
            'auth_url': 'http://swift.invalid/auth/v1.0',
            'username': 'account:someone',
            'password': 'seeded-secret',
        }
        kinds = {200: errors.TargetUnavailable, 302: errors.TargetError}
        for status, kind in kinds.items():
            answer = mock.Mock(
                spec=keystone.Response, status_code=status, headers={}
            )
            with (
                mock.patch.object(
                    session_.Session,
                    'get',
                    autospec=True,
                    return_value=answer,
                ),
                self.assertRaisesRegex(kind, 'auth_url') as raised,
            ):
                self.load(**given)._identity.access()
            self.assertIs(kind, type(raised.exception))

    def test_renew_when_another_thread_did_then_not_again(self) -> None:
        identity = self.load(**keystone.PASSWORD)._identity
        first = identity.access()
        identity.renew(first)
        second = identity.access()
        identity.renew(first)
        self.assertIs(second, identity.access())
        self.assertEqual(2, len(self.keystone.bodies))

    def test_options_when_they_are_secret_then_marked_so(self) -> None:
        secret = {
            one.name for one in swift.SwiftTarget.get_options() if one.secret
        }
        self.assertEqual({'password', 'application_credential_secret'}, secret)

    def test_environment_when_there_are_many_connections_then_in_budget(
        self,
    ) -> None:
        target = self.load(**keystone.PASSWORD, connections=64)
        target.set_environment('/nowhere', 2, 256 << 20)
        self.assertLessEqual(target.threads * 12 << 20, 64 << 20)
        self.assertGreater(target.threads, 2)
