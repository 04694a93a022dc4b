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

"""A real Keystone on loopback: SQLite, Fernet tokens, one process.

Each process that tests has one, begun when it is first asked for and gone
with the process, from the package that is installed beside this interpreter
(``requirements.txt``).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
import configparser
import functools
import json
import os
import pathlib
import sys
from typing import Any
import urllib.error
import urllib.request
import uuid

from tests.servers import ports
from tests.servers import process as process_
from tests.servers import service

#: Distinctive, so that a test can look for it where it must not be.
PASSWORD = 'keystone-admin-5d6c7b8a'
REGION = 'RegionOne'


class Keystone:
    """An identity service below one directory.

    :ivar url: of its version 3
    """

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root
        (port,) = ports.free(1)
        self._token = ''
        self.url = f'http://127.0.0.1:{port}/v3'
        self._environment = {
            'OS_KEYSTONE_CONFIG_DIR': str(root),
            'OS_KEYSTONE_CONFIG_FILES': 'keystone.conf',
        }
        program = pathlib.Path(__file__).with_name('keystone_server.py')
        self._server = process_.Server(
            'keystone',
            # Without -P our own module would be taken for Keystone.
            [sys.executable, '-P', str(program), str(port)],
            root,
            self._environment,
        )
        self._configure()

    def start(self) -> None:
        """Make its database, start it, and wait until it answers."""
        self._manage('db_sync')
        self._manage(
            'bootstrap',
            *('--bootstrap-password', PASSWORD),
            *('--bootstrap-region-id', REGION),
            *('--bootstrap-public-url', f'{self.url}/'),
            # Where other services ask it about tokens.
            *('--bootstrap-internal-url', f'{self.url}/'),
        )
        self._server.start()
        self._server.wait(self._answers)

    def stop(self) -> None:
        """Kill it."""
        self._server.kill()

    def create(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Make a ``project``, ``user``, ``service``, ``endpoint``..."""
        answer = self.ask('POST', f'/{kind}s', {kind: fields})
        made = answer[kind]
        assert isinstance(made, dict)
        return made

    def publish(
        self, name: str, kind: str, url: str, interfaces: Sequence[str]
    ) -> None:
        """Put a service and its endpoints into the catalog."""
        made = self.create('service', name=name, type=kind)
        for interface in interfaces:
            self.create(
                'endpoint',
                service_id=made['id'],
                interface=interface,
                region_id=REGION,
                url=url,
            )

    def project(self, name: str) -> str:
        """Return the id of a project, which is made if needed."""
        found = self.ask('GET', f'/projects?name={name}')['projects']
        made = found or [
            self.create('project', name=name, domain_id='default')
        ]
        return str(made[0]['id'])

    def grant(self, user_id: str, project_id: str, role: str) -> None:
        """Give a user a role in a project, making the role if needed."""
        found = self.ask('GET', f'/roles?name={role}')['roles']
        role_id = (found or [self.create('role', name=role)])[0]['id']
        self.ask(
            'PUT', f'/projects/{project_id}/users/{user_id}/roles/{role_id}'
        )

    def add_user(
        self, name: str, password: str, project_id: str, role: str
    ) -> str:
        """Make a user with a role in a project; return its id."""
        made = self.create(
            'user', name=name, password=password, domain_id='default'
        )
        self.grant(made['id'], project_id, role)
        return str(made['id'])

    def make_user(self, project_id: str, role: str) -> tuple[str, str, str]:
        """Return name, password and id of a new user with a role."""
        name, password = f'u-{uuid.uuid4().hex}', f'p-{uuid.uuid4().hex}'
        user_id = self.add_user(name, password, project_id, role)
        return name, password, user_id

    def log_in(self, name: str, password: str, project: str) -> str:
        """Return a token of a user in a project of the default domain."""
        domain = {'id': 'default'}
        user = {'name': name, 'password': password, 'domain': domain}
        body = {
            'auth': {
                'identity': {
                    'methods': ['password'],
                    'password': {'user': user},
                },
                'scope': {'project': {'name': project, 'domain': domain}},
            }
        }
        with self._open('POST', '/auth/tokens', body, '') as answer:
            return str(answer.headers['X-Subject-Token'])

    def revoke(self, token: str) -> None:
        """End a token before its time."""
        headers = {'X-Subject-Token': token}
        with self._open(
            'DELETE', '/auth/tokens', None, self._admin(), headers
        ):
            pass

    def ask(
        self, method: str, path: str, body: Any = None, token: str = ''
    ) -> Any:
        """Ask its API, as its administrator unless a token is given."""
        with self._open(method, path, body, token or self._admin()) as answer:
            return json.loads(answer.read() or b'{}')

    def _admin(self) -> str:
        if not self._token:
            self._token = self.log_in('admin', PASSWORD, 'admin')
        return self._token

    def _open(
        self,
        method: str,
        path: str,
        body: Any,
        token: str,
        headers: dict[str, str] | None = None,
    ) -> Any:
        request = urllib.request.Request(
            f'{self.url}{path}',
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                'Content-Type': 'application/json',
                'X-Auth-Token': token,
                **(headers or {}),
            },
        )
        try:
            return urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as exc:
            raise AssertionError(f'{method} {path}: {exc.read()!r}') from exc

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=10):
                return True
        except OSError:
            return False

    def _manage(self, *arguments: str) -> None:
        process_.run(
            [
                str(process_.SCRIPTS / 'keystone-manage'),
                '--config-file',
                str(self._root / 'keystone.conf'),
                *arguments,
            ],
            self._root / 'manage.log',
            self._environment,
        )

    def _configure(self) -> None:
        for name in ('fernet', 'credential'):
            keys = self._root / name
            keys.mkdir(mode=0o700)
            for number in ('0', '1'):
                key = base64.urlsafe_b64encode(os.urandom(32))
                (keys / number).write_bytes(key)
                (keys / number).chmod(0o600)
        parser = configparser.RawConfigParser()
        parser.read_dict(
            {
                'database': {
                    'connection': f'sqlite:///{self._root}/keystone.sqlite'
                },
                'identity': {'password_hash_rounds': '4'},
                'fernet_tokens': {'key_repository': f'{self._root}/fernet'},
                'credential': {'key_repository': f'{self._root}/credential'},
                'cache': {'enabled': 'false'},
            }
        )
        with (self._root / 'keystone.conf').open('w') as file:
            parser.write(file)


def keystone() -> Keystone:
    """Return the Keystone of this process."""
    return _begun(os.getpid())


@functools.cache
def _begun(process: int) -> Keystone:
    return service.begin('keystone', service.memory(), Keystone)
