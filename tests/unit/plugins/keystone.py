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

"""Answers of a Keystone, in place of the requests to one."""

from __future__ import annotations

from typing import Any
import unittest
from unittest import mock

from keystoneauth1 import fixture
from keystoneauth1 import session as session_

#: Options of a login there.
PASSWORD = {
    'auth_url': 'http://keystone.invalid/v3',
    'username': 'someone',
    'password': 'seeded-secret',
    'project_name': 'vault',
}


class Keystone:
    """Answers logins as version 3 does, and keeps what it was sent."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.bodies: list[Any] = []

    def post(self, session: Any, url: str, **more: Any) -> Any:
        """Take a login."""
        self.bodies.append(more['json'])
        token = fixture.V3Token()
        token.set_project_scope()
        service = token.add_service(self._service)
        for region in ('one', 'two'):
            service.add_standard_endpoints(
                public=f'http://public.{region}/v1/AUTH_x',
                internal=f'http://internal.{region}/v1/AUTH_x/',
                admin=f'http://admin.{region}',
                region=region,
            )
        return Response(token)


class Response:
    """What a session of keystoneauth is answered."""

    headers = {'X-Subject-Token': 'the-token'}
    status_code = 201

    def __init__(self, told: Any) -> None:
        self._told = told

    def json(self) -> Any:
        return self._told


def answer_for(test: unittest.TestCase, service: str) -> Keystone:
    """Have each login in a test answered, by a Keystone with a service."""
    keystone = Keystone(service)

    def post(session: session_.Session, url: str, **more: Any) -> Any:
        return keystone.post(session, url, **more)

    patcher = mock.patch.object(session_.Session, 'post', post)
    patcher.start()
    test.addCleanup(patcher.stop)
    return keystone
