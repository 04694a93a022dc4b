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

"""Makes the golden repositories of the format as it is written now.

Run by hand, when a format is new and before anything of it is released::

    python -m tests.data.make DIRECTORY

Each repository becomes one archive of its objects, and ``expected.json``
tells what must come out of each. What is in ``tests/data`` is never made
again, only added to: a version once written is readable for ever. Ids,
attempts and times are fixed, so that a second run differs only by what the
compressing libraries do differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import gzip
import hashlib
import io
import itertools
import json
import pathlib
import random
import sys
import tarfile
from typing import Any
from unittest import mock
import uuid

from backupkit.copy import control
from backupkit.drivers import target as contract
from backupkit import model
from backupkit.repository import layout
from backupkit.repository import repository as repository_
from backupkit.repository import target
from backupkit.testing.memory import catalog
from backupkit.testing.memory import store
from backupkit.testing import sections
from tests.unit.repository import case
from tests.unit.repository import moving

CHUNK = case.CHUNK
DATA, SAME = model.ExtentKind.DATA, model.ExtentKind.SAME


class Maker:
    """Makes one repository in memory, out of fixed ids.

    :param number: makes its ids differ from those of the others
    """

    def __init__(self, number: int, **options: Any) -> None:
        ids = random.Random(f'ids {number}')
        self._ids = (
            str(uuid.UUID(int=ids.getrandbits(128)))
            for _ in itertools.count(1)
        )
        self._attempts = (f'a77e{at:04x}' for at in itertools.count(1))
        self.random = random.Random(number)
        self.medium_name = f'golden {number}'
        self.coordinator = catalog.MemoryCoordinator(next(self._ids))
        self.versions: dict[str, bytes] = {}
        made = sections.load_target(
            'memory',
            medium=self.medium_name,
            chunk_size_bytes=CHUNK,
            pack_size_bytes=1 << 16,
            **options,
        )
        assert isinstance(made, target.RepositoryTarget)
        self.target = made
        # One thread: chunks go into packs in their order.
        self.target.set_environment('', 1, 64 << 20)
        self.target.cache_directory = None

    @property
    def repository(self) -> repository_.Repository:
        """The repository, once there is a backup in it."""
        opened = repository_.open_repository(self._store())
        assert opened is not None
        return opened

    @property
    def objects(self) -> dict[str, bytes]:
        """All objects of the repository."""
        return store.medium(self.medium_name).objects

    def _store(self) -> store.MemoryStore:
        return store.MemoryStore(store.medium(self.medium_name))

    def next_id(self) -> str:
        """Return a new id: one more than the last."""
        return next(self._ids)

    @contextlib.contextmanager
    def fixed(self) -> Iterator[None]:
        """Let nothing be random or of this moment."""
        with contextlib.ExitStack() as stack:
            for module, name, value in (
                (repository_, 'new_id', self.next_id),
                (repository_, 'new_attempt', lambda: next(self._attempts)),
                (repository_, 'now', lambda: '2026-01-02T03:04:05+00:00'),
                (uuid, 'uuid4', self.next_id),
            ):
                stack.enter_context(mock.patch.object(module, name, value))
            yield

    def prepare(
        self, data: bytes, extents: list[model.Extent] | None = None
    ) -> tuple[int, contract.Prepared]:
        """Write all of a backup but its manifest."""
        backup_id = self.next_id()
        run = self.coordinator.begin(backup_id)
        volume = model.Volume(
            'db01', len(data), generation='g1', properties={'disk': 'gpt'}
        )
        request = model.BackupRequest(
            backup_id, run, 'local', volume, name='gold'
        )
        prepared = self.target.backup(
            request,
            lambda since: case.BytesReader(data, extents if since else None),
            self.coordinator,
            control.Control(),
        )
        return run, prepared

    def back_up(
        self, data: bytes, extents: list[model.Extent] | None = None
    ) -> str:
        """Make a backup; return its id."""
        run, prepared = self.prepare(data, extents)
        self.target.commit(prepared)
        self.coordinator.record(run, prepared.summary)
        self.versions[prepared.summary.backup_id] = data
        return prepared.summary.backup_id

    def mixed(self) -> bytearray:
        """Return data of every kind: 29 chunks and a part of one."""
        return bytearray(
            self.random.randbytes(3 * CHUNK)
            + b''.join(b'%08d backup\n' % at for at in range(2000))
            + bytes(18 * CHUNK)
            + self.random.randbytes(1234)
        )


def plain(maker: Maker) -> None:
    """Make a full backup, and an incremental one."""
    data = maker.mixed()
    maker.back_up(bytes(data))
    data[2 * CHUNK : 3 * CHUNK] = maker.random.randbytes(CHUNK)
    maker.back_up(bytes(data))


def sparse(maker: Maker) -> None:
    """Make an incremental backup whose map has two levels."""
    data = bytearray((4096 + 7) * CHUNK + 5)
    for at in (0, 4095 * CHUNK, 4096 * CHUNK, len(data) - 1):
        data[at] = 7
    maker.back_up(bytes(data))
    data[4097 * CHUNK] = 8
    begin, end = 4097 * CHUNK, 4098 * CHUNK
    maker.back_up(
        bytes(data),
        [
            model.Extent(0, begin, SAME),
            model.Extent(begin, CHUNK, DATA),
            model.Extent(end, len(data) - end, SAME),
        ],
    )


def adopted(maker: Maker) -> None:
    """Let another catalog take over between two backups."""
    data = maker.mixed()
    maker.back_up(bytes(data))
    maker.coordinator = catalog.MemoryCoordinator(maker.next_id())
    maker.target.adopt(maker.coordinator)
    data[:CHUNK] = maker.random.randbytes(CHUNK)
    maker.back_up(bytes(data))


def damaged(maker: Maker) -> None:
    """Note the damage of a pack; the backup behind it needs it no more."""
    data = bytes(maker.mixed())
    hurt = maker.back_up(data)
    name = next(n for n in sorted(maker.objects) if '/packs/' in n)
    whole = maker.objects[name]
    maker.objects[name] = whole[:20] + bytes([whole[20] ^ 1]) + whole[21:]
    maker.target.verify(hurt, maker.coordinator, control.Control(), full=True)
    maker.back_up(data)
    maker.objects[name] = whole


def aborted(maker: Maker) -> None:
    """Abort a run: a tombstone is left."""
    data = maker.mixed()
    maker.back_up(bytes(data))
    run, prepared = maker.prepare(bytes(data[::-1]))
    maker.target.abort(prepared.summary.backup_id)
    maker.coordinator.end(run)


def moved(maker: Maker) -> None:
    """Move every pack, twice."""
    plain(maker)
    for _ in range(2):
        for old in map(layout.parse, sorted(maker.objects)):
            if isinstance(old, layout.PackId):
                moving.move(maker.repository, old, maker.next_id(), into=2)


#: Name, what is done, and the options of the target.
REPOSITORIES: dict[str, tuple[Callable[[Maker], None], dict[str, str]]] = {
    'blake3-zstd': (plain, {}),
    'sha256-none': (plain, {'digest': 'sha256', 'codec': 'none'}),
    'lz4': (plain, {'codec': 'lz4'}),
    'zlib': (plain, {'codec': 'zlib'}),
    'sparse': (sparse, {}),
    'adopted': (adopted, {}),
    'damaged': (damaged, {}),
    'aborted': (aborted, {}),
    'moved': (moved, {}),
}


def archive(objects: dict[str, bytes]) -> bytes:
    """Return objects as a compressed archive, always the same one."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w') as tar:
        for name in sorted(objects):
            member = tarfile.TarInfo(name)
            member.size = len(objects[name])
            tar.addfile(member, io.BytesIO(objects[name]))
    return gzip.compress(packed.getvalue(), mtime=0)


def make(directory: pathlib.Path) -> None:
    """Make all repositories in a directory that is not there yet."""
    directory.mkdir()
    expected: dict[str, dict[str, dict[str, object]]] = {}
    for number, (name, (fill, options)) in enumerate(REPOSITORIES.items(), 1):
        maker = Maker(number, **options)
        with maker.fixed():
            fill(maker)
        (directory / f'{name}.tar.gz').write_bytes(archive(maker.objects))
        expected[name] = {
            backup_id: {
                'size_bytes': len(data),
                'sha256': hashlib.sha256(data).hexdigest(),
            }
            for backup_id, data in maker.versions.items()
        }
    text = json.dumps(expected, indent=2) + '\n'
    (directory / 'expected.json').write_text(text)


if __name__ == '__main__':
    make(pathlib.Path(sys.argv[1]))
