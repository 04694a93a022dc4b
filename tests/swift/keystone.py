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
with the process.
"""

from __future__ import annotations

import atexit
import base64
import configparser
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any
import urllib.error
import urllib.request
import uuid

from tests.swift import cloud

PASSWORD = 'keystone-admin-5d6c7b8a'
REGION = 'RegionOne'

_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 0.1


class Keystone:
    """An identity service below one directory.

    :ivar url: of its version 3
    """

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root
        self._port = cloud.free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ''
        self.url = f'http://127.0.0.1:{self._port}/v3'
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
        server = pathlib.Path(__file__).with_name('keystone_server.py')
        with (self._root / 'keystone.log').open('ab') as log:
            self._process = subprocess.Popen(
                # Without -P our own module would be taken for Keystone.
                [sys.executable, '-P', str(server), str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                env=self._environment(),
                preexec_fn=functools.partial(cloud.die_with, os.getpid()),
            )
        self._wait()

    def stop(self) -> None:
        """Kill it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def create(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Make a ``project``, ``user``, ``service``, ``endpoint``..."""
        answer = self.ask('POST', f'/{kind}s', {kind: fields})
        made = answer[kind]
        assert isinstance(made, dict)
        return made

    def grant(self, user_id: str, project_id: str, role: str) -> None:
        """Give a user a role in a project, making the role if needed."""
        found = self.ask('GET', f'/roles?name={role}')['roles']
        role_id = (found or [self.create('role', name=role)])[0]['id']
        self.ask(
            'PUT', f'/projects/{project_id}/users/{user_id}/roles/{role_id}'
        )

    def make_user(self, project_id: str, role: str) -> tuple[str, str, str]:
        """Return name, password and id of a new user with a role."""
        name, password = f'u-{uuid.uuid4().hex}', f'p-{uuid.uuid4().hex}'
        made = self.create(
            'user', name=name, password=password, domain_id='default'
        )
        self.grant(made['id'], project_id, role)
        return name, password, str(made['id'])

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

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=10):
                    return
            except OSError as exc:
                process = self._process
                if (
                    time.monotonic() > deadline
                    or process is None
                    or process.poll() is not None
                ):
                    text = (self._root / 'keystone.log').read_text()
                    raise AssertionError(
                        f'Keystone does not answer: {text}'
                    ) from exc
            time.sleep(_PAUSE_SECONDS)

    def _manage(self, *arguments: str) -> None:
        script = os.path.join(
            os.path.dirname(sys.executable), 'keystone-manage'
        )
        done = subprocess.run(
            [
                script,
                '--config-file',
                str(self._root / 'keystone.conf'),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment(),
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        return {
            'PATH': os.environ['PATH'],
            'PYTHONWARNINGS': 'ignore',
            'OS_KEYSTONE_CONFIG_DIR': str(self._root),
            'OS_KEYSTONE_CONFIG_FILES': 'keystone.conf',
        }

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
    root = pathlib.Path(
        tempfile.mkdtemp(prefix='backupkit-keystone-', dir=cloud.place())
    )
    made = Keystone(root)

    def end() -> None:
        # A child that was forked must not end what its parent uses.
        if os.getpid() == process:
            made.stop()
            shutil.rmtree(root, ignore_errors=True)

    atexit.register(end)
    made.start()
    return made
