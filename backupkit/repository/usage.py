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

"""Which chunks of some packs are still in use.

The maps of all backups that reach those packs are walked, each node once.
What is held in memory is bounded: so many chunks are looked for at a time,
and what was seen is forgotten when it becomes too much, which only costs
time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
import itertools
import logging

from backupkit.copy import control as control_
from backupkit import errors
from backupkit.repository import cache as cache_
from backupkit.repository import chunks as chunks_
from backupkit.repository import fetch
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import moved as moved_
from backupkit.repository import pack as pack_
from backupkit.repository import packset
from backupkit.repository import repository as repository_
from backupkit.repository import tree

LOG = logging.getLogger(__name__)

#: Chunks that are looked for at a time.
BATCH_CHUNKS = 500_000

#: Nodes that are remembered as seen.
_SEEN_NODES = 1_000_000

#: The chunks of a pack: digest and stored length.
Table = list[tuple[bytes, int]]


class Usage:
    """Looks for chunks in the maps of backups.

    ``unknown`` are packs of backups whose maps cannot be read: nothing is
    known of what these need. ``nodes`` are those of the chunks that were
    found to be nodes of a map.

    :param backup_ids: of all committed backups
    :param moved: packs that have left a ``.moved``
    """

    def __init__(
        self,
        repository: repository_.Repository,
        cache: cache_.IndexCache,
        control: control_.Control,
        backup_ids: Collection[str],
        moved: packset.PackSet,
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._control = control
        self._backup_ids = backup_ids
        self._moved_owners = moved.owners
        self._moves = moved_.Moves(repository.store)
        self.unknown = packset.PackSet()
        self.nodes: set[bytes] = set()

    def dead_bytes(
        self, packs: Iterable[layout.PackId]
    ) -> dict[layout.PackId, int]:
        """Return how much of each pack nothing needs, table included.

        Packs of which that cannot be told are left out.
        """
        dead: dict[layout.PackId, int] = {}
        for batch in _batches(self._tables(packs)):
            wanted = {key for table in batch.values() for key, _ in table}
            used = self.used(wanted, batch)
            for pack, table in batch.items():
                dead[pack] = sum(
                    stored + pack_.ENTRY.size
                    for key, stored in table
                    if key not in used
                )
        return {
            pack: count
            for pack, count in dead.items()
            if pack not in self.unknown
        }

    def used(
        self, wanted: Collection[bytes], packs: Iterable[layout.PackId]
    ) -> set[bytes]:
        """Return which of these chunks any backup needs.

        :param packs: those that hold the chunks
        """
        owners = {pack.owner for pack in packs} | self._moved_owners
        walk = _Walk(frozenset(wanted))
        for backup_id in sorted(self._backup_ids):
            self._control.check()
            try:
                manifest = self._repository.manifest(backup_id)
            except errors.NotFound:
                continue
            if owners.isdisjoint(manifest.packs.owners):
                continue
            try:
                self._walk(manifest, walk)
            except errors.IntegrityError as exc:
                LOG.warning(
                    'packs of backup %s stay as they are: %s', backup_id, exc
                )
                self._give_up(manifest)
        self.nodes |= walk.nodes
        return walk.used

    def _walk(self, manifest: manifest_.Manifest, walk: _Walk) -> None:
        self._cache.ensure(manifest)
        chunks = chunks_.ChunkReader(
            self._repository, self._cache, manifest.packs, self._moves
        )
        walk.map(manifest, chunks, self._control)

    def _give_up(self, manifest: manifest_.Manifest) -> None:
        """Leave all packs alone that a backup may need."""
        todo = set(manifest.packs)
        while todo:
            self.unknown.update(todo)
            further: set[layout.PackId] = set()
            for pack in todo:
                if pack.owner in self._moved_owners:
                    left = moved_.load(self._repository.store, pack)
                    further |= left.packs.keys() if left else set()
            todo = {pack for pack in further if pack not in self.unknown}

    def _tables(
        self, packs: Iterable[layout.PackId]
    ) -> Iterator[tuple[layout.PackId, Table]]:
        """Yield what is in each pack; those that cannot be read are not."""
        for (owner, attempt), run in itertools.groupby(
            packs, key=lambda pack: (pack.owner, pack.attempt)
        ):
            missing = set(run)
            for segment in self._parts(owner, attempt):
                self._control.check()
                for pack, lines in segment.lines(missing).items():
                    missing.discard(pack)
                    yield pack, [_entry(line) for line in lines]
            for pack in sorted(missing):
                self._control.check()
                try:
                    entries = self._repository.table(pack)
                except (errors.ObjectNotFound, errors.IntegrityError) as exc:
                    LOG.warning('%s', exc)
                    continue
                yield pack, [(one.digest, one.stored) for one in entries]

    def _parts(self, owner: str, attempt: str) -> Iterator[index.Segment]:
        """Yield the index of one attempt, as far as it can be read."""
        for number in itertools.count():
            part = layout.PartId(owner, attempt, number)
            try:
                data = fetch.whole(self._repository.store, part.name)
            except errors.ObjectNotFound:
                return
            try:
                yield index.check_part(data, part)
            except errors.IntegrityError as exc:
                LOG.warning('%s', exc)


class _Walk:
    """One walk over maps, for one set of chunks."""

    def __init__(self, wanted: frozenset[bytes]) -> None:
        self._wanted = wanted
        self._seen: set[tuple[int, bytes]] = set()
        self.used: set[bytes] = set()
        self.nodes: set[bytes] = set()

    def map(
        self,
        manifest: manifest_.Manifest,
        chunks: chunks_.ChunkReader,
        control: control_.Control,
    ) -> None:
        """Note what one map refers to.

        :raises errors.IntegrityError: part of it cannot be read
        """
        seen: set[tuple[int, bytes]] = set()
        todo = [(manifest.geometry.levels - 1, manifest.root)]
        while todo:
            level, ref = todo.pop()
            kind, plain, key = tree.REF.unpack(ref)
            if (
                kind == tree.ZERO
                or (level, key) in seen
                or (level, key) in self._seen
            ):
                continue
            control.check()
            if plain > tree.NODE_BYTES or plain % tree.REF.size:
                raise errors.FormatError('a node of the map has a wrong size')
            node = chunks.node(key, plain)
            tree.check_node(node)
            if key in self._wanted:
                self.used.add(key)
                self.nodes.add(key)
            if level:
                todo += [(level - 1, one) for one in _refs(node)]
            else:
                self.used |= self._wanted.intersection(_keys(node))
            seen.add((level, key))
        # Only what was walked wholly is passed over next time.
        if len(self._seen) > _SEEN_NODES:
            self._seen.clear()
        self._seen.update(seen)


def _refs(node: bytes) -> Iterator[bytes]:
    size = tree.REF.size
    return (node[at : at + size] for at in range(0, len(node), size))


def _keys(node: bytes) -> Iterator[bytes]:
    """Yield the digests in a node; that of a zero is no chunk's."""
    size = tree.REF.size
    return (node[at - 32 : at] for at in range(size, len(node) + 1, size))


def _entry(line: bytes) -> tuple[bytes, int]:
    """Return digest and stored length from :func:`.index.line`'s form."""
    return line[:32], int.from_bytes(line[36:40], 'little')


def _batches(
    tables: Iterable[tuple[layout.PackId, Table]],
) -> Iterator[dict[layout.PackId, Table]]:
    batch: dict[layout.PackId, Table] = {}
    count = 0
    for pack, table in tables:
        if batch and count + len(table) > BATCH_CHUNKS:
            yield batch
            batch, count = {}, 0
        batch[pack] = table
        count += len(table)
    if batch:
        yield batch
