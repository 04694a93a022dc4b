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

"""The digest tree of an image, in a file at places that it implies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import os

from backupkit.copy import interface
from backupkit import errors
from backupkit.repository import digest as digest_
from backupkit.repository.image import area
from backupkit.repository.image import block
from backupkit.repository import tree


class TreeFile:
    """A digest tree in an open file, from an offset on.

    The descriptor stays the caller's.
    """

    def __init__(
        self, fd: int, offset: int, geometry: tree.Geometry, digest_name: str
    ) -> None:
        self.geometry = geometry
        self.digest_name = digest_name
        self.digest = digest_.by_name(digest_name)
        self._fd = fd
        self._offset = offset

    def head(self, backup_id: str) -> block.Head | None:
        """Return the head of the tree; None where it was not put yet.

        :raises errors.FormatError: it is damaged
        """
        found = os.pread(self._fd, area.HEAD_BYTES, self._offset)
        return block.load_head(found, backup_id, self.geometry)

    def put_head(self, head: block.Head) -> None:
        """Write the head; the nodes must be durable."""
        pwrite_all(self._fd, head.pack(self.digest_name), self._offset)

    def put_node(self, level: int, number: int, node: bytes) -> None:
        """Write a node to its place."""
        pwrite_all(self._fd, node, self._place(level, number))

    def node(self, level: int, number: int, key: bytes, length: int) -> bytes:
        """Return the node of this digest.

        :raises errors.Damaged: what lies there is another one
        """
        found = os.pread(self._fd, length, self._place(level, number))
        if self.digest(found) != key:
            raise errors.Damaged(
                f'node {number} of level {level} of the digest tree is damaged'
            )
        return found

    def _place(self, level: int, number: int) -> int:
        inside = area.node_offset(self.geometry, level, number)
        return self._offset + area.HEAD_BYTES + inside


class TreeBuilder(tree.MapBuilder):
    """Takes the references of all chunks, and puts nodes to their places."""

    def __init__(self, file: TreeFile) -> None:
        super().__init__(file.geometry, file.digest)
        self._file = file
        self.stored_bytes = 0

    def store(self, level: int, number: int, node: bytes) -> bytes:
        self._file.put_node(level, number, node)
        self.stored_bytes += len(node)
        return super().store(level, number, node)


class TreeReader(tree.MapReader):
    """Reads the references of a digest tree."""

    def __init__(self, file: TreeFile, root: bytes) -> None:
        super().__init__(file.geometry, root, _misplaced)
        self._file = file

    def fetch(self, level: int, number: int, key: bytes, length: int) -> bytes:
        return self._file.node(level, number, key, length)

    def refs(self, chunk: int, count: int) -> bytes:
        """Return the references of adjacent chunks.

        :raises errors.IntegrityError: a node is damaged
        """
        parts = []
        while count:
            leaf, first = divmod(chunk, tree.FAN_OUT)
            part = min(count, self.geometry.leaf_chunks(leaf) - first)
            node = self.leaf(leaf)
            size = tree.REF.size
            parts.append(
                tree.ZERO_REF * part
                if node is None
                else node[first * size : (first + part) * size]
            )
            chunk += part
            count -= part
        return b''.join(parts)


def _misplaced(key: bytes, length: int) -> bytes:
    raise errors.BackupkitError('a node of an image has a place')


def references(
    digest: Callable[[interface.Block], bytes],
    buffers: Iterable[interface.Block],
    zeros: bytearray,
) -> list[bytes]:
    """Return the reference of each chunk.

    :param zeros: of the length of a whole chunk
    """
    refs = []
    for buffer in buffers:
        plain = zeros if len(buffer) == len(zeros) else zeros[: len(buffer)]
        refs.append(
            tree.ZERO_REF
            if buffer == plain
            else tree.REF.pack(tree.STORED, len(buffer), digest(buffer))
        )
    return refs


def pwrite_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at ``offset``.

    :raises OSError: as the system says
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
