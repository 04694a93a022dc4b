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

"""A real Swift on loopback: proxy, account, container and object server.

Each process that tests has one, begun when it is first asked for and gone
with the process. It is one copy of everything on one device, from the
packages of Swift that are installed beside this interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping
import configparser
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from tests.servers import ports
from tests.servers import process as process_
from tests.servers import service
from tests.swift import settings

#: User, key and account that tempauth knows; the second may only read what
#: a container's access list gives it.
USER = settings.USER
KEY = settings.KEY
GUEST = settings.GUEST
GUEST_KEY = settings.GUEST_KEY

#: A ring each of two partitions and one device, all by one interpreter.
_MAKE_RINGS = """
import json, sys
from swift.common.ring import RingBuilder
for name, port in json.loads(sys.argv[1]).items():
    builder = RingBuilder(1, 1, 1)
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'ip': '127.0.0.1',
                     'port': port, 'device': 'd1', 'weight': 1})
    builder.rebalance()
    builder.get_ring().save(f'{name}.ring.gz')
"""


class Cloud:
    """A cluster below one directory.

    :ivar url: of its proxy
    """

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root
        names = (*settings.STORAGE, 'proxy')
        self._ports = dict(zip(names, ports.free(len(names)), strict=True))
        self._servers = {name: self._server(name) for name in names}
        self.url = f'http://127.0.0.1:{self._ports["proxy"]}'
        self.auth_url = f'{self.url}/auth/v1.0'
        self._configure()

    def start(self) -> None:
        """Start all servers, and wait until they answer."""
        for server in self._servers.values():
            server.start()
        for name in self._servers:
            self._wait(name)

    def stop(self) -> None:
        """Kill all servers."""
        for server in self._servers.values():
            server.kill()

    def kill(self, name: str) -> None:
        """Kill one server, as a lost machine would be."""
        self._servers[name].kill()

    def revive(self, name: str) -> None:
        """Start one server again, and wait until it answers."""
        self._servers[name].start()
        self._wait(name)

    def mend(self) -> None:
        """Start all servers that were killed."""
        for name, server in self._servers.items():
            if not server.running:
                self.revive(name)

    def add_proxy(
        self, name: str, login: Mapping[str, Mapping[str, str]]
    ) -> str:
        """Start one more proxy, where one logs in otherwise.

        :param name: of the server, ending in ``proxy``
        :param login: the filters that do so in place of tempauth
        :returns: its URL
        """
        (port,) = ports.free(1)
        self._ports[name] = port
        self._servers[name] = self._server(name)
        shared = settings.common(self._root)
        options = settings.proxy(shared, port, login)
        self._write(f'{name}-server.conf', options)
        self.revive(name)
        return f'http://127.0.0.1:{port}'

    def pause(self) -> None:
        """Let all servers say nothing more, with open connections."""
        for server in self._servers.values():
            server.pause()

    def resume(self) -> None:
        """Let them go on with what they were asked meanwhile."""
        for server in self._servers.values():
            server.resume()

    def _server(self, name: str) -> process_.Server:
        program = f'swift-{name.rpartition("-")[2]}-server'
        config = str(self._root / f'{name}-server.conf')
        return process_.Server(
            f'swift-{name}',
            [str(process_.SCRIPTS / program), config, '-v'],
            self._root,
            {
                # For the filter memory_cache.
                'PYTHONPATH': os.path.dirname(__file__),
                'SWIFT_TEST_CONFIG_FILE': '',
            },
        )

    def _wait(self, name: str) -> None:
        url = f'http://127.0.0.1:{self._ports[name]}/healthcheck'

        def answers() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return True
            except OSError:
                return False

        self._servers[name].wait(answers)

    def _configure(self) -> None:
        files = settings.all_files(self._root, self._ports)
        for name, options in files.items():
            self._write(name, options)
        (self._root / 'devices' / 'd1').mkdir(parents=True)
        storage = {name: self._ports[name] for name in settings.STORAGE}
        subprocess.run(
            [sys.executable, '-c', _MAKE_RINGS, json.dumps(storage)],
            cwd=self._root,
            check=True,
        )

    def _write(
        self, name: str, options: Mapping[str, Mapping[str, str]]
    ) -> None:
        parser = configparser.RawConfigParser()
        parser.read_dict(options)
        with (self._root / name).open('w') as file:
            parser.write(file)


def cloud() -> Cloud:
    """Return the Swift of this process."""
    return _begun(os.getpid())


@functools.cache
def _begun(process: int) -> Cloud:
    return service.begin('swift', place(), Cloud)


def place() -> str | None:
    """Return the memory's file system, where it can keep attributes.

    What Swift syncs need not survive more than a killed server here.
    """
    memory = service.memory()
    try:
        with tempfile.NamedTemporaryFile(dir=memory) as probe:
            os.setxattr(probe.fileno(), 'user.swift.metadata', bytes(2048))
    except OSError:
        return None
    return memory
