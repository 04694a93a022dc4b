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

"""Reads the bytes of one backup, as the reader of a copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backupkit.copy import interface
from backupkit import model
from backupkit.repository import chunks as chunks_
from backupkit.repository import manifest as manifest_
from backupkit.repository import tree


class BackupReader(interface.Reader):
    """The reading end of a backup in a repository.

    Every chunk is checked against its digest before it is handed out.
    """

    def __init__(
        self,
        manifest: manifest_.Manifest,
        chunks: chunks_.ChunkReader,
    ) -> None:
        self.chunks = chunks
        self._geometry = manifest.geometry
        self.chunk_bytes = manifest.chunk_bytes
        self.root = manifest.root
        self.size_bytes = manifest.summary.size_bytes
        self.map = tree.MapReader(self._geometry, manifest.root, chunks.node)

    def extents(self) -> Iterator[model.Extent]:
        """Yield runs of data and of zeros, merged within each leaf."""
        leaf_bytes = tree.FAN_OUT * self._geometry.chunk_bytes
        for span in self.map.walk():
            if span.error:
                raise span.error
            start = span.first * leaf_bytes
            end = min(self.size_bytes, start + span.leaves * leaf_bytes)
            if span.node is None:
                yield model.Extent(start, end - start, model.ExtentKind.ZERO)
            else:
                yield from self._runs(span.node, start, end)

    def _runs(
        self, node: bytes, start: int, end: int
    ) -> Iterator[model.Extent]:
        kinds = node[:: tree.REF.size]
        size = self._geometry.chunk_bytes
        at = 0
        while at < len(kinds):
            kind = kinds[at]
            other = kinds.find(1 - kind, at)
            stop = len(kinds) if other < 0 else other
            begin = start + at * size
            length = min(end, start + stop * size) - begin
            yield model.Extent(begin, length, _KINDS[kind])
            at = stop

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        chunk = offset // self._geometry.chunk_bytes
        wanted = []
        for at, buffer in enumerate(buffers):
            leaf, position = divmod(chunk + at, tree.FAN_OUT)
            node = self.map.leaf(leaf)
            kind, key = tree.ZERO, b''
            if node is not None:
                kind, _, key = tree.REF.unpack_from(
                    node, position * tree.REF.size
                )
            if kind == tree.ZERO:
                buffer[:] = bytes(len(buffer))
            else:
                wanted.append(chunks_.Wanted(key, buffer))
        self.chunks.read(wanted)


_KINDS = {
    tree.ZERO: model.ExtentKind.ZERO,
    tree.STORED: model.ExtentKind.DATA,
}
