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

"""Writes the bytes of one backup: hash, compare, encode, pack, map."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
import dataclasses
import logging
import threading
from typing import NamedTuple

from backupkit.copy import interface
from backupkit import errors
from backupkit import model
from backupkit.repository import codec as codec_
from backupkit.repository import layout
from backupkit.repository import packer as packer_
from backupkit.repository import packset
from backupkit.repository import repository as repository_
from backupkit.repository import reuse as reuse_
from backupkit.repository import tree

LOG = logging.getLogger(__name__)

_STORED_KIND = bytes((tree.STORED,))

#: Own chunks that are remembered, to be found again in the same backup.
_REMEMBERED = 131_072


@dataclasses.dataclass(slots=True)
class Counts:
    """What a writer has met so far, in plain bytes.

    ``replaced`` is the parent's data at the places that came in anew.
    """

    read: int = 0
    data: int = 0
    replaced: int = 0
    changed: int = 0
    new: int = 0


class Parent(NamedTuple):
    """The map of a parent backup, and all packs that it refers to."""

    map: tree.MapReader
    packs: packset.PackSet


class BackupWriter(interface.Writer):
    """The writing end of a backup into a repository.

    :param parent: of the same chunk size; its packs are all taken over
        where ``same`` extents come in
    """

    def __init__(
        self,
        repository: repository_.Repository,
        geometry: tree.Geometry,
        packer: packer_.Packer,
        reuse: reuse_.Reuse,
        encoder: codec_.Encoder,
        *,
        parent: Parent | None = None,
    ) -> None:
        #: Told of the reference of each chunk that was read.
        self.noted: Callable[[int, bytes], None] | None = None
        #: What was taken before anything is handed on, in order.
        self.taken: Sequence[model.Extent] = ()
        self._digest = repository.digest
        self._geometry = geometry
        self._packer = packer
        self._reuse = reuse
        self._encoder = encoder
        self._parent = parent.map if parent else None
        self._inherit = parent.packs if parent else packset.PackSet()
        self._map = tree.MapBuilder(geometry, self._store_node)
        self._zero_key = repository.digest(bytes(geometry.chunk_bytes))
        self._lock = threading.Lock()
        self._own: dict[bytes, None] = {}
        self._reused: set[layout.PackId] = set()
        self.counts = Counts()
        self.exact = True
        self.root = tree.ZERO_REF

    @property
    def packs(self) -> packset.PackSet:
        """All packs that the finished map refers to."""
        packs = packset.PackSet(self._packer.packs | self._reused)
        if not self.exact:
            packs.update(self._inherit)
        return packs

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        chunk = offset // self._geometry.chunk_bytes
        before = self._parent_refs(chunk, len(buffers))
        refs = bytearray()
        data = changed = replaced = 0
        for at, buffer in enumerate(buffers):
            old = before[at * tree.REF.size : (at + 1) * tree.REF.size]
            ref = self._chunk_ref(buffer)
            if ref != tree.ZERO_REF:
                data += len(buffer)
            if ref != old:
                changed += len(buffer)
            if old[:1] == _STORED_KIND:
                replaced += len(buffer)
            refs += ref
            if self.noted:
                self.noted(chunk + at, ref)
        self._map.set(chunk, refs)
        with self._lock:
            self.counts.read += sum(len(buffer) for buffer in buffers)
            self.counts.data += data
            self.counts.replaced += replaced
            self.counts.changed += changed

    def done(self) -> Sequence[model.Extent]:
        return self.taken

    def take(
        self, chunk: int, refs: bytes, packs: Collection[layout.PackId]
    ) -> None:
        """Take chunks that were read before, and are in these packs.

        They count as if they had been read now.
        """
        size = tree.REF.size
        count = len(refs) // size
        before = self._parent_refs(chunk, count)
        counts = self.counts
        for at in range(count):
            ref = refs[at * size : (at + 1) * size]
            old = before[at * size : (at + 1) * size]
            length = self._geometry.chunk_length(chunk + at)
            counts.read += length
            counts.data += length * (ref != tree.ZERO_REF)
            counts.changed += length * (ref != old)
            counts.replaced += length * (old[:1] == _STORED_KIND)
        self._reused.update(packs)
        self._map.set(chunk, refs)

    def _parent_refs(self, chunk: int, count: int) -> bytes:
        """Return the parent's references; empty beyond its end."""
        if self._parent is None:
            return b''
        refs = b''
        geometry = self._parent.geometry
        end = min(chunk + count, geometry.chunks)
        while chunk < end:
            leaf, first = divmod(chunk, tree.FAN_OUT)
            part = min(end - chunk, tree.FAN_OUT - first)
            node = self._parent_leaf(leaf)
            if node is None:
                refs += tree.ZERO_REF * part
            else:
                size = tree.REF.size
                refs += node[first * size : (first + part) * size]
            chunk += part
        return refs

    def _chunk_ref(self, buffer: interface.Block) -> bytes:
        # Comparing each byte with zero holds the interpreter's lock, and
        # takes longer than the digest.
        key = self._digest(buffer)
        if key == self._zero_digest(len(buffer)):
            return tree.ZERO_REF
        self._keep(key, buffer, node=False)
        return tree.REF.pack(tree.STORED, len(buffer), key)

    def _zero_digest(self, length: int) -> bytes:
        """Return the digest of so many zeros: fewer only at the end."""
        if length == self._geometry.chunk_bytes:
            return self._zero_key
        return self._digest(bytes(length))

    def _keep(self, key: bytes, chunk: interface.Block, *, node: bool) -> None:
        """Make sure that a chunk is stored: reused, or packed now."""
        if key in self._own:
            return
        pack = self._reuse.find(key, len(chunk))
        if pack is not None:
            self._reused.add(pack)
            return
        with self._lock:
            if key in self._own:
                return
            if len(self._own) >= _REMEMBERED:
                del self._own[next(iter(self._own))]
            self._own[key] = None
            self.counts.new += len(chunk)
        codec, stored = self._encoder.encode(chunk)
        self._packer.append(key, len(chunk), codec, stored, node=node)

    def _store_node(self, node: bytes) -> bytes:
        key = self._digest(node)
        self._keep(key, bytearray(node), node=True)
        return key

    def zero(self, offset: int, length: int) -> None:
        size = self._geometry.chunk_bytes
        chunk, count = offset // size, -(-length // size)
        if self._parent is not None:
            self._count_zeroed(chunk, count)
        self._map.set_zero(chunk, count)

    def _count_zeroed(self, chunk: int, count: int) -> None:
        """Count the chunks that held data in the parent."""
        zeroed = 0
        for leaf, first, part in _leaves(chunk, count):
            if leaf >= self._parent_leaves:
                break
            node = self._parent_leaf(leaf)
            if node is not None:
                kinds = node[:: tree.REF.size][first : first + part]
                zeroed += kinds.count(tree.STORED)
        with self._lock:
            self.counts.changed += zeroed * self._geometry.chunk_bytes
            self.counts.replaced += zeroed * self._geometry.chunk_bytes

    @property
    def _parent_leaves(self) -> int:
        return self._parent.geometry.leaves if self._parent else 0

    def _parent_leaf(self, leaf: int) -> bytes | None:
        """Return a leaf of the parent; a damaged one counts as zeros.

        What the parent held only saves work: every chunk that was read is
        looked up by its digest all the same.
        """
        if self._parent is None:
            return None
        try:
            return self._parent.leaf(leaf)
        except errors.IntegrityError as exc:
            LOG.debug('leaf %d of the parent is not used: %s', leaf, exc)
            return None

    def same(self, offset: int, length: int) -> None:
        if self._parent is None:
            raise errors.BackupkitError('same extents need a parent')
        size = self._geometry.chunk_bytes
        self.exact = False
        for leaf, first, part in _leaves(offset // size, -(-length // size)):
            whole = part == self._geometry.leaf_chunks(leaf)
            if whole and part == self._parent.geometry.leaf_chunks(leaf):
                self._map.set_leaf(leaf, self._parent.leaf_ref(leaf))
                continue
            node = self._parent.leaf(leaf)
            size = tree.REF.size
            refs = (
                tree.ZERO_REF * part
                if node is None
                else node[first * size : (first + part) * size]
            )
            self._map.set(leaf * tree.FAN_OUT + first, refs)

    def finish(self) -> None:
        self.root = self._map.finish()
        self._packer.finish()


def _leaves(chunk: int, count: int) -> list[tuple[int, int, int]]:
    """Return leaf, first chunk in it, and number for a run of chunks."""
    parts = []
    while count:
        leaf, first = divmod(chunk, tree.FAN_OUT)
        part = min(count, tree.FAN_OUT - first)
        parts.append((leaf, first, part))
        chunk += part
        count -= part
    return parts
