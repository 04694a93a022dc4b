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

"""A reader that is asked for blocks of another size than its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import threading

from backupkit.copy import interface
from backupkit import model


class Reblocked(interface.Reader):
    """Hands out the bytes of a reader that is read in whole blocks.

    Whatever is asked for, the reader behind it is asked for whole blocks of
    its own at their places, the last one shorter, so that it can check each
    of them. It stays open: it is its lender's to close.

    :param block_bytes: of the reader behind
    """

    def __init__(self, reader: interface.Reader, block_bytes: int) -> None:
        self.inner = reader
        self.size_bytes = reader.size_bytes
        self._block = block_bytes
        self._local = threading.local()

    def extents(self) -> Iterator[model.Extent]:
        return self.inner.extents()

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        for start, pieces in self._split(offset, buffers):
            whole = self._length(start // self._block)
            if start % self._block == 0 and len(pieces[0]) == whole:
                self.inner.read_into(start, pieces)
            else:
                self._cut(start, pieces[0])

    def _length(self, block: int) -> int:
        """Return the length of a block: the last one may be shorter."""
        return min(self._block, self.size_bytes - block * self._block)

    def _split(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> Iterator[tuple[int, list[memoryview]]]:
        """Yield the buffers in pieces, none across a border of blocks.

        Adjacent whole blocks come together; a part of one comes alone.
        """
        start, whole = offset, list[memoryview]()
        for at, piece in self._pieces(offset, buffers):
            if len(piece) == self._length(at // self._block):
                if not whole:
                    start = at
                whole.append(piece)
                continue
            if whole:
                yield start, whole
                whole = []
            yield at, [piece]
        if whole:
            yield start, whole

    def _pieces(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> Iterator[tuple[int, memoryview]]:
        for buffer in buffers:
            view = memoryview(buffer)
            while view:
                length = min(len(view), self._block - offset % self._block)
                yield offset, view[:length]
                offset += length
                view = view[length:]

    def _cut(self, offset: int, piece: memoryview) -> None:
        """Fill a piece that is a part of one block.

        Each thread keeps the last block of which it was asked for a part:
        the next one is most likely of the same.
        """
        block, inside = divmod(offset, self._block)
        try:
            known, data = self._local.kept
        except AttributeError:
            known, data = -1, bytearray()
        if known != block:
            self._local.kept = (-1, bytearray())
            data = bytearray(self._length(block))
            self.inner.read_into(block * self._block, [data])
            self._local.kept = (block, data)
        piece[:] = memoryview(data)[inside : inside + len(piece)]
