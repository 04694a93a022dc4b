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

"""The reading end of an image: every chunk is checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backupkit.copy import interface
from backupkit import errors
from backupkit import model
from backupkit.repository.image import digests
from backupkit.repository.image import source as source_
from backupkit.repository import tree

_PIECE_BYTES = 1 << 20


class ImageReader(interface.Reader):
    """Reads an image, and checks it against its digest tree.

    :param source: its bytes; closed with the reader
    :param map_: None where the image has no digest tree: then nothing is
        checked, and holes are all that is known of it
    """

    def __init__(
        self,
        source: source_.Source,
        geometry: tree.Geometry,
        digest_name: str,
        map_: digests.TreeReader | None,
    ) -> None:
        self.size_bytes = geometry.size_bytes
        self.map = map_
        self._source = source
        self._geometry = geometry
        self._hasher = digests.Hasher(digest_name, geometry.chunk_bytes)

    def close(self) -> None:
        self._source.close()

    def image(self) -> int | None:
        """Return the open file of the image, where it is one.

        It is not told as ``descriptor``: what the storage copies by itself
        would not be checked.
        """
        return self._source.descriptor()

    def extents(self) -> Iterator[model.Extent]:
        if self.map is None:
            yield from self._source.extents()
        else:
            yield from known(self.map)

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        for number in self.differing(offset, buffers):
            raise errors.Damaged(
                f'chunk {number} of {self._source.name} is damaged: its '
                'digest is another one'
            )

    def differing(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> list[int]:
        """Fill the buffers, each a chunk; return which are damaged.

        :returns: the numbers of chunks that are not as they were kept
        """
        self._source.read_into(offset, buffers)
        if self.map is None:
            return []
        first, inside = divmod(offset, self._geometry.chunk_bytes)
        if inside:
            raise errors.BackupkitError(
                f'an image is read in whole chunks, not from {offset}'
            )
        expected = self.map.refs(first, len(buffers))
        found = self._hasher.references(buffers)
        size = tree.REF.size
        return [
            first + at
            for at, ref in enumerate(found)
            if ref != expected[at * size : (at + 1) * size]
        ]

    def soiled(self, offset: int, length: int) -> int:
        """Count the bytes of a range that are not zero.

        Holes are not read.
        """
        count = 0
        for begin, end in self._source.data(offset, offset + length):
            for at in range(begin, end, _PIECE_BYTES):
                data = bytearray(min(_PIECE_BYTES, end - at))
                self._source.read_into(at, [data])
                count += len(data) - data.count(0)
        return count


def known(map_: digests.TreeReader) -> Iterator[model.Extent]:
    """Yield the data and the zeros that a digest tree tells of.

    :raises errors.IntegrityError: a node of it is damaged
    """
    geometry = map_.geometry
    for span in map_.walk():
        if span.error:
            raise span.error
        first = span.first * tree.FAN_OUT
        if span.node is None:
            count = min(span.leaves * tree.FAN_OUT, geometry.chunks - first)
            yield _extent(geometry, first, count, tree.ZERO)
            continue
        kinds = span.node[:: tree.REF.size]
        at = 0
        while at < len(kinds):
            other = kinds.find(1 - kinds[at], at)
            stop = len(kinds) if other < 0 else other
            yield _extent(geometry, first + at, stop - at, kinds[at])
            at = stop


def _extent(
    geometry: tree.Geometry, chunk: int, count: int, kind: int
) -> model.Extent:
    begin = chunk * geometry.chunk_bytes
    end = min(begin + count * geometry.chunk_bytes, geometry.size_bytes)
    zero = kind == tree.ZERO
    return model.Extent(
        begin,
        end - begin,
        model.ExtentKind.ZERO if zero else model.ExtentKind.DATA,
    )
