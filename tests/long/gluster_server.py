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

"""The service ``tests.long.gluster_server``: GlusterFS on another machine."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib

from tests.guest import inside
from tests.guest import machine
from tests.long import far

VOLUME = 'backup'

_PORT = 24007
_DISK = pathlib.Path('/srv/disk')
_BRICK = pathlib.Path('/srv/brick')
_DISK_BYTES = 1 << 30


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Have the volume, which is the service user's."""
    with far.running('fuse'):
        # What the client would keep beside the others of the host.
        for place in ('/var/log/glusterfs', '/var/lib/glusterd'):
            os.makedirs(place, exist_ok=True)
            machine.run('mount', '-t', 'tmpfs', 'own', place)
        far._servers[0].do(_make)
        yield


def _make() -> None:
    for place in ('/var/log/glusterfs', '/var/lib/glusterd'):
        machine.run('mount', '-t', 'tmpfs', 'own', place)
    with _DISK.open('wb') as file:
        file.truncate(_DISK_BYTES)
    _BRICK.mkdir()
    machine.run('mkfs.ext4', '-q', '-F', str(_DISK))
    machine.run('mount', str(_DISK), str(_BRICK))
    start()
    brick = f'{far.ADDRESS}:{_BRICK}/{VOLUME}'
    _ask('volume', 'create', VOLUME, brick)
    for option in ('storage.owner-uid', 'storage.owner-gid'):
        _ask('volume', 'set', VOLUME, option, str(inside.UID))
    _ask('volume', 'start', VOLUME)


def _ask(*words: str) -> None:
    machine.run('gluster', '--mode=script', *words)


def start() -> None:
    """Serve; to be called there."""
    machine.run('glusterd')
    far.await_port(_PORT)


def stop() -> None:
    """End all that serves; to be called there."""
    machine.run('pkill', '-KILL', '-x', 'gluster(d|fsd)')


def empty() -> None:
    """Remove all that backups have put there; to be called there."""
    for entry in os.scandir(_BRICK / VOLUME):
        if entry.name != '.glusterfs':
            machine.run('rm', '-r', entry.path)


def entries() -> list[far.Entry]:
    """Return all that backups have put there; to be called there."""
    found = []
    for entry in os.scandir(_BRICK / VOLUME):
        if entry.is_dir() and entry.name != '.glusterfs':
            found += far.entries(entry.path)
    return found
