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

"""The map of a volume: a tree of references with fan-out 4,096.

A reference is 37 bytes: kind u8 (0 zero, 1 stored), plain length u32
little-endian, digest 32. A node is the references of its children, one
behind the other, and is stored as a chunk itself. The references of level
0 are those of the volume's chunks. A reference of kind zero stands for a
range that reads as zeros, of a chunk or of a whole node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import struct
import threading
from typing import NamedTuple

from backupkit import errors

REF = struct.Struct('<BI32s')
FAN_OUT = 4096

ZERO, STORED = 0, 1
ZERO_REF = REF.pack(ZERO, 0, bytes(32))

#: Bytes of a node with all its children.
NODE_BYTES = FAN_OUT * REF.size

_ZERO_NODE = ZERO_REF * FAN_OUT

#: Stores a node and returns its digest.
StoreNode = Callable[[bytes], bytes]
#: Returns the plain bytes of a stored node: digest and plain length.
FetchNode = Callable[[bytes, int], bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of the tree of a volume of this size."""

    size_bytes: int
    chunk_bytes: int

    @property
    def chunks(self) -> int:
        """Number of chunks; the last may be shorter."""
        return -(-self.size_bytes // self.chunk_bytes)

    @property
    def leaves(self) -> int:
        """Number of nodes whose children are chunks."""
        return -(-self.chunks // FAN_OUT)

    @property
    def levels(self) -> int:
        """Number of levels of nodes: at least one."""
        levels, nodes = 1, self.leaves
        while nodes > 1:
            nodes = -(-nodes // FAN_OUT)
            levels += 1
        return levels

    def leaf_chunks(self, leaf: int) -> int:
        """Number of chunks of one leaf."""
        return min(FAN_OUT, self.chunks - leaf * FAN_OUT)

    def chunk_length(self, chunk: int) -> int:
        """Plain length of one chunk."""
        return min(
            self.chunk_bytes, self.size_bytes - chunk * self.chunk_bytes
        )


class MapBuilder:
    """Takes the references of all chunks, in any order, and stores nodes.

    Leaves are stored as soon as they are complete; in memory stay the
    leaves being filled and one reference for each leaf. May be used by
    several threads; ``store_node`` is called outside the lock.
    """

    def __init__(self, geometry: Geometry, store_node: StoreNode) -> None:
        self._geometry = geometry
        self._store_node = store_node
        self._lock = threading.Lock()
        self._open: dict[int, tuple[bytearray, list[int]]] = {}
        self._leaves = bytearray(geometry.leaves * REF.size)
        self._missing = geometry.leaves

    def set(self, chunk: int, refs: bytes | bytearray) -> None:
        """Take the references of adjacent chunks, from ``chunk`` on."""
        at = 0
        while at < len(refs):
            leaf, first = divmod(chunk, FAN_OUT)
            room = self._geometry.leaf_chunks(leaf) - first
            count = min(room, (len(refs) - at) // REF.size)
            part = refs[at : at + count * REF.size]
            self._fill(leaf, first, count, part)
            chunk += count
            at += count * REF.size

    def _fill(
        self, leaf: int, first: int, count: int, part: bytes | bytearray
    ) -> None:
        total = self._geometry.leaf_chunks(leaf)
        if count == total:
            self._close(leaf, bytes(part))
            return
        with self._lock:
            entry = self._open.get(leaf)
            if entry is None:
                entry = (bytearray(total * REF.size), [total])
                self._open[leaf] = entry
            node, left = entry
            node[first * REF.size : (first + count) * REF.size] = part
            left[0] -= count
            if left[0]:
                return
            del self._open[leaf]
        self._close(leaf, bytes(node))

    def _close(self, leaf: int, node: bytes) -> None:
        self.set_leaf(leaf, self._ref(0, leaf, node))

    def set_leaf(self, leaf: int, ref: bytes) -> None:
        """Take the reference of a whole leaf."""
        with self._lock:
            self._leaves[leaf * REF.size : (leaf + 1) * REF.size] = ref
            self._missing -= 1

    def set_zero(self, chunk: int, count: int) -> None:
        """Take ``count`` chunks that read as zeros."""
        while count:
            leaf, first = divmod(chunk, FAN_OUT)
            total = self._geometry.leaf_chunks(leaf)
            part = min(count, total - first)
            if part == total:
                self.set_leaf(leaf, ZERO_REF)
            else:
                self._fill(leaf, first, part, ZERO_REF * part)
            chunk += part
            count -= part

    def store(self, level: int, number: int, node: bytes) -> bytes:
        """Store a node and return its digest.

        For derived classes to which its place in the tree matters.
        """
        return self._store_node(node)

    def _ref(self, level: int, number: int, node: bytes) -> bytes:
        if node == _ZERO_NODE[: len(node)]:
            return ZERO_REF
        return REF.pack(STORED, len(node), self.store(level, number, node))

    def finish(self) -> bytes:
        """Store the upper levels and return the reference of the root."""
        if self._missing or self._open:
            raise errors.BackupkitError('the map has gaps')
        refs = bytes(self._leaves) or ZERO_REF
        level = 1
        while len(refs) > REF.size:
            refs = b''.join(
                self._ref(level, number, refs[at : at + NODE_BYTES])
                for number, at in enumerate(range(0, len(refs), NODE_BYTES))
            )
            level += 1
        return refs


class Span(NamedTuple):
    """Some leaves of a map: one as it is, or several that are zero or lost.

    ``node`` are the references of a single leaf; None stands for zeros, or,
    where there is an ``error``, for what is not known.
    """

    first: int
    leaves: int
    node: bytes | None
    error: errors.IntegrityError | None = None


class MapReader:
    """Reads the references of a stored map, leaf by leaf.

    Keeps the path to the last leaf. May be used by several threads.

    :param root: reference of the root, 37 bytes
    """

    def __init__(
        self, geometry: Geometry, root: bytes, fetch_node: FetchNode
    ) -> None:
        self.geometry = geometry
        self._root = root
        self._fetch = fetch_node
        self._lock = threading.Lock()
        self._path: dict[tuple[int, int], bytes | None] = {}

    def leaf_ref(self, leaf: int) -> bytes:
        """Return the reference of a leaf."""
        with self._lock:
            return self._ref_at(0, leaf)

    def leaf(self, leaf: int) -> bytes | None:
        """Return the references of a leaf's chunks; None: all zero.

        :raises errors.IntegrityError: a node is damaged or not to be had
        """
        with self._lock:
            return self._node(0, leaf)

    def _ref_at(self, level: int, number: int) -> bytes:
        if level == self.geometry.levels - 1:
            return self._root
        above, child = divmod(number, FAN_OUT)
        node = self._node(level + 1, above)
        if node is None:
            return ZERO_REF
        return node[child * REF.size : (child + 1) * REF.size]

    def _node(self, level: int, number: int) -> bytes | None:
        if (level, number) in self._path:
            return self._path[level, number]
        kind, length, key = REF.unpack(self._ref_at(level, number))
        node = None
        if kind != ZERO:
            node = self._load(level, number, kind, length, key)
        for other in [at for at in self._path if at[0] == level]:
            if len(self._path) > 4 * self.geometry.levels:
                del self._path[other]
        self._path[level, number] = node
        return node

    def _load(
        self, level: int, number: int, kind: int, length: int, key: bytes
    ) -> bytes:
        children = self._children(level, number)
        if kind != STORED or length != children * REF.size:
            raise errors.FormatError('a node of the map has a wrong size')
        node = self.fetch(level, number, key, length)
        check_node(node)
        if level == 0:
            self._check_plain(number, node)
        return node

    def fetch(self, level: int, number: int, key: bytes, length: int) -> bytes:
        """Return a node of this digest, checked.

        For derived classes to which its place in the tree matters.
        """
        return self._fetch(key, length)

    def _children(self, level: int, number: int) -> int:
        below = self.geometry.chunks
        for _ in range(level):
            below = -(-below // FAN_OUT)
        return min(FAN_OUT, below - number * FAN_OUT)

    def walk(self) -> Iterator[Span]:
        """Yield spans that tile the map, in their order.

        What lies below a node of zeros, or below one that cannot be read,
        is one span.
        """
        if self.geometry.leaves:
            yield from self._walk(self.geometry.levels - 1, 0)

    def _walk(self, level: int, number: int) -> Iterator[Span]:
        below = FAN_OUT**level
        first = number * below
        count = min(below, self.geometry.leaves - first)
        try:
            with self._lock:
                node = self._node(level, number)
        except errors.IntegrityError as exc:
            yield Span(first, count, None, exc)
            return
        if node is None or level == 0:
            yield Span(first, count, node)
            return
        for child in range(len(node) // REF.size):
            yield from self._walk(level - 1, number * FAN_OUT + child)

    def _check_plain(self, leaf: int, node: bytes) -> None:
        """Check the plain length of every stored chunk of a leaf."""
        for at, (kind, plain, _) in enumerate(REF.iter_unpack(node)):
            length = self.geometry.chunk_length(leaf * FAN_OUT + at)
            if kind == STORED and plain != length:
                raise errors.FormatError('a chunk of the map has a wrong size')


def check_node(node: bytes) -> None:
    """Check kind and emptiness of every reference in a node.

    :raises errors.FormatError: one is of an unknown kind
    """
    kinds = node[:: REF.size]
    if kinds.translate(None, bytes((ZERO, STORED))):
        raise errors.FormatError('a node of the map has an unknown kind')
