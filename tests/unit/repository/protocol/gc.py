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

"""The model's gc: condemn, keep the barrier, wait, look again, delete."""

from __future__ import annotations

from tests.unit.repository.protocol import catalog
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import store
from tests.unit.repository.protocol import values

Rows = tuple[tuple[int, values.Row], ...]
Noted = dict[str, int | None]

MAY_HAVE_MANIFEST = (
    values.State.COMMITTING,
    values.State.ABORTING,
    values.State.AVAILABLE,
    values.State.DELETING,
)


def gc(plan: mutants.Plan) -> values.Steps[None]:
    """Condemn what nothing reaches; delete what may go already."""
    listed = yield from values.ask(store.Store.listing)
    # After the listing: whose packs were listed is in the rows by now.
    rows = yield from values.ask(catalog.Catalog.rows)
    live = live_runs(plan, rows)
    reached = yield from _reached(rows)
    noted = dict((yield from values.ask(catalog.Catalog.noted)))
    fresh = tuple(
        name
        for name in listed
        if not _is_manifest(name)
        and not name.endswith('.moved')
        and values.owner(name) not in live
        and name not in reached
        and name not in noted
    )
    noted = yield from _condemn(plan, noted, fresh)
    yield from _sweep(plan, listed, noted)


def _condemn(
    plan: mutants.Plan, noted: Noted, fresh: tuple[str, ...]
) -> values.Steps[Noted]:
    """Put names on the list, and then give all that have none a barrier."""
    blank = tuple(name for name, barrier in noted.items() if barrier is None)
    if not fresh and not blank:
        return noted
    barrier = 0
    if plan.mutant is mutants.Mutant.BARRIER_FIRST:
        barrier = yield from values.ask(catalog.Catalog.last_number)
    if fresh:
        yield from values.ask(catalog.Catalog.condemn, fresh)
    if plan.mutant is not mutants.Mutant.BARRIER_FIRST:
        barrier = yield from values.ask(catalog.Catalog.last_number)
    yield from values.ask(catalog.Catalog.keep_barrier, fresh + blank, barrier)
    return noted | dict.fromkeys(fresh + blank, barrier)


def _sweep(
    plan: mutants.Plan, listed: tuple[str, ...], noted: Noted
) -> values.Steps[None]:
    """Delete what no run can want any more, then take it off the list."""
    rows = yield from values.ask(catalog.Catalog.rows)
    live = live_runs(plan, rows)
    ready = {
        name
        for name, barrier in noted.items()
        if plan.mutant is mutants.Mutant.NO_WAIT
        or not any(
            number <= (barrier or 0)
            for number in live
            # A mover reuses nothing.
            if not dict(rows)[number].mover
        )
    }
    doomed: tuple[str, ...] = ()
    if ready:
        reached = yield from _reached(rows)
        doomed = tuple(sorted(ready - reached, key=_packs_first))
        off = doomed
        if plan.mutant is mutants.Mutant.REACHED_UNLISTED:
            off = tuple(sorted(ready))
        if plan.mutant is mutants.Mutant.LIST_EMPTIED_FIRST:
            yield from values.ask(catalog.Catalog.unlist, off)
        for name in doomed:
            yield from values.ask(store.Store.delete, name)
            moved = values.moved_name(name)
            if moved in listed:
                yield from values.ask(store.Store.delete, moved)
        if off and plan.mutant is not mutants.Mutant.LIST_EMPTIED_FIRST:
            yield from values.ask(catalog.Catalog.unlist, off)
    left = {name for name in listed if name not in doomed}
    yield from _sweep_moved(left)
    yield from _sweep_ends(plan, rows, left)


def _sweep_moved(left: set[str]) -> values.Steps[None]:
    """Delete what leads nowhere: its mover cannot have come through."""
    for name in sorted(left):
        if name.endswith('.moved'):
            moved = yield from values.ask(store.Store.get, name)
            if (
                isinstance(moved, values.Moved)
                and (yield from values.ask(store.Store.stat, moved.pack))
                is None
            ):
                yield from values.ask(store.Store.delete, name)


def _sweep_ends(
    plan: mutants.Plan, rows: Rows, left: set[str]
) -> values.Steps[None]:
    """Delete tombstones, and manifests that came after their delete."""
    for number, row in rows:
        name = values.manifest_name(number)
        others = left - {name}
        if name not in left or not _is_refuse(plan, row):
            continue
        # A tombstone goes after the packs; a late manifest owns none.
        if row.state is values.State.ABORTED and number in map(
            values.owner, others
        ):
            continue
        yield from values.ask(store.Store.delete, name)


def _is_refuse(plan: mutants.Plan, row: values.Row) -> bool:
    if row.state is values.State.DELETED:
        return plan.mutant is not mutants.Mutant.LATE_LEFT
    if row.state is not values.State.ABORTED:
        return False
    # While a writer is astray its manifest would find the name free.
    return not row.strays or plan.mutant is mutants.Mutant.TOMBSTONE_SWEPT


def live_runs(plan: mutants.Plan, rows: Rows) -> set[int]:
    live = {
        values.State.RUNNING,
        values.State.COMMITTING,
        values.State.ABORTING,
    }
    if plan.mutant is mutants.Mutant.ABORTING_NOT_LIVE:
        live.remove(values.State.ABORTING)
    return {number for number, row in rows if row.state in live}


def _reached(rows: Rows) -> values.Steps[set[str]]:
    """Read the manifests, by name: what the catalog knows is all there is."""
    reached: set[str] = set()
    for number, row in rows:
        if row.state in MAY_HAVE_MANIFEST:
            name = values.manifest_name(number)
            manifest = yield from values.ask(store.Store.get, name)
            if isinstance(manifest, values.Manifest):
                reached.update(manifest.packs, manifest.indexes)
    if any(row.mover for _, row in rows):
        for pack in sorted(reached):
            name = values.moved_name(pack)
            moved = yield from values.ask(store.Store.get, name)
            if isinstance(moved, values.Moved):
                reached.update((moved.pack, moved.index))
    return reached


def _is_manifest(name: str) -> bool:
    return name.endswith('/manifest')


def _packs_first(name: str) -> tuple[bool, str]:
    return ('/index-' in name, name)
