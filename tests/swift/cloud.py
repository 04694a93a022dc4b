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

import atexit
from collections.abc import Mapping
from concurrent import futures
import configparser
import ctypes
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from tests.swift import settings

#: User, key and account that tempauth knows; the second may only read what
#: a container's access list gives it.
USER = settings.USER
KEY = settings.KEY
GUEST = settings.GUEST
GUEST_KEY = settings.GUEST_KEY

_MEMORY = '/dev/shm'
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_SET_DEATH_SIGNAL = 1
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
        self._ports = {name: free_port() for name in names}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._starter = futures.ThreadPoolExecutor(1)
        self.url = f'http://127.0.0.1:{self._ports["proxy"]}'
        self.auth_url = f'{self.url}/auth/v1.0'
        self._configure()

    def start(self) -> None:
        """Start all servers, and wait until they answer."""
        for name in self._ports:
            self._start(name)
        for name in self._ports:
            self._wait(name)

    def stop(self) -> None:
        """Kill all servers."""
        for name in self._ports:
            self.kill(name)

    def kill(self, name: str) -> None:
        """Kill one server, as a lost machine would be."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()

    def revive(self, name: str) -> None:
        """Start one server again, and wait until it answers."""
        self._start(name)
        self._wait(name)

    def mend(self) -> None:
        """Start all servers that were killed."""
        for name in self._ports.keys() - self._processes.keys():
            self.revive(name)

    def add_proxy(
        self, name: str, login: Mapping[str, Mapping[str, str]]
    ) -> str:
        """Start one more proxy, where one logs in otherwise.

        :param name: of the server, ending in ``proxy``
        :param login: the filters that do so in place of tempauth
        :returns: its URL
        """
        self._ports[name] = port = free_port()
        shared = settings.common(self._root)
        options = settings.proxy(shared, port, login)
        self._write(f'{name}-server.conf', options)
        self.revive(name)
        return f'http://127.0.0.1:{port}'

    def pause(self) -> None:
        """Let all servers say nothing more, with open connections."""
        for process in self._processes.values():
            process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on with what they were asked meanwhile."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)

    def _start(self, name: str) -> None:
        # Their end comes with that of the thread that starts them.
        self._starter.submit(self._launch, name).result()

    def _launch(self, name: str) -> None:
        script = os.path.join(
            os.path.dirname(sys.executable),
            f'swift-{name.rpartition("-")[2]}-server',
        )
        log = (self._root / f'{name}.log').open('ab')
        with log:
            self._processes[name] = subprocess.Popen(
                [script, str(self._root / f'{name}-server.conf'), '-v'],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                env={
                    'PATH': os.environ['PATH'],
                    # For the filter memory_cache.
                    'PYTHONPATH': os.path.dirname(__file__),
                    'PYTHONWARNINGS': 'ignore',
                    'SWIFT_TEST_CONFIG_FILE': '',
                },
                preexec_fn=functools.partial(die_with, os.getpid()),
            )

    def _wait(self, name: str) -> None:
        url = f'http://127.0.0.1:{self._ports[name]}/healthcheck'
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except OSError as exc:
                if (
                    time.monotonic() > deadline
                    or self._processes[name].poll() is not None
                ):
                    text = (self._root / f'{name}.log').read_text()
                    raise AssertionError(
                        f'swift-{name}-server does not answer: {text}'
                    ) from exc
            time.sleep(_PAUSE_SECONDS)

    def _configure(self) -> None:
        files = settings.all_files(self._root, self._ports)
        for name, options in files.items():
            self._write(name, options)
        (self._root / 'devices' / 'd1').mkdir(parents=True)
        ports = {name: self._ports[name] for name in settings.STORAGE}
        subprocess.run(
            [sys.executable, '-c', _MAKE_RINGS, json.dumps(ports)],
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
    root = pathlib.Path(
        tempfile.mkdtemp(prefix='backupkit-swift-', dir=place())
    )
    made = Cloud(root)

    def end() -> None:
        # A child that was forked must not end what its parent uses.
        if os.getpid() == process:
            made.stop()
            shutil.rmtree(root, ignore_errors=True)

    atexit.register(end)
    made.start()
    return made


def place() -> str | None:
    """Return the memory's file system, where it can keep attributes.

    What Swift syncs need not survive more than a killed server here.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=_MEMORY) as probe:
            os.setxattr(probe.fileno(), 'user.swift.metadata', bytes(2048))
    except OSError:
        return None
    return _MEMORY


def free_port() -> int:
    """Return a port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that is."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
