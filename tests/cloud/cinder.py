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

"""A real Cinder on loopback: scheduler, volume service and two APIs.

One of the APIs asks Keystone who somebody is; the other one (``noauth``)
believes what it is told, as in a lab.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess
import sys
import textwrap
from typing import Any
import urllib.request

from tests.cloud import rabbit as rabbit_
from tests.servers import keystone as keystone_
from tests.servers import ports
from tests.servers import process as process_
from tests.servers import service

#: The project of everybody without Keystone.
PROJECT_ID = '0123456789abcdef0123456789abcdef'
#: Types of volumes: one attachment at a time, and several.
TYPE = 'loop'
SHARED_TYPE = 'loop-shared'
#: The user of the tests at Keystone; an administrator of its project.
USER = 'backupkit'
PASSWORD = 'backupkit-password-1a2b3c4d'
PROJECT = 'backups'

#: What runs in the services, where they find it.
_INSIDE = pathlib.Path(__file__).with_name('inside')
_SERVICES = ('scheduler', 'volume')
_APIS = ('keystone', 'noauth')
_VERSION = '3.70'


class Cloud:
    """Keystone and Cinder below one directory."""

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root / 'cinder'
        self._root.mkdir()
        self.keystone = keystone_.keystone()
        self._rabbit = rabbit_.Rabbit(root)
        self._ports = dict(zip(_APIS, ports.free(len(_APIS)), strict=True))
        self.loop_files = self._root / 'loop_files'
        self.project_id = ''
        self._servers = {
            name: self._server(name, 'keystone') for name in _SERVICES
        }
        for auth in _APIS:
            self._servers[f'api-{auth}'] = self._server(f'api-{auth}', auth)

    def url(self, auth: str = 'noauth') -> str:
        """Return where an API is, with the project of the tests."""
        project = PROJECT_ID if auth == 'noauth' else self.project_id
        return f'http://127.0.0.1:{self._ports[auth]}/v3/{project}'

    def start(self) -> None:
        """Start all, and wait until volumes can be made."""
        self._rabbit.start()
        for auth in _APIS:
            self._configure(auth)
        config = str(self._root / 'keystone.conf')
        process_.run(
            ['cinder-manage', '--config-file', config, 'db', 'sync'],
            self._root / 'manage.log',
        )
        self._register()
        self._rabbit.wait()
        for name in self._servers:
            self._servers[name].start()
        for auth in _APIS:
            self._wait_api(auth)
        self._servers['volume'].wait(self._has_pool)
        self._make_types()

    def stop(self) -> None:
        """Kill all, and let go of the devices that are left."""
        for server in self._servers.values():
            server.kill()
        self._rabbit.stop()
        for device in self.devices():
            subprocess.run(['losetup', '-d', device], check=False)

    def kill(self, name: str) -> None:
        """Kill one server, as a lost machine would be."""
        self._servers[name].kill()

    def revive(self, name: str) -> None:
        """Start one server again, and wait until it works."""
        self._servers[name].start()
        kind, _, auth = name.partition('-')
        if kind == 'api':
            self._wait_api(auth)
        else:
            self._servers[name].wait(self._is_up)

    def devices(self) -> list[str]:
        """Return the loop devices of attached volumes."""
        listed = subprocess.run(
            ['losetup', '--list', '--noheadings', '-O', 'NAME,BACK-FILE'],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        pairs = [line.split(None, 1) for line in listed.splitlines()]
        return [p[0] for p in pairs if str(self.loop_files) in p[-1]]

    def files(self) -> list[str]:
        """Return the names of all volumes and snapshots that there are."""
        if not self.loop_files.exists():
            return []
        return sorted(path.name for path in self.loop_files.iterdir())

    def wait_volume(self, volume_id: str) -> None:
        """Return once a volume is available."""
        self._servers['volume'].wait(
            lambda: (
                self.ask(f'/volumes/{volume_id}')['volume']['status']
                == 'available'
            )
        )

    def ask(self, path: str, body: Any = None, method: str = '') -> Any:
        """Ask the API without Keystone, as another program would."""
        request = urllib.request.Request(
            self.url() + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method or ('GET' if body is None else 'POST'),
            headers={
                'X-Auth-Token': f'admin:{PROJECT_ID}',
                'Content-Type': 'application/json',
                'OpenStack-API-Version': f'volume {_VERSION}',
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _server(self, name: str, auth: str) -> process_.Server:
        kind = name.partition('-')[0]
        return process_.Server(
            f'cinder-{name}',
            [
                sys.executable,
                str(_INSIDE / 'serve.py'),
                kind,
                '--config-file',
                str(self._root / f'{auth}.conf'),
            ],
            self._root,
            {'PYTHONPATH': str(_INSIDE)},
        )

    def _register(self) -> None:
        keystone = self.keystone
        service_id = keystone.project('service')
        keystone.add_user('cinder', 'secret', service_id, 'admin')
        self.project_id = keystone.project(PROJECT)
        keystone.add_user(USER, PASSWORD, self.project_id, 'admin')
        keystone.publish(
            'cinder',
            'block-storage',
            f'http://127.0.0.1:{self._ports["keystone"]}/v3',
            ('public',),
        )

    def _wait_api(self, auth: str) -> None:
        port = self._ports[auth]
        self._servers[f'api-{auth}'].wait(
            functools.partial(ports.listens, port)
        )

    def _is_up(self) -> bool:
        try:
            found = self.ask('/os-services')['services']
        except OSError:
            return False
        states = [each['state'] for each in found]
        return len(states) >= len(_SERVICES) and set(states) == {'up'}

    def _has_pool(self) -> bool:
        try:
            pools = self.ask('/scheduler-stats/get_pools')['pools']
        except OSError:
            return False
        return bool(pools) and self._is_up()

    def _make_types(self) -> None:
        for name, specs in (
            (TYPE, {}),
            (SHARED_TYPE, {'multiattach': '<is> True'}),
        ):
            specs = {'volume_backend_name': 'loop', **specs}
            self.ask(
                '/types', {'volume_type': {'name': name, 'extra_specs': specs}}
            )

    def _configure(self, auth: str) -> None:
        shared = pathlib.Path(sys.prefix) / 'etc' / 'cinder'
        config = self._root / f'{auth}.conf'
        helper = f'{process_.SCRIPTS}/privsep-helper --config-file {config}'
        (self._root / 'state').mkdir(exist_ok=True)
        config.write_text(
            textwrap.dedent(f"""\
                [DEFAULT]
                state_path = {self._root}/state
                api_paste_config = {shared}/api-paste.ini
                resource_query_filters_file = {shared}/resource_filters.json
                rootwrap_config = {shared}/rootwrap.conf
                auth_strategy = {auth}
                my_ip = 127.0.0.1
                host = mini
                osapi_volume_listen = 127.0.0.1
                osapi_volume_listen_port = {self._ports[auth]}
                osapi_volume_workers = 1
                transport_url = {self._rabbit.url}
                enabled_backends = loop
                default_volume_type = {TYPE}
                report_interval = 2
                service_down_time = 120
                use_stderr = true
                [database]
                connection = sqlite:///{self._root}/cinder.sqlite?timeout=60
                [oslo_concurrency]
                lock_path = {self._root}/lock
                [oslo_messaging_notifications]
                driver = noop
                [coordination]
                backend_url = file://{self._root}/state
                [cinder_sys_admin]
                helper_command = {helper}
                [privsep_osbrick]
                helper_command = {helper}
                [loop]
                volume_driver = loop_driver.LoopDriver
                volume_backend_name = loop
                loop_files_dir = {self.loop_files}
                [keystone_authtoken]
                www_authenticate_uri = {self.keystone.url}
                auth_url = {self.keystone.url}
                auth_type = password
                project_domain_id = default
                user_domain_id = default
                project_name = service
                username = cinder
                password = secret
                """)
        )


def cloud() -> Cloud:
    """Return the cloud of this process."""
    return _begun(os.getpid())


@functools.cache
def _begun(process: int) -> Cloud:
    return service.begin('cinder', service.memory(), Cloud)
