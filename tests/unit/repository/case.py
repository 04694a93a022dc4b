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

"""What the tests of the repository stand on: a volume kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
import unittest
import uuid

from backupkit.copy import control
from backupkit.copy import interface
from backupkit.drivers import target as contract
from backupkit import model
from backupkit.repository import repack
from backupkit.repository import target

from backupkit.testing.memory import catalog
from backupkit.testing.memory import store
from backupkit.testing.memory import target as memory_target
from backupkit.testing import sections

CHUNK = 4096


class BytesReader(interface.Reader):
    """Reads bytes; zeros are told as such where ``sparse`` asks for it."""

    def __init__(
        self, data: bytes, extents: list[model.Extent] | None = None
    ) -> None:
        self._data = data
        self._extents = extents
        self.size_bytes = len(data)
        self.read_bytes = 0

    def extents(self) -> Iterator[model.Extent]:
        if self._extents is not None:
            yield from self._extents
        elif self._data:
            yield model.Extent(0, len(self._data), model.ExtentKind.DATA)

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        for buffer in buffers:
            buffer[:] = self._data[offset : offset + len(buffer)]
            offset += len(buffer)
            self.read_bytes += len(buffer)


class BytesWriter(interface.Writer):
    """Takes bytes, into memory that held something else before."""

    def __init__(self, size_bytes: int) -> None:
        self.data = bytearray(b'\xee' * size_bytes)
        self.finished = False

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        for buffer in buffers:
            self.data[offset : offset + len(buffer)] = buffer
            offset += len(buffer)

    def zero(self, offset: int, length: int) -> None:
        self.data[offset : offset + length] = bytes(length)

    def finish(self) -> None:
        self.finished = True


class RepositoryCase(unittest.TestCase):
    """Backs up and restores bytes on a medium in memory."""

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.medium_name = str(uuid.uuid4())
        self.addCleanup(store.discard, self.medium_name)
        self.coordinator = catalog.MemoryCoordinator()
        self.target = self.make_target()

    @property
    def medium(self) -> store.Medium:
        """The objects themselves."""
        return store.medium(self.medium_name)

    def make_target(self, **options: Any) -> memory_target.MemoryTarget:
        """Return another target on the same medium."""
        sizes = {'chunk_size_bytes': CHUNK, 'pack_size_bytes': 1 << 16}
        made = sections.load_target(
            'memory',
            medium=self.medium_name,
            **{**sizes, **self.options, **options},
        )
        assert isinstance(made, memory_target.MemoryTarget)
        return made

    def prepare(
        self,
        data: bytes,
        *,
        volume_id: str = 'v',
        full: bool = False,
        extents: list[model.Extent] | None = None,
        on: target.RepositoryTarget | None = None,
    ) -> tuple[int, contract.Prepared]:
        """Write everything of a backup but its commit."""
        backup_id = str(uuid.uuid4())
        number = self.coordinator.begin(backup_id)
        request = model.BackupRequest(
            backup_id,
            number,
            'local',
            model.Volume(volume_id, len(data)),
            full=full,
        )
        self.reader = BytesReader(data, extents)
        self.since: list[str | None] = []

        def open_reader(since: str | None) -> interface.Reader:
            self.since.append(since)
            if since is None:
                return BytesReader(data)
            return self.reader

        prepared = (on or self.target).backup(
            request, open_reader, self.coordinator, control.Control()
        )
        return number, prepared

    def back_up(self, data: bytes, **how: Any) -> model.BackupSummary:
        """Make a backup of these bytes and commit it."""
        number, prepared = self.prepare(data, **how)
        self.target.commit(prepared)
        self.coordinator.record(number, prepared.summary)
        return prepared.summary

    def restore(self, backup_id: str) -> bytes:
        """Return the bytes of a backup."""
        size = self.target.show(backup_id).size_bytes
        writer = BytesWriter(size)
        self.target.restore(
            backup_id, writer, self.coordinator, control.Control()
        )
        self.assertTrue(writer.finished)
        return bytes(writer.data)

    def delete(self, backup_id: str) -> None:
        """Delete a backup, in target and catalog."""
        self.target.delete(backup_id)
        self.coordinator.remove(backup_id)

    def collect(self, max_unused: float | None = None) -> contract.GcResult:
        """Run gc; with a share, move packs until no more is unused."""
        if max_unused is None:
            return self.target.collect(self.coordinator, control.Control())
        owner = str(uuid.uuid4())
        number = self.coordinator.begin(owner, collects=True)
        try:
            return self.target.collect(
                self.coordinator,
                control.Control(),
                repack.Wish(owner, max_unused),
            )
        finally:
            self.coordinator.end(number)

    def check(self, *, read_data: bool = True) -> contract.Report:
        """Check the whole repository."""
        return self.target.check_repository(
            self.coordinator, control.Control(), read_data=read_data
        )

    def verify(self, backup_id: str, *, full: bool = True) -> contract.Report:
        """Verify one backup."""
        return self.target.verify(
            backup_id, self.coordinator, control.Control(), full=full
        )
