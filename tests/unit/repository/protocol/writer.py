# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The writer of the model: a backup, its commit, and its resumption."""

from __future__ import annotations

from tests.unit.repository.protocol import catalog
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import store
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world

Condemned = frozenset[str]


def backup(
    plan: mutants.Plan,
    attempt: str,
    chunks: tuple[str, ...],
    *,
    together: bool = False,
) -> values.Steps[None]:
    """Back up some chunks as a new run.

    `together` stores what must be stored in one pack.
    """
    if plan.mutant is mutants.Mutant.LIST_BEFORE_REGISTERING:
        condemned = yield from _condemned()
        number = yield from values.ask(catalog.Catalog.register, attempt)
    else:
        number = yield from values.ask(catalog.Catalog.register, attempt)
        condemned = yield from _condemned()
    run = _Run(plan, number, attempt, condemned)
    run.together = chunks if together else ()
    yield from run.write(chunks)


def resume(
    plan: mutants.Plan, number: int, attempt: str, chunks: tuple[str, ...]
) -> values.Steps[None]:
    """Take a run over from its writer, and finish it.

    A run that is committing is finished with the manifest that the commit
    fixed: two writers that put the same bytes can do no harm.
    """
    row = yield from values.ask(catalog.Catalog.take_over, number, attempt)
    if row is None:
        return
    committing = row.document is not None
    if row.document and plan.mutant is not mutants.Mutant.REWRITTEN:
        yield from put_manifest(plan, number, attempt, row.document)
        return
    condemned = yield from _condemned()
    run = _Run(plan, number, attempt, condemned)
    yield from run.look_back()
    yield from run.write(chunks, committing=committing)


def put_if_absent(
    plan: mutants.Plan, name: str, body: values.Body
) -> values.Steps[bool]:
    """Put an object if its name is free; on a racy store in two calls."""
    if not plan.racy:
        return (yield from values.ask(store.Store.put, name, body))
    if (yield from values.ask(store.Store.stat, name)) is not None:
        return False
    yield from values.ask(store.Store.write, name, body)
    return True


def put_manifest(
    plan: mutants.Plan, number: int, attempt: str, document: values.Manifest
) -> values.Steps[None]:
    """Put the manifest, then tell the catalog what came of it."""
    name = values.manifest_name(number)
    if not (yield from put_if_absent(plan, name, document)):
        found = yield from values.ask(store.Store.get, name)
        if not isinstance(found, values.Manifest):
            yield from values.ask(catalog.Catalog.hear, number, attempt)
            return
    yield from values.ask(catalog.Catalog.end_commit, number, attempt)


def _condemned() -> values.Steps[Condemned]:
    noted = yield from values.ask(catalog.Catalog.noted)
    return frozenset(name for name, _ in noted)


class _Run:
    def __init__(
        self,
        plan: mutants.Plan,
        number: int,
        attempt: str,
        condemned: Condemned,
    ) -> None:
        self.plan = plan
        self.number = number
        self.attempt = attempt
        self.condemned = condemned
        self.stored: list[tuple[str, tuple[str, ...]]] = []
        self.seen: dict[str, values.Body | None] = {}
        #: What is stored in one pack, as soon as any of it is.
        self.together: tuple[str, ...] = ()
        #: The packs of earlier attempts, each with what it holds.
        self.earlier: list[tuple[str, tuple[str, ...]]] = []

    def look_back(self) -> values.Steps[None]:
        """Find the packs of earlier attempts, and see what they hold.

        What these meant to store, a journal, is no proof that they did:
        only a mutant goes by it.
        """
        if self.plan.mutant is mutants.Mutant.EARLIER_UNCHECKED:
            name = values.pack_name(self.number, f'writer{self.number}', 0)
            self.earlier.append((name, ('x',)))
            return
        prefix = f'{self.number}/'
        for name in (yield from values.ask(store.Store.listing, prefix)):
            if '/index-' in name or name.endswith('/manifest'):
                continue
            pack = yield from values.ask(store.Store.get, name)
            if isinstance(pack, values.Pack):
                self.earlier.append((name, pack.digests))

    def write(
        self, chunks: tuple[str, ...], *, committing: bool = False
    ) -> values.Steps[None]:
        """Store what cannot be reused, then commit.

        `committing` says that the run's commit has begun already: only a
        mutant comes here then.
        """
        known = yield from self._known()
        used = []
        for chunk in chunks:
            place = self._find_earlier(chunk)
            if place is None:
                place = yield from self._reuse(chunk, known)
            if place is None:
                place = yield from self._store(chunk)
            used.append(place)
        if self.stored:
            name = self._index_name()
            index = values.Index(tuple(self.stored))
            yield from values.ask(store.Store.put, name, index)
        document = values.Manifest(
            chunks,
            tuple(sorted({place.pack for place in used})),
            tuple(sorted({place.index for place in used})),
        )
        if not committing:
            overtaken = mutants.Mutant.OVERTAKEN_COMMITS
            committing = yield from values.ask(
                catalog.Catalog.begin_commit,
                self.number,
                self.attempt,
                document,
                **(
                    {'any_attempt': True}
                    if self.plan.mutant is overtaken
                    else {}
                ),
            )
        if committing:
            yield from put_manifest(
                self.plan, self.number, self.attempt, document
            )

    def _find_earlier(self, chunk: str) -> values.Place | None:
        """Find a chunk that an earlier attempt has stored.

        Its pack becomes one of this attempt's index.
        """
        for pack, digests in self.earlier:
            if chunk in digests:
                if (pack, digests) not in self.stored:
                    self.stored.append((pack, digests))
                return values.Place(chunk, pack, self._index_name())
        return None

    def _known(self) -> values.Steps[list[values.Place]]:
        """Collect places: this host's cache, then the parent's indexes."""
        known = yield from values.ask(world.World.recall)
        indexes: tuple[str, ...] = ()
        rows = yield from values.ask(catalog.Catalog.rows)
        parents = [n for n, r in rows if r.state is values.State.AVAILABLE]
        if parents:
            name = values.manifest_name(parents[-1])
            manifest = yield from values.ask(store.Store.get, name)
            if isinstance(manifest, values.Manifest):
                indexes = manifest.indexes
        if self.plan.mutant is mutants.Mutant.UNCOMMITTED:
            indexes += tuple(
                values.index_name(number, row.attempt)
                for number, row in rows
                if row.state is values.State.RUNNING and number != self.number
            )
        places = set(known)
        for name in indexes:
            places |= yield from self._read(name)
        return sorted(places, key=lambda place: place.pack)

    def _read(self, name: str) -> values.Steps[set[values.Place]]:
        index = yield from values.ask(world.World.read_index, name)
        if index is None:
            return set()
        return {
            values.Place(digest, pack, name)
            for pack, digests in index.packs
            for digest in digests
        }

    def _reuse(
        self, chunk: str, known: list[values.Place]
    ) -> values.Steps[values.Place | None]:
        """Find a place that is neither condemned nor gone."""
        for place in known:
            if place.digest != chunk or place.pack in self.condemned:
                continue
            if self.plan.mutant is mutants.Mutant.NO_STAT:
                return place
            if not (yield from self._is_there(place.pack)):
                continue
            if self.plan.mutant is mutants.Mutant.INDEX_UNCHECKED:
                return place
            if place.index in self.condemned:
                continue
            if (yield from self._is_there(place.index)):
                return place
        return None

    def _is_there(self, name: str) -> values.Steps[bool]:
        if name not in self.seen:
            self.seen[name] = yield from values.ask(store.Store.stat, name)
        return self.seen[name] is not None

    def _store(self, chunk: str) -> values.Steps[values.Place]:
        for pack, digests in self.stored:
            if chunk in digests:
                return values.Place(chunk, pack, self._index_name())
        digests = self.together or (chunk,)
        serial = len(self.stored)
        name = values.pack_name(self.number, self.attempt, serial)
        yield from values.ask(store.Store.put, name, values.Pack(digests))
        self.stored.append((name, digests))
        return values.Place(chunk, name, self._index_name())

    def _index_name(self) -> str:
        shared = self.plan.mutant is mutants.Mutant.INDEX_SHARED
        return values.index_name(self.number, '' if shared else self.attempt)
