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


"""What lies behind the volume driver in memory: an array of volumes.

Volumes and snapshots are anonymous files (``memfd_create(2)``), which have
holes, can be opened through ``/proc/self/fd``, and are gone with the
process.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import errno
import hashlib
import os
import threading
import uuid

from backupkit import model

#: Unit of the map of changes.
BLOCK_BYTES = 65536


class Disk:
    """The bytes of a volume or snapshot."""

    def __init__(self, fd: int, size_bytes: int) -> None:
        self.fd = fd
        self.size_bytes = size_bytes

    @classmethod
    def make(cls, size_bytes: int) -> Disk:
        """Return a new disk that is one hole."""
        fd = os.memfd_create('backupkit', os.MFD_CLOEXEC)
        os.ftruncate(fd, size_bytes)
        return cls(fd, size_bytes)

    def share(self) -> Disk:
        """Return the same bytes under a descriptor of their own."""
        return Disk(os.dup(self.fd), self.size_bytes)

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.fd)

    def copy(self) -> Disk:
        """Return another disk with the same bytes and the same holes."""
        made = Disk.make(self.size_bytes)
        for extent in self.extents():
            if extent.kind is model.ExtentKind.DATA:
                for offset in range(extent.offset, extent.end, BLOCK_BYTES):
                    length = min(BLOCK_BYTES, extent.end - offset)
                    os.pwrite(
                        made.fd, os.pread(self.fd, length, offset), offset
                    )
        return made

    def extents(self) -> Iterator[model.Extent]:
        """Yield its data and its holes, in order."""
        offset = 0
        while offset < self.size_bytes:
            start = self._next_data(offset)
            if start > offset:
                yield model.Extent(
                    offset, start - offset, model.ExtentKind.ZERO
                )
            if start == self.size_bytes:
                return
            hole = os.lseek(self.fd, start, os.SEEK_HOLE)
            offset = min(hole, self.size_bytes)
            yield model.Extent(start, offset - start, model.ExtentKind.DATA)

    def digests(self) -> dict[int, bytes]:
        """Return the digest of each block that is no hole, by number."""
        found = {}
        for extent in self.extents():
            if extent.kind is model.ExtentKind.DATA:
                first = extent.offset // BLOCK_BYTES
                last = (extent.end - 1) // BLOCK_BYTES
                for number in range(first, last + 1):
                    block = os.pread(
                        self.fd, BLOCK_BYTES, number * BLOCK_BYTES
                    )
                    if block.count(0) != len(block):
                        found[number] = hashlib.sha256(block).digest()
        return found

    def _next_data(self, offset: int) -> int:
        try:
            found = os.lseek(self.fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return self.size_bytes
        return min(found, self.size_bytes)


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpointed:
    """What a checkpoint is."""

    generation: str
    size_bytes: int
    digests: dict[int, bytes]


@dataclasses.dataclass(slots=True)
class StoredVolume:
    """A volume of an array."""

    disk: Disk
    generation: str = dataclasses.field(
        default_factory=lambda: uuid.uuid4().hex
    )
    checkpoints: dict[str, Checkpointed] = dataclasses.field(
        default_factory=dict
    )


@dataclasses.dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot of an array."""

    disk: Disk
    volume_id: str
    generation: str


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """An attachment, and the disk to be found under its path."""

    disk: Disk
    volume_id: str
    writable: bool


class Array:
    """Volumes, their snapshots, and who has them open."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.volumes: dict[str, StoredVolume] = {}
        self.snapshots: dict[str, StoredSnapshot] = {}
        self.opened: dict[str, Opened] = {}

    def close(self) -> None:
        """Give all memory back; nothing of it may be in use."""
        with self.lock:
            held: list[Opened | StoredVolume | StoredSnapshot] = [
                *self.opened.values(),
                *self.volumes.values(),
                *self.snapshots.values(),
            ]
            for kept in held:
                kept.disk.close()
            self.volumes.clear()
            self.snapshots.clear()
            self.opened.clear()


_ARRAYS: dict[str, Array] = {}


def array(name: str) -> Array:
    """Return the array of this name, made on its first use."""
    return _ARRAYS.setdefault(name, Array())


def discard(name: str) -> None:
    """Forget an array and all that it holds; absent is fine."""
    found = _ARRAYS.pop(name, None)
    if found:
        found.close()
