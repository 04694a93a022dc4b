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

"""Brings a backup over from another repository, chunk by chunk as stored.

Where two repositories have the same digest and the same size of chunks,
a backup has the same map in both. So its map is walked at the source, and
what is not at the destination yet is read there, checked against its
digest, and packed again without being encoded anew. What the destination
has is not read at all.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from concurrent import futures
import logging
import queue

from backupkit.copy import control as control_
from backupkit.copy import direct
from backupkit.copy import interface
from backupkit.copy import reblock
from backupkit import errors
from backupkit.repository import chunks as chunks_
from backupkit.repository import codec as codec_
from backupkit.repository import limits
from backupkit.repository import packer as packer_
from backupkit.repository import packset
from backupkit.repository import reader as reader_
from backupkit.repository import repository as repository_
from backupkit.repository import reuse as reuse_
from backupkit.repository import tree
from backupkit.repository import writer as writer_

LOG = logging.getLogger(__name__)

#: Chunks that were read, and the memory in which they lie.
_Read = tuple[list[chunks_.Encoded], memoryview]

#: Own chunks that are remembered, to be found again in the same backup.
_REMEMBERED = 131_072


def source_of(
    reader: interface.Reader, repository: repository_.Repository
) -> reader_.BackupReader | None:
    """Return the backup that a reader reads, where its map fits here too."""
    if isinstance(reader, reblock.Reblocked):
        reader = reader.inner
    if not isinstance(reader, reader_.BackupReader):
        return None
    settings = repository.settings
    alike = reader.chunks.settings.digest == settings.digest
    if not alike or reader.chunk_bytes != settings.chunk_bytes:
        return None
    return reader


class Replica:
    """The writing end of a copy between repositories that are alike.

    Has the outcome of :class:`.writer.BackupWriter`.

    :param parent: the map of an earlier backup of the volume, to count what
        differs from it
    :param threads: runs of chunks that are read at the same time
    """

    def __init__(
        self,
        source: reader_.BackupReader,
        packer: packer_.Packer,
        reuse: reuse_.Reuse,
        encoder: codec_.Encoder,
        *,
        parent: tree.MapReader | None,
        threads: int,
    ) -> None:
        self._source = source
        self._packer = packer
        self._reuse = reuse
        self._encoder = encoder
        self._parent = parent
        self._threads = threads
        self._map = _Nodes(source)
        self._own: dict[bytes, None] = {}
        # Memory that is used again: new pages are dear.
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._reused = packset.PackSet()
        self.counts = writer_.Counts()
        self.exact = True
        self.root = source.root

    @property
    def packs(self) -> packset.PackSet:
        """All packs that the map refers to."""
        packs = packset.PackSet(self._packer.packs)
        packs.update(self._reused)
        return packs

    def copy(self, control: control_.Control) -> None:
        """Copy what is missing; on return all of it is durable.

        :raises errors.IntegrityError: something is not what was kept
        """
        workers = futures.ThreadPoolExecutor(self._threads, 'copy')
        try:
            self._take(self._runs(control), workers, control)
        finally:
            workers.shutdown(wait=True, cancel_futures=True)
        self._packer.finish()

    def _runs(self, control: control_.Control) -> Iterator[chunks_.Run]:
        """Yield runs of chunks that are missing, leaf by leaf."""
        leaf_bytes = tree.FAN_OUT * self._source.chunk_bytes
        size = self._source.size_bytes
        for span in self._map.walk():
            control.check()
            if span.error:
                raise span.error
            self._keep_nodes()
            start = span.first * leaf_bytes
            end = min(size, start + span.leaves * leaf_bytes)
            missing = self._missing(span)
            waiting = sum(plain for _, plain in missing)
            control.advance(end - start - waiting)
            yield from self._source.chunks.runs(missing)

    def _missing(self, span: tree.Span) -> list[tuple[bytes, int]]:
        """Count a leaf, and return its chunks that are not here yet."""
        missing = []
        for leaf in range(span.first, span.first + span.leaves):
            before = self._parent_leaf(leaf)
            node = span.node
            if node is None:
                if before is not None:
                    self._count(leaf, tree.ZERO_REF * tree.FAN_OUT, before)
                continue
            self._count(leaf, node, before)
            for kind, plain, key in tree.REF.iter_unpack(node):
                if kind == tree.STORED and not self._has(key, plain):
                    missing.append((key, plain))
        return missing

    def _count(self, leaf: int, node: bytes, before: bytes | None) -> None:
        """Count what of a leaf is data, and what differs from the parent."""
        size, counts = tree.REF.size, self.counts
        length = self._map.geometry.chunk_length
        first = leaf * tree.FAN_OUT
        old = before or b''
        for at in range(self._map.geometry.leaf_chunks(leaf)):
            ref = node[at * size : (at + 1) * size]
            was = old[at * size : (at + 1) * size] or tree.ZERO_REF
            if ref[0] == tree.STORED:
                counts.data += length(first + at)
            if ref != was:
                counts.changed += length(first + at)

    def _parent_leaf(self, leaf: int) -> bytes | None:
        parent = self._parent
        if parent is None or leaf >= parent.geometry.leaves:
            return None
        try:
            return parent.leaf(leaf)
        except errors.IntegrityError as exc:
            # It only helps to count.
            LOG.debug('leaf %d of the parent is not used: %s', leaf, exc)
            return None

    def _has(self, key: bytes, plain: int) -> bool:
        """Tell whether a chunk is here, or is on its way."""
        if key in self._own:
            return True
        pack = self._reuse.find(key, plain)
        if pack is not None:
            self._reused.add(pack)
            return True
        if len(self._own) >= _REMEMBERED:
            del self._own[next(iter(self._own))]
        self._own[key] = None
        self.counts.new += plain
        return False

    def _keep_nodes(self) -> None:
        """Store the nodes of the map that were read last."""
        for key, node in self._map.taken():
            if not self._has(key, len(node)):
                codec, stored = self._encoder.encode(bytearray(node))
                self._packer.append(key, len(node), codec, stored, node=True)

    def _take(
        self,
        runs: Iterable[chunks_.Run],
        workers: futures.ThreadPoolExecutor,
        control: control_.Control,
    ) -> None:
        """Read runs ahead in threads, and pack them in their order.

        So chunks that lay side by side do so again: a restore reads them
        in one go.
        """
        waiting: collections.deque[futures.Future[_Read]]
        waiting = collections.deque()
        for run in runs:
            control.check()
            waiting.append(workers.submit(self._read, run))
            if len(waiting) > self._threads:
                self._pack(waiting.popleft().result(), control)
        for future in waiting:
            control.check()
            self._pack(future.result(), control)

    def _read(self, run: chunks_.Run) -> _Read:
        """Return chunks as they are to be stored here, all checked."""
        memory = self._memory(chunks_.stored_bytes(run))
        theirs = limits.CODECS[self._source.chunks.settings.codec]
        alike = theirs == self._encoder.number
        chunks = [
            one
            if one.codec == self._encoder.number
            or (alike and one.codec == codec_.NONE)
            else self._again(one)
            for one in self._source.chunks.encoded(run, memory)
        ]
        return chunks, memory

    def _memory(self, length: int) -> memoryview:
        try:
            memory = self._free.get_nowait()
        except queue.Empty:
            memory = memoryview(b'')
        if len(memory) < length:
            memory = direct.aligned(max(length, chunks_.RUN_BYTES))
        return memory

    def _again(self, one: chunks_.Encoded) -> chunks_.Encoded:
        """Encode a chunk as is asked for here."""
        plain = bytearray(one.plain)
        codec_.Decoder().decode_into(one.codec, one.stored, plain)
        codec, stored = self._encoder.encode(plain)
        return chunks_.Encoded(one.digest, one.plain, codec, stored)

    def _pack(self, read: _Read, control: control_.Control) -> None:
        chunks, memory = read
        for one in chunks:
            self._packer.append(one.digest, one.plain, one.codec, one.stored)
        self._free.put(memory)
        plain = sum(one.plain for one in chunks)
        self.counts.read += plain
        control.advance(plain, sum(len(one.stored) for one in chunks))


class _Nodes(tree.MapReader):
    """Reads a map, and remembers the nodes that it has read."""

    def __init__(self, source: reader_.BackupReader) -> None:
        super().__init__(source.map.geometry, source.root, source.chunks.node)
        self._taken: list[tuple[bytes, bytes]] = []

    def fetch(self, level: int, number: int, key: bytes, length: int) -> bytes:
        node = super().fetch(level, number, key, length)
        self._taken.append((key, node))
        return node

    def taken(self) -> list[tuple[bytes, bytes]]:
        """Return digest and content of the nodes read since the last call."""
        taken, self._taken = self._taken, []
        return taken
