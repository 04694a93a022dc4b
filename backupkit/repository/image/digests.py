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

"""The digest tree of an image, its nodes at places that it implies."""

from __future__ import annotations

import abc
from collections.abc import Iterable
import os

from backupkit.copy import interface
from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.repository import digest as digest_
from backupkit.repository.image import area
from backupkit.repository.image import block
from backupkit.repository import tree


class Nodes(abc.ABC):
    """The head and the nodes of a digest tree, at the places it implies."""

    def __init__(self, geometry: tree.Geometry, digest_name: str) -> None:
        self.geometry = geometry
        self.digest_name = digest_name
        self.digest = digest_.by_name(digest_name)

    @abc.abstractmethod
    def pread(self, length: int, offset: int) -> bytes:
        """Return bytes from an offset within the tree; fewer at its end.

        :raises errors.Damaged: there is nothing to be read
        """

    def head(self, backup_id: str) -> block.Head | None:
        """Return the head of the tree; None where it was not put yet.

        :raises errors.FormatError: it is damaged
        """
        found = self.pread(area.HEAD_BYTES, 0)
        return block.load_head(found, backup_id, self.geometry)

    def node(self, level: int, number: int, key: bytes, length: int) -> bytes:
        """Return the node of this digest.

        :raises errors.Damaged: what lies there is another one
        """
        found = self.pread(length, self.place(level, number))
        if self.digest(found) != key:
            raise errors.Damaged(
                f'node {number} of level {level} of the digest tree is damaged'
            )
        return found

    def place(self, level: int, number: int) -> int:
        """Return where a node lies."""
        inside = area.node_offset(self.geometry, level, number)
        return area.HEAD_BYTES + inside


class TreeFile(Nodes):
    """A digest tree in an open file, from an offset on.

    The descriptor stays the caller's.
    """

    def __init__(
        self, fd: int, offset: int, geometry: tree.Geometry, digest_name: str
    ) -> None:
        super().__init__(geometry, digest_name)
        self._fd = fd
        self._offset = offset

    def pread(self, length: int, offset: int) -> bytes:
        return os.pread(self._fd, length, self._offset + offset)

    def put_head(self, head: block.Head) -> None:
        """Write the head; the nodes must be durable."""
        pwrite_all(self._fd, head.pack(self.digest_name), self._offset)

    def put_node(self, level: int, number: int, node: bytes) -> None:
        """Write a node to its place."""
        pwrite_all(self._fd, node, self._offset + self.place(level, number))


class TreeObject(Nodes):
    """A digest tree in an object of a store."""

    def __init__(
        self,
        store: store_.Store,
        name: str,
        geometry: tree.Geometry,
        digest_name: str,
    ) -> None:
        super().__init__(geometry, digest_name)
        self._store = store
        self._name = name

    def pread(self, length: int, offset: int) -> bytes:
        try:
            return self._store.get(self._name, offset, length)
        except errors.ObjectNotFound as exc:
            raise errors.Damaged(f'{self._name} is gone') from exc


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

    def __init__(self, nodes: Nodes, root: bytes) -> None:
        super().__init__(nodes.geometry, root, _misplaced)
        self._nodes = nodes

    def fetch(self, level: int, number: int, key: bytes, length: int) -> bytes:
        return self._nodes.node(level, number, key, length)

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


class Hasher:
    """Makes the references of chunks.

    A chunk is zero where it has the digest of zeros: to compare its bytes
    takes longer, and holds the interpreter's lock all the while.
    """

    def __init__(self, digest_name: str, chunk_bytes: int) -> None:
        self._digest = digest_.by_name(digest_name)
        self._length = chunk_bytes
        self._zero = self._digest(bytes(chunk_bytes))

    def references(self, buffers: Iterable[interface.Block]) -> list[bytes]:
        """Return the reference of each chunk."""
        digest = self._digest
        refs = []
        for buffer in buffers:
            length = len(buffer)
            key = digest(buffer)
            zero = (
                self._zero if length == self._length else digest(bytes(length))
            )
            refs.append(
                tree.ZERO_REF
                if key == zero
                else tree.REF.pack(tree.STORED, length, key)
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
