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

"""Verify and check: what is damaged, and which backups it hurts.

Everything is read from the store itself, never from a local cache. *Quick*
looks at structure, sizes and presence: manifests, indexes, every node of
the maps, and that each chunk has a place. *Full* reads every byte.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from concurrent import futures

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import cache as cache_
from backupkit.repository import chunks as chunks_
from backupkit.repository import damage as damage_
from backupkit.repository import fetch
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import moved
from backupkit.repository import packcheck
from backupkit.repository import packset
from backupkit.repository import repository as repository_
from backupkit.repository import tree


class Checker:
    """Checks backups of one repository, each pack only once.

    Used as a context manager. ``damage`` is what it found.

    :param threads: packs that are read at the same time
    """

    def __init__(
        self,
        repository: repository_.Repository,
        control: control_.Control,
        *,
        threads: int,
        full: bool,
    ) -> None:
        self._repository = repository
        self._control = control
        self._full = full
        self._cache = cache_.IndexCache(repository, None)
        self._pool = futures.ThreadPoolExecutor(threads, 'check')
        self._packs = packcheck.PackChecker(
            repository, control, self._expected
        )
        self._moves = moved.Moves(repository.store)
        self._states: dict[layout.PackId, packcheck.PackState] = {}
        self._sizes: dict[layout.PackId, int] = {}
        self._findings: dict[tuple[str, str], set[str]] = {}
        self.objects = 0

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._cache.close()

    def found(
        self, name: str, problem: str, backup_id: str | None = None
    ) -> None:
        """Record one thing that is wrong, and whom it hurts."""
        hurt = self._findings.setdefault((name, problem), set())
        if backup_id:
            hurt.add(backup_id)

    def report(self) -> target_.Report:
        """Return what was looked at and found so far."""
        states = self._states.values()
        return target_.Report(
            objects=self.objects + len(self._states),
            chunks=sum(state.chunks for state in states),
            bytes_read=sum(state.bytes_read for state in states),
            findings=tuple(
                target_.Finding(name, problem, tuple(sorted(hurt)))
                for (name, problem), hurt in sorted(self._findings.items())
            ),
        )

    @property
    def damage(self) -> damage_.Damage:
        """The packs and chunks that must not be reused."""
        return damage_.Damage(
            frozenset(
                pack for pack, state in self._states.items() if state.problem
            ),
            frozenset(
                (key, pack)
                for pack, state in self._states.items()
                for key in state.broken
            ),
        )

    def backup(self, backup_id: str) -> manifest_.Manifest | None:
        """Check one backup that should be there; return its manifest."""
        self.objects += 1
        try:
            manifest = self._repository.manifest(backup_id)
        except (errors.NotFound, errors.IntegrityError) as exc:
            self.found(layout.manifest(backup_id), str(exc), backup_id)
            return None
        damaged = len(self._cache.damaged_parts)
        self._cache.ensure(manifest)
        for part in self._cache.damaged_parts[damaged:]:
            self.found(part.name, 'the index is damaged or gone', backup_id)
        self.objects += sum(
            count
            for attempts in manifest.parts.values()
            for count in attempts.values()
        )
        self.packs(manifest.packs)
        for pack in self._reached(manifest.packs):
            if problem := self._states[pack].problem:
                self.found(pack.name, problem, backup_id)
        self._walk(manifest, backup_id)
        return manifest

    def packs(self, packs: Iterable[layout.PackId]) -> None:
        """Check packs that were not looked at yet, several at a time.

        Of packs that are gone, those where their chunks have moved to.
        """
        todo = [pack for pack in packs if pack not in self._states]
        check = self._packs.read if self._full else self._packs.look
        total = sum(self._expected(pack) or 0 for pack in todo)
        self._control.start('verify', total)
        while todo:
            further: set[layout.PackId] = set()
            for pack, state in zip(todo, self._pool.map(check, todo)):
                self._states[pack] = state
                if state.left is not None:
                    self._moves.note_gone(pack)
                    self._sizes.update(state.left)
                    further |= state.left.keys()
            todo = sorted(further - self._states.keys())

    def _reached(self, packs: Iterable[layout.PackId]) -> set[layout.PackId]:
        """Return packs, and those where their chunks have moved to."""
        reached: set[layout.PackId] = set()
        todo = set(packs)
        while todo:
            reached |= todo
            todo = {
                further
                for pack in todo
                for further in self._states[pack].left or ()
            } - reached
        return reached

    def know(self, part: layout.PartId) -> None:
        """Check one index part, and learn the sizes of its packs.

        :raises errors.ObjectNotFound: it is gone
        :raises errors.FormatError: it is damaged
        """
        segment = index.check_part(
            fetch.whole(self._repository.store, part.name), part
        )
        self._sizes.update(segment.packs)

    def stray(self, packs: Iterable[layout.PackId]) -> None:
        """Check packs that no manifest reaches, as far as was asked.

        Damage in any pack that hurts nobody is told of here too.
        """
        if self._full:
            self.packs(packs)
        told = {name for name, _ in self._findings}
        for pack, state in self._states.items():
            if pack.name in told:
                continue
            if state.problem:
                self.found(pack.name, state.problem)
            elif state.broken:
                count = len(state.broken)
                self.found(pack.name, f'{count} damaged chunks that none uses')

    def _expected(self, pack: layout.PackId) -> int | None:
        return self._cache.size_of(pack) or self._sizes.get(pack)

    def _walk(self, manifest: manifest_.Manifest, backup_id: str) -> None:
        """Check that every node and chunk of the map has a good place."""
        good = packset.PackSet(
            pack for pack in manifest.packs if not self._states[pack].problem
        )
        chunks = chunks_.ChunkReader(
            self._repository, self._cache, good, self._moves
        )
        map_ = tree.MapReader(manifest.geometry, manifest.root, chunks.node)
        lost: collections.Counter[str] = collections.Counter()
        name = layout.manifest(backup_id)
        for span in map_.walk():
            self._control.check()
            if span.error:
                problem = f'part of its map cannot be read: {span.error}'
                self.found(name, problem, backup_id)
            elif span.node is not None:
                self._count_lost(span.node, chunks, name, lost)
        for where, count in lost.items():
            self.found(
                where,
                f'{count} references to chunks without a good copy',
                backup_id,
            )

    def _count_lost(
        self,
        node: bytes,
        chunks: chunks_.ChunkReader,
        manifest: str,
        lost: collections.Counter[str],
    ) -> None:
        """Count references without a good copy, by the damaged object."""
        for kind, plain, key in tree.REF.iter_unpack(node):
            if kind == tree.ZERO:
                continue
            places = list(chunks.places(key))
            if not any(
                place.plain == plain and self._is_good(key, place.pack)
                for place in places
            ):
                lost[places[0].pack.name if places else manifest] += 1

    def _is_good(self, key: bytes, pack: layout.PackId) -> bool:
        state = self._states.get(pack)
        return bool(state and not state.problem and key not in state.broken)
