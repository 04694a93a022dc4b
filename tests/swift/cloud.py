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

#: User, key and account that tempauth knows; the second may only read what
#: a container's access list gives it.
USER = 'test:tester'
KEY = 'testing-key-0f1e2d3c'
GUEST = 'test:guest'
GUEST_KEY = 'guest-key-4b5a6978'

_MEMORY = '/dev/shm'
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_SET_DEATH_SIGNAL = 1
_STORAGE = ('account', 'container', 'object')
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
        self._ports = {name: _free_port() for name in (*_STORAGE, 'proxy')}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
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

    def _start(self, name: str) -> None:
        script = os.path.join(
            os.path.dirname(sys.executable), f'swift-{name}-server'
        )
        log = (self._root / f'{name}.log').open('ab')
        with log:
            self._processes[name] = subprocess.Popen(
                [script, str(self._root / f'{name}-server.conf')],
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
                preexec_fn=functools.partial(_die_with, os.getpid()),
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
        for name, options in _configuration(self._root, self._ports).items():
            parser = configparser.RawConfigParser()
            parser.read_dict(options)
            with (self._root / name).open('w') as file:
                parser.write(file)
        (self._root / 'devices' / 'd1').mkdir(parents=True)
        ports = {name: self._ports[name] for name in _STORAGE}
        subprocess.run(
            [sys.executable, '-c', _MAKE_RINGS, json.dumps(ports)],
            cwd=self._root,
            check=True,
        )


def cloud() -> Cloud:
    """Return the Swift of this process."""
    return _begun(os.getpid())


@functools.cache
def _begun(process: int) -> Cloud:
    root = pathlib.Path(
        tempfile.mkdtemp(prefix='backupkit-swift-', dir=_place())
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


def _place() -> str | None:
    """Return the memory's file system, where it can keep attributes.

    What Swift syncs need not survive more than a killed server here.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=_MEMORY) as probe:
            os.setxattr(probe.fileno(), 'user.swift.metadata', bytes(2048))
    except OSError:
        return None
    return _MEMORY


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def _die_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that is."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _configuration(
    root: pathlib.Path, ports: Mapping[str, int]
) -> dict[str, dict[str, dict[str, str]]]:
    """Return the sections of every configuration file."""
    common = {
        'bind_ip': '127.0.0.1',
        'swift_dir': str(root),
        'devices': str(root / 'devices'),
        'mount_check': 'false',
        'disable_fallocate': 'true',
        'workers': '0',
        'user': 'root' if os.geteuid() == 0 else str(os.geteuid()),
        'log_level': 'WARNING',
        'log_address': str(root / 'no-log'),
    }
    files = {
        'swift.conf': {
            'swift-hash': {
                'swift_hash_path_suffix': 'tests',
                'swift_hash_path_prefix': 'tests',
            },
        },
        'proxy-server.conf': _proxy(common, ports['proxy']),
    }
    for name in _STORAGE:
        files[f'{name}-server.conf'] = {
            'DEFAULT': {**common, 'bind_port': str(ports[name])},
            'pipeline:main': {'pipeline': f'healthcheck {name}-server'},
            f'app:{name}-server': {'use': f'egg:swift#{name}'},
            'filter:healthcheck': {'use': 'egg:swift#healthcheck'},
        }
    return files


def _proxy(common: Mapping[str, str], port: int) -> dict[str, dict[str, str]]:
    filters = (
        'catch_errors',
        'gatekeeper',
        'healthcheck',
        'cache',
        'listing_formats',
        'bulk',
        'tempauth',
        'copy',
        'container-quotas',
        'account-quotas',
        'slo',
        'dlo',
    )
    sections = {
        f'filter:{name}': {'use': f'egg:swift#{name.replace("-", "_")}'}
        for name in filters
    }
    # One process needs no memcached.
    sections['filter:cache'] = {
        'paste.filter_factory': 'memory_cache:filter_factory'
    }
    sections['filter:tempauth'] |= {
        f'user_{USER.replace(":", "_")}': f'{KEY} .admin',
        f'user_{GUEST.replace(":", "_")}': GUEST_KEY,
        'storage_url_scheme': 'default',
    }
    return {
        'DEFAULT': {**common, 'bind_port': str(port)},
        'pipeline:main': {'pipeline': ' '.join([*filters, 'proxy-server'])},
        'app:proxy-server': {
            'use': 'egg:swift#proxy',
            'account_autocreate': 'true',
            'allow_account_management': 'true',
            # What a killed server was asked for is asked elsewhere soon.
            'conn_timeout': '0.5',
            'error_suppression_interval': '1',
        },
        **sections,
    }
