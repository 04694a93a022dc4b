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

"""Logging in at a real Keystone, in each way that there is."""

from __future__ import annotations

import functools
import os
import pathlib
import tempfile
from typing import Any
import unittest
import urllib.request
import uuid

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.testing import cycle
from backupkit.testing import plain
from backupkit.testing import sections
from backupkit_plugins.targets import swift
from tests.servers import keystone as keystone_
from tests.swift import cloud
from tests.swift import stand

_PROXY = 'keystone-proxy'
_OPERATOR = 'operator'

DATA = os.urandom(300_000)


@functools.cache
def _guarded(process: int) -> dict[str, Any]:
    """Put a proxy before Swift that asks Keystone; return the project."""
    keystone = keystone_.keystone()
    service = keystone.create('project', name='service', domain_id='default')
    user, password, _ = keystone.make_user(service['id'], 'admin')
    url = cloud.cloud().add_proxy(
        _PROXY,
        {
            'authtoken': {
                'paste.filter_factory': (
                    'keystonemiddleware.auth_token:filter_factory'
                ),
                'auth_type': 'password',
                'auth_url': keystone.url,
                'www_authenticate_uri': keystone.url,
                'username': user,
                'password': password,
                'project_name': 'service',
                'user_domain_id': 'default',
                'project_domain_id': 'default',
                'delay_auth_decision': 'true',
                'cache': 'swift.cache',
                'include_service_catalog': 'false',
            },
            'keystoneauth': {
                'use': 'egg:swift#keystoneauth',
                'operator_roles': _OPERATOR,
            },
        },
    )
    keystone.publish(
        'swift',
        'object-store',
        f'{url}/v1/AUTH_%(project_id)s',
        ('public', 'internal'),
    )
    return keystone.create('project', name='backups', domain_id='default')


class KeystoneCase(unittest.TestCase):
    """A user of a project, and a container of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.keystone = keystone_.keystone()
        self.project = _guarded(os.getpid())
        self.container = stand.container()
        self.user, self.password, self.user_id = self.keystone.make_user(
            self.project['id'], _OPERATOR
        )

    def load(self, **options: Any) -> swift.SwiftTarget:
        """Return a target of the user, with these options instead."""
        given = {
            'auth_url': self.keystone.url,
            'username': self.user,
            'password': self.password,
            'project_name': 'backups',
            **options,
        }
        return self.load_only(
            **{name: value for name, value in given.items() if value}
        )

    def load_only(self, **options: Any) -> swift.SwiftTarget:
        """Return a target that logs in as these options say."""
        target = sections.load_target(
            'swift',
            container=self.container,
            chunk_size_bytes=16384,
            pack_size_bytes=131072,
            retry_deadline_seconds=60.0,
            **options,
        )
        assert isinstance(target, swift.SwiftTarget)
        return target

    def open(self, target: swift.SwiftTarget) -> store_.Store:
        """Return the target's store in its wrappers."""
        opened = target.open()
        self.addCleanup(opened.close)
        return target.store_wrapper(opened, None)

    def assert_works(self, target: swift.SwiftTarget) -> None:
        """Check that a backup can be made there and restored."""
        target.check()
        kept = cycle.Cycle(target)
        summary = kept.backup(plain.PlainVolume(DATA, 'v'))
        writer = plain.PlainWriter(len(DATA), DATA)
        kept.restore(summary.backup_id, writer)
        self.assertEqual(DATA, bytes(writer.data))

    def application_credential(self, **fields: Any) -> dict[str, Any]:
        """Make one for the user."""
        token = self.keystone.log_in(self.user, self.password, 'backups')
        answer = self.keystone.ask(
            'POST',
            f'/users/{self.user_id}/application_credentials',
            {'application_credential': {'name': uuid.uuid4().hex, **fields}},
            token,
        )
        made = answer['application_credential']
        assert isinstance(made, dict)
        return made


class PasswordTest(KeystoneCase):
    def test_backup_when_names_are_given_then_it_works(self) -> None:
        self.assert_works(self.load())

    def test_backup_when_ids_are_given_then_it_works(self) -> None:
        self.assert_works(
            self.load(
                username='',
                project_name='',
                user_id=self.user_id,
                project_id=self.project['id'],
                interface='internal',
                region_name=keystone_.REGION,
            )
        )

    def test_check_when_the_password_is_wrong_then_it_says_so(self) -> None:
        target = self.load(password='wrong')
        with self.assertRaisesRegex(errors.TargetError, 'credentials'):
            target.check()

    def test_check_when_the_user_is_unknown_then_it_says_so(self) -> None:
        target = self.load(username='nobody')
        with self.assertRaisesRegex(errors.TargetError, 'credentials'):
            target.check()

    def test_check_when_the_project_is_another_then_it_says_so(self) -> None:
        target = self.load(project_name='service')
        with self.assertRaisesRegex(errors.TargetError, 'credentials'):
            target.check()

    def test_check_when_there_is_no_such_region_then_named(self) -> None:
        target = self.load(region_name='Nowhere')
        with self.assertRaisesRegex(errors.ConfigurationError, 'Nowhere'):
            target.check()

    def test_check_when_there_is_no_such_endpoint_then_named(self) -> None:
        target = self.load(interface='admin')
        with self.assertRaisesRegex(errors.ConfigurationError, 'interface'):
            target.check()

    def test_call_when_the_token_is_revoked_then_logs_in_again(self) -> None:
        target = self.load()
        opened = self.open(target)
        opened.put('name', [DATA])
        before = target._identity.access().token
        self.keystone.revoke(before)
        # The proxy remembers for a while whom it has asked about.
        cloud.cloud().kill(_PROXY)
        cloud.cloud().revive(_PROXY)
        self.assertEqual(DATA, opened.get('name'))
        self.assertNotEqual(before, target._identity.access().token)


class RightsTest(KeystoneCase):
    def guest(self) -> dict[str, Any]:
        """Return a user who may do nothing in the project's account."""
        name, password, user_id = self.keystone.make_user(
            self.project['id'], 'onlooker'
        )
        self.guest_id = user_id
        return {'username': name, 'password': password}

    def test_check_when_the_user_has_no_rights_then_refused(self) -> None:
        self.open(self.load()).put('name', [DATA])
        target = self.load(**self.guest())
        with self.assertRaisesRegex(errors.TargetError, 'may not'):
            target.check()
        with self.assertRaisesRegex(errors.TargetError, 'may not'):
            self.open(target).get('name')

    def test_put_when_there_are_no_rights_then_nothing_is_made(self) -> None:
        opened = self.open(self.load(**self.guest()))
        with self.assertRaises(errors.TargetError):
            opened.put('name', [DATA])
        with self.assertRaises(errors.ObjectNotFound):
            self.open(self.load()).get('name')

    def test_put_when_the_user_may_only_read_then_read_only(self) -> None:
        owner = self.load()
        self.open(owner).put('name', [DATA])
        opened = self.open(self.load(**self.guest()))
        access = owner._identity.access()
        request = urllib.request.Request(
            f'{access.storage_url}/{self.container}',
            method='POST',
            headers={
                'X-Auth-Token': access.token,
                'X-Container-Read': (
                    f'{self.project["id"]}:{self.guest_id},.rlistings'
                ),
            },
        )
        with urllib.request.urlopen(request):
            pass
        self.assertEqual(DATA, opened.get('name'))
        with self.assertRaises(errors.TargetReadOnly):
            opened.put('other', [b'small'])


class ApplicationCredentialTest(KeystoneCase):
    def load_it(self, **options: Any) -> swift.SwiftTarget:
        return self.load_only(
            auth_type='v3applicationcredential',
            auth_url=self.keystone.url,
            **options,
        )

    def test_backup_when_its_id_is_given_then_it_works(self) -> None:
        made = self.application_credential()
        target = self.load_it(
            application_credential_id=made['id'],
            application_credential_secret=made['secret'],
        )
        self.assert_works(target)

    def test_backup_when_its_name_is_given_then_it_works(self) -> None:
        made = self.application_credential()
        target = self.load_it(
            application_credential_name=made['name'],
            application_credential_secret=made['secret'],
            username=self.user,
        )
        self.assert_works(target)

    def test_check_when_the_secret_is_wrong_then_it_says_so(self) -> None:
        made = self.application_credential()
        target = self.load_it(
            application_credential_id=made['id'],
            application_credential_secret='wrong',
        )
        with self.assertRaisesRegex(errors.TargetError, 'credentials'):
            target.check()

    def test_check_when_it_is_deleted_then_it_says_so(self) -> None:
        made = self.application_credential()
        target = self.load_it(
            application_credential_id=made['id'],
            application_credential_secret=made['secret'],
        )
        target.check()
        token = self.keystone.log_in(self.user, self.password, 'backups')
        self.keystone.ask(
            'DELETE',
            f'/users/{self.user_id}/application_credentials/{made["id"]}',
            token=token,
        )
        with self.assertRaisesRegex(
            errors.TargetError, 'application credential'
        ):
            self.load_it(
                application_credential_id=made['id'],
                application_credential_secret=made['secret'],
            ).check()


class CloudsTest(KeystoneCase):
    """clouds.yaml, and secure.yaml beside it."""

    def write(self, password: str) -> str:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        place = pathlib.Path(made.name)
        (place / 'clouds.yaml').write_text(
            'clouds:\n'
            '  backup:\n'
            f'    region_name: {keystone_.REGION}\n'
            '    auth:\n'
            f'      auth_url: {self.keystone.url}\n'
            f'      username: {self.user}\n'
            '      project_name: backups\n'
            '      user_domain_id: default\n'
            '      project_domain_id: default\n'
        )
        (place / 'secure.yaml').write_text(
            f'clouds:\n  backup:\n    auth:\n      password: {password}\n'
        )
        return str(place / 'clouds.yaml')

    def test_backup_when_a_cloud_is_named_then_it_works(self) -> None:
        path = self.write(self.password)
        self.assert_works(self.load_only(cloud='backup', clouds_file=path))

    def test_check_when_its_password_is_wrong_then_it_says_so(self) -> None:
        target = self.load_only(
            cloud='backup', clouds_file=self.write('wrong')
        )
        with self.assertRaisesRegex(errors.TargetError, 'credentials'):
            target.check()

    def test_check_when_there_is_no_such_cloud_then_named(self) -> None:
        target = self.load_only(
            cloud='other', clouds_file=self.write(self.password)
        )
        with self.assertRaisesRegex(errors.ConfigurationError, 'other'):
            target.check()
