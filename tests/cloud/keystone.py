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


"""A real Keystone on loopback.

Each process that tests has one, begun when it is first asked for and gone
with the process, from the packages that are installed beside this
interpreter (``keystone-requirements.txt``).
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import os
import pathlib
import textwrap
from typing import Any

from tests.cloud import servers

REGION = 'RegionOne'
#: Distinctive, so that a test can look for it where it must not be.
PASSWORD = 'keystone-password-7c6d5e4f'
#: Login of the administrator, by the names of keystoneauth.
ADMIN: Mapping[str, str] = {
    'username': 'admin',
    'password': PASSWORD,
    'project_name': 'admin',
    'user_domain_id': 'default',
    'project_domain_id': 'default',
}

#: Keystone would take the server's arguments for its own.
_APPLICATION = """
import sys
sys.argv = sys.argv[:1]
from keystone.wsgi.api import application
"""


class Keystone:
    """An identity service below one directory.

    :ivar auth_url: of version 3
    """

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root / 'keystone'
        self._root.mkdir()
        (self._port,) = servers.free_ports(1)
        self.auth_url = f'http://127.0.0.1:{self._port}/v3'
        self._configure()
        self.server = servers.Server(
            'keystone',
            [
                str(servers.SCRIPTS / 'gunicorn'),
                '--no-control-socket',
                '--chdir',
                str(self._root),
                '--bind',
                f'127.0.0.1:{self._port}',
                '--workers',
                '1',
                '--threads',
                '4',
                'application:application',
            ],
            self._root,
            {
                'OS_KEYSTONE_CONFIG_DIR': str(self._root),
                'OS_KEYSTONE_CONFIG_FILES': 'keystone.conf',
            },
        )
        self._session: Any = None

    def start(self) -> None:
        """Make the database at the first start, and wait for the answer."""
        if not (self._root / 'keystone.sqlite').exists():
            self._bootstrap()
        self.server.start()
        self.server.wait(functools.partial(servers.listens, self._port))

    def stop(self) -> None:
        """Kill it."""
        self.server.kill()

    def token(self) -> str:
        """Return a token of the administrator."""
        return str(self._admin().get_token())

    def endpoint(self, name: str, kind: str, url: str) -> None:
        """Put a service and its public endpoint into the catalog."""
        made = self._post(
            '/services', {'service': {'name': name, 'type': kind}}
        )
        self._post(
            '/endpoints',
            {
                'endpoint': {
                    'service_id': made['service']['id'],
                    'interface': 'public',
                    'region_id': REGION,
                    'url': url,
                }
            },
        )

    def user(self, name: str, password: str, project: str, role: str) -> str:
        """Make a user with a role in a project; return the project's id.

        The project is made where it is missing.
        """
        project_id = self._id('projects', project) or str(
            self._post(
                '/projects',
                {'project': {'name': project, 'domain_id': 'default'}},
            )['project']['id']
        )
        made = self._post(
            '/users',
            {
                'user': {
                    'name': name,
                    'password': password,
                    'domain_id': 'default',
                }
            },
        )
        role_id = self._id('roles', role)
        self._admin().put(
            f'{self.auth_url}/projects/{project_id}/users/'
            f'{made["user"]["id"]}/roles/{role_id}'
        )
        return project_id

    def _id(self, kind: str, name: str) -> str:
        found = self._admin().get(
            f'{self.auth_url}/{kind}', params={'name': name}
        )
        return next((str(each['id']) for each in found.json()[kind]), '')

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._admin().post(f'{self.auth_url}{path}', json=body).json()

    def _admin(self) -> Any:
        from keystoneauth1.identity import v3
        from keystoneauth1 import session

        if self._session is None:
            login: dict[str, Any] = dict(ADMIN)
            self._session = session.Session(
                auth=v3.Password(self.auth_url, **login)
            )
        return self._session

    def _configure(self) -> None:
        for name in ('fernet', 'credential'):
            (self._root / name).mkdir(mode=0o700)
        (self._root / 'application.py').write_text(_APPLICATION)
        (self._root / 'keystone.conf').write_text(
            textwrap.dedent(f"""\
                [database]
                connection = sqlite:///{self._root}/keystone.sqlite
                [identity]
                password_hash_rounds = 4
                [fernet_tokens]
                key_repository = {self._root}/fernet
                [credential]
                key_repository = {self._root}/credential
                [cache]
                enabled = false
                """)
        )

    def _bootstrap(self) -> None:
        log = self._root / 'manage.log'
        manage = [
            str(servers.SCRIPTS / 'keystone-manage'),
            '--config-file',
            str(self._root / 'keystone.conf'),
        ]
        owner = [
            '--keystone-user',
            str(os.geteuid()),
            '--keystone-group',
            str(os.getegid()),
        ]
        servers.run([*manage, 'db_sync'], log)
        servers.run([*manage, 'fernet_setup', *owner], log)
        servers.run([*manage, 'credential_setup', *owner], log)
        servers.run(
            [
                *manage,
                'bootstrap',
                '--bootstrap-password',
                PASSWORD,
                '--bootstrap-region-id',
                REGION,
                '--bootstrap-public-url',
                self.auth_url,
                '--bootstrap-internal-url',
                self.auth_url,
            ],
            log,
        )


def keystone() -> Keystone:
    """Return the Keystone of this process."""
    return _begun(os.getpid())


@functools.cache
def _begun(process: int) -> Keystone:
    return servers.begin('keystone', Keystone)
