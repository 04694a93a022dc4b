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

"""What the drivers of services of OpenStack have in common at a login."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any
import unittest

from backupkit.drivers import contract
from backupkit import errors
from backupkit.testing import sections
from backupkit_plugins.keystone import login
from backupkit_plugins.keystone import service as service_
from backupkit_plugins.targets.swift import options as swift
from backupkit_plugins.volumes.cinder import options as cinder
from tests.unit.plugins import keystone

SERVICES = (swift.SERVICE, cinder.SERVICE)
OTHER_CA = '/etc/ssl/other.pem'


def load(service: service_.Service, **options: Any) -> contract.Section:
    """Return a section of the driver whose service it is."""
    if service is swift.SERVICE:
        return sections.load_target('swift', container='c', **options).section
    return sections.load_volume_driver('cinder', **options).section


class OptionsTest(unittest.TestCase):
    def test_options_when_of_any_service_then_the_same(self) -> None:
        names = [
            [
                option.name
                for option in service.options()
                if option is not service.endpoint
            ]
            for service in SERVICES
        ]
        self.assertEqual(names[0], names[1])

    def test_options_when_a_way_wants_them_then_they_are_there(self) -> None:
        for service in SERVICES:
            names = {option.name for option in service.options()}
            for way in (
                service_.PASSWORD,
                service_.APPLICATION_CREDENTIAL,
                service.other,
            ):
                wanted = {name for group in way.needed for name in group}
                self.assertEqual(set(), (wanted | set(way.taken)) - names)

    def test_options_when_they_are_secret_then_marked_so(self) -> None:
        for service in SERVICES:
            self.assertEqual(
                ['password', 'application_credential_secret'],
                [o.name for o in service.options() if o.secret],
            )


class LoginCase(unittest.TestCase):
    def log_in(self, service: service_.Service, **options: Any) -> login.Login:
        """Return a login by a section with these options."""
        return login.log_in('a:b', load(service, **options), service)


class SectionTest(LoginCase):
    def test_login_when_an_option_is_missing_then_it_is_named(self) -> None:
        for service in SERVICES:
            for name in keystone.PASSWORD:
                given = {**keystone.PASSWORD, name: ''}
                if name == 'auth_url':
                    del given[name]
                with self.assertRaisesRegex(
                    errors.ConfigurationError, rf'\[a:b\] lacks {name}'
                ):
                    self.log_in(service, **given)

    def test_login_when_the_section_says_all_then_as_it_says(self) -> None:
        for service in SERVICES:
            found = self.log_in(service, **keystone.PASSWORD)
            self.assertIs(True, found.verify)
            self.assertEqual('public', found.interface)
            self.assertIsNone(found.region_name)
            self.assertIsNone(found.endpoint)

    def test_login_when_made_then_redirections_are_not_followed(self) -> None:
        for service in SERVICES:
            found = self.log_in(service, **keystone.PASSWORD)
            self.assertIs(False, found.session.redirect)


class CloudTest(LoginCase):
    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.place = pathlib.Path(made.name)

    def write(self, name: str, **cloud: Any) -> str:
        """Write a file of clouds, which YAML may be too; return its path."""
        path = self.place / name
        path.write_text(json.dumps({'clouds': {'vault': cloud}}))
        return str(path)

    def clouds(self, **more: Any) -> dict[str, Any]:
        """Return options that name a cloud with a password elsewhere."""
        auth = {**keystone.PASSWORD, 'user_domain_id': 'default'}
        auth['project_domain_id'] = 'default'
        del auth['password']
        path = self.write('clouds.yaml', auth=auth, **more)
        self.write('secure.yaml', auth={'password': 'seeded-secret'})
        return {'cloud': 'vault', 'clouds_file': path}

    def test_login_when_secure_yaml_is_beside_then_it_is_read(self) -> None:
        for service in SERVICES:
            answering = keystone.answer_for(self, service.kind)
            found = self.log_in(service, **self.clouds())
            self.assertEqual('the-token', found.session.get_token())
            told = answering.bodies[0]['auth']['identity']['password']
            self.assertEqual('seeded-secret', told['user']['password'])

    def test_login_when_a_cloud_says_more_then_it_is_heeded(self) -> None:
        for service in SERVICES:
            key = f'{service.kind.replace("-", "_")}_endpoint_override'
            named = self.clouds(
                region_name='two',
                interface='internal',
                cacert='/etc/ssl/cloud.pem',
                **{key: 'http://own.invalid/v3'},
            )
            found = self.log_in(service, **named)
            self.assertEqual('/etc/ssl/cloud.pem', found.verify)
            self.assertEqual('internal', found.interface)
            self.assertEqual('two', found.region_name)
            self.assertEqual('http://own.invalid/v3', found.endpoint)

    def test_login_when_the_section_says_too_then_that_counts(self) -> None:
        for service in SERVICES:
            named = self.clouds(region_name='two', interface='internal')
            found = self.log_in(
                service,
                **named,
                region_name='one',
                interface='admin',
                ca_file=OTHER_CA,
                **{service.endpoint.name: 'http://own.invalid/v3'},
            )
            self.assertEqual(OTHER_CA, found.verify)
            self.assertEqual('admin', found.interface)
            self.assertEqual('one', found.region_name)
            self.assertEqual('http://own.invalid/v3', found.endpoint)
            found = self.log_in(service, **named, insecure=True)
            self.assertIs(False, found.verify)

    def test_login_when_there_is_no_such_cloud_then_named(self) -> None:
        for service in SERVICES:
            named = self.clouds() | {'cloud': 'absent'}
            with self.assertRaisesRegex(
                errors.ConfigurationError, r'\[a:b\] cloud = absent'
            ):
                self.log_in(service, **named)
