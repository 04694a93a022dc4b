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

"""The writing end of an image: bytes to their places, digests to the tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import itertools
import threading

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import raw
from backupkit import errors
from backupkit import model
from backupkit.repository.image import digests
from backupkit.repository.image import failures
from backupkit.repository.image import holes
from backupkit.repository.image import offload
from backupkit.repository.image import reader as reader_
from backupkit.repository import tree

_PIECE_CHUNKS = 16


@dataclasses.dataclass(slots=True)
class Counts:
    """What a writer has met so far, in plain bytes."""

    read: int = 0
    data: int = 0
    changed: int = 0
    stored: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Parent:
    """The backup that an image is compared with.

    :param reader: of its image
    :param cloned: the new image is a clone of it, so that what is the same
        is there already
    """

    reader: reader_.ImageReader
    cloned: bool


class ImageWriter(interface.Writer):
    """Writes an image and its digest tree.

    :param data: where the bytes go, of the volume's size
    :param source: of the bytes; asked again where the parent is damaged
    """

    def __init__(
        self,
        data: raw.RawWriter,
        file: digests.TreeFile,
        source: interface.Reader,
        parent: Parent | None = None,
    ) -> None:
        self._data = data
        self._source = source
        self._parent = parent
        self._geometry = file.geometry
        self._hasher = digests.Hasher(
            file.digest_name, file.geometry.chunk_bytes
        )
        self._lock = threading.Lock()
        self._local = threading.local()
        self.counts = Counts()
        self.root: bytes | None = None
        #: None where what the image holds is not known to the last chunk.
        self._builder: digests.TreeBuilder | None = digests.TreeBuilder(file)
        if parent and parent.cloned and parent.reader.map is None:
            self._builder = None

    def make_buffers(
        self, count: int, block_bytes: int
    ) -> Sequence[interface.Block]:
        return self._data.make_buffers(count, block_bytes)

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        chunk = offset // self._geometry.chunk_bytes
        refs = self._hasher.references(buffers)
        old = self._before(chunk, len(buffers))
        there = self._there(old, len(buffers))
        stored = self._write_runs(offset, buffers, refs, there)
        if self._builder:
            self._builder.set(chunk, b''.join(refs))
        sizes = [len(buffer) for buffer in buffers]
        changed = [
            size for size, ref, was in zip(sizes, refs, old) if ref != was
        ]
        self._count(
            read=sum(sizes),
            data=sum(itertools.compress(sizes, map(_is_data, refs))),
            changed=sum(changed),
            stored=stored,
        )

    def _before(self, chunk: int, count: int) -> list[bytes]:
        """Return the parent's references; zeros beyond its end.

        Where a node of the parent is damaged they are empty: so everything
        there counts as changed.
        """
        map_ = self._parent.reader.map if self._parent else None
        if map_ is None:
            return [tree.ZERO_REF] * count
        size = tree.REF.size
        inside = max(0, min(count, map_.geometry.chunks - chunk))
        try:
            refs = map_.refs(chunk, inside)
        except errors.IntegrityError:
            return [b''] * count
        known = [refs[at * size : (at + 1) * size] for at in range(inside)]
        return known + [tree.ZERO_REF] * (count - inside)

    def _there(self, old: list[bytes], count: int) -> list[bytes]:
        """Return which chunks the image holds before it is written."""
        if self._parent is None or not self._parent.cloned:
            return [b''] * count
        if self._parent.reader.map is None:
            return [b''] * count
        return old

    def _write_runs(
        self,
        offset: int,
        buffers: Sequence[interface.Block],
        refs: list[bytes],
        there: list[bytes],
    ) -> int:
        """Write what is not there yet, adjacent chunks in one call."""
        kinds = [
            None if ref == was else _is_data(ref)
            for ref, was in zip(refs, there)
        ]
        at = stored = 0
        with failures.at_target(self._data.path):
            for kind, run in itertools.groupby(kinds):
                count = len(list(run))
                part = buffers[at : at + count]
                length = sum(map(len, part))
                if kind:
                    self._data.write(offset, part)
                    stored += length
                elif kind is False:
                    self._data.zero(offset, length)
                at += count
                offset += length
        return stored

    def zero(self, offset: int, length: int) -> None:
        size = self._geometry.chunk_bytes
        chunk, count = offset // size, -(-length // size)
        with failures.at_target(self._data.path):
            self._data.zero(offset, length)
        if self._builder:
            self._builder.set_zero(chunk, count)
        if self._parent and self._parent.reader.map:
            self._count(changed=self._zeroed(chunk, count))

    def _zeroed(self, chunk: int, count: int) -> int:
        """Return how much of a range held data in the parent."""
        zeroed = 0
        for at in range(chunk, chunk + count, tree.FAN_OUT):
            part = min(tree.FAN_OUT, chunk + count - at)
            data = sum(map(_is_data, self._before(at, part)))
            zeroed += data * self._geometry.chunk_bytes
        return zeroed

    def same(self, offset: int, length: int) -> None:
        if self._parent is None:
            raise errors.BackupkitError('same extents need a parent')
        size = self._geometry.chunk_bytes
        chunk, end = offset // size, -(-(offset + length) // size)
        while chunk < end:
            step = (
                tree.FAN_OUT - chunk % tree.FAN_OUT
                if self._parent.cloned
                else _PIECE_CHUNKS
            )
            count = min(step, end - chunk)
            if self._parent.cloned:
                self._keep(self._parent.reader.map, chunk, count)
            else:
                self._take_over(self._parent.reader, chunk, count)
            chunk += count

    def _keep(
        self, map_: digests.TreeReader | None, chunk: int, count: int
    ) -> None:
        """Take what is in the image already, as a clone of the parent."""
        if map_ is None or self._builder is None:
            return
        refs = map_.refs(chunk, count)
        self._builder.set(chunk, refs)
        data = refs[:: tree.REF.size].count(tree.STORED)
        self._count(data=data * self._geometry.chunk_bytes)

    def _take_over(
        self, parent: reader_.ImageReader, chunk: int, count: int
    ) -> None:
        """Copy what is as in the parent from the parent's image.

        A chunk that is damaged there is read from the source.
        """
        size = self._geometry.chunk_bytes
        memory = self._buffers()
        buffers = [
            memory[at][: self._geometry.chunk_length(chunk + at)]
            for at in range(count)
        ]
        for number in parent.differing(chunk * size, buffers):
            wanted = [buffers[number - chunk]]
            self._source.read_into(number * size, wanted)
            self._count(read=len(wanted[0]))
        refs = self._hasher.references(buffers)
        stored = self._write_runs(chunk * size, buffers, refs, [b''] * count)
        if self._builder:
            self._builder.set(chunk, b''.join(refs))
        lengths = [len(buffer) for buffer in buffers]
        data = sum(itertools.compress(lengths, map(_is_data, refs)))
        self._count(data=data, stored=stored)

    def _buffers(self) -> Sequence[interface.Block]:
        local = self._local
        if not hasattr(local, 'buffers'):
            local.buffers = self.make_buffers(
                _PIECE_CHUNKS, self._geometry.chunk_bytes
            )
        found: Sequence[interface.Block] = local.buffers
        return found

    def _count(
        self, read: int = 0, data: int = 0, changed: int = 0, stored: int = 0
    ) -> None:
        with self._lock:
            self.counts.read += read
            self.counts.data += data
            self.counts.changed += changed
            self.counts.stored += stored

    def adopt(self, control: control_.Control, *, copying: bool) -> bool:
        """Let the storage bring all bytes, where it can; none is read.

        Then the image has no digests until it is verified.

        :param copying: also where it copies instead of sharing
        :returns: False where it cannot: nothing was written
        """
        found = self._source.descriptor()
        if found is None or (self._parent and self._parent.cloned):
            return False
        size = self._geometry.size_bytes
        with failures.at_target(self._data.path):
            if not offload.bring(
                found, self._data.path, size, control, copying=copying
            ):
                return False
            data = _data_bytes(holes.extents(self._data.path, size))
        self._builder = None
        self._count(data=data, changed=_data_bytes(self._source.extents()))
        return True

    def finish(self) -> None:
        """Make bytes and nodes durable; the tree's head is left to do."""
        with failures.at_target(self._data.path):
            if self._builder:
                self.root = self._builder.finish()
                self.counts.stored += self._builder.stored_bytes
            self._data.finish()


def _data_bytes(extents: Iterable[model.Extent]) -> int:
    return sum(
        extent.length
        for extent in extents
        if extent.kind == model.ExtentKind.DATA
    )


def _is_data(ref: bytes) -> bool:
    return ref[:1] == bytes((tree.STORED,))
