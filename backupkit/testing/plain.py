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


"""Volumes that are nothing but bytes, to test targets with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import threading
import uuid

from backupkit.copy import interface
from backupkit import errors
from backupkit import model

#: Unit in which a :class:`PlainVolume` knows what changed. Smaller than any
#: chunk, so that extents do not end where chunks do.
BLOCK_BYTES = 4096


class PlainReader(interface.Reader):
    """Reads bytes, and only where they were said to be data."""

    def __init__(self, data: bytes, extents: Iterable[model.Extent]) -> None:
        self.size_bytes = len(data)
        self.read_bytes = 0
        self._data = data
        self._known = list(extents)
        self._lock = threading.Lock()

    def extents(self) -> Iterator[model.Extent]:
        """Yield what is known of the bytes."""
        return iter(self._known)

    def read_into(
        self, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Copy the bytes."""
        start = offset
        for buffer in buffers:
            if offset + len(buffer) > self.size_bytes:
                raise errors.SourceError(f'nothing to read at {offset}')
            buffer[:] = self._data[offset : offset + len(buffer)]
            offset += len(buffer)
        with self._lock:
            self.read_bytes += offset - start


class PlainWriter(interface.Writer):
    """Takes bytes, each range once, and tells what it has taken.

    :param size_bytes: of the volume; more is refused
    :param expected: bytes that may be written; others fail the test at once,
        for what was written wrongly cannot be taken back
    """

    def __init__(self, size_bytes: int, expected: bytes | None = None) -> None:
        # Neither zeros nor what a backup is likely to hold.
        self.data = bytearray(b'\xa5' * size_bytes)
        self.finished = False
        self._expected = expected
        self._taken: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def write(
        self, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Take some bytes."""
        self._take(offset, b''.join(buffers))

    def zero(self, offset: int, length: int) -> None:
        """Take some zeros."""
        self._take(offset, bytes(length))

    def finish(self) -> None:
        """Note that all was taken."""
        self.finished = True

    def ranges(self) -> list[tuple[int, int]]:
        """Return the ranges that were taken, joined, in order."""
        joined: list[tuple[int, int]] = []
        for start, end in sorted(self._taken):
            if joined and joined[-1][1] == start:
                joined.append((joined.pop()[0], end))
            else:
                joined.append((start, end))
        return joined

    def _take(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > len(self.data):
            raise errors.DestinationTooSmall(
                f'{end} bytes do not fit into {len(self.data)}'
            )
        if self._expected is not None and data != self._expected[offset:end]:
            raise AssertionError(f'wrong bytes are written at {offset}')
        with self._lock:
            if data:
                self._taken.append((offset, end))
            self.data[offset:end] = data


class PlainVolume:
    """Bytes that change, and what they were at each backup.

    :param data: the bytes; the test changes them in place
    """

    def __init__(self, data: bytes, volume_id: str = 'plain') -> None:
        self.data = bytearray(data)
        self.volume_id = volume_id
        self.generation = uuid.uuid4().hex
        self.history: dict[str, bytes] = {}
        #: The parents for which the volume was opened, in turn.
        self.parents: list[str | None] = []
        #: The last reader that was opened.
        self.reader: PlainReader | None = None

    def describe(self) -> model.Volume:
        """Return the volume as a driver describes it."""
        return model.Volume(
            self.volume_id, len(self.data), generation=self.generation
        )

    def open(self, parent_id: str | None) -> PlainReader:
        """Open the volume; an ``OpenReader``."""
        self.parents.append(parent_id)
        data = bytes(self.data)
        parent = self.history[parent_id] if parent_id else None
        self.reader = PlainReader(data, _extents(data, parent))
        return self.reader


def _extents(data: bytes, parent: bytes | None) -> Iterator[model.Extent]:
    for offset in range(0, len(data), BLOCK_BYTES):
        block = data[offset : offset + BLOCK_BYTES]
        kind = model.ExtentKind.DATA
        if parent is not None and (
            block == parent[offset : offset + BLOCK_BYTES]
        ):
            kind = model.ExtentKind.SAME
        elif block.count(0) == len(block):
            kind = model.ExtentKind.ZERO
        yield model.Extent(offset, len(block), kind)
