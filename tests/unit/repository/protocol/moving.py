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

"""Moving what is in use out of a pack that is mostly dead."""

from __future__ import annotations

from tests.unit.repository.protocol import catalog
from tests.unit.repository.protocol import gc
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import store
from tests.unit.repository.protocol import values

_GONE = (values.State.DELETED, values.State.ABORTED)


def move(plan: mutants.Plan, attempt: str) -> values.Steps[None]:
    """Choose a pack, condemn it, wait, copy what is in use, and delete it."""
    number = yield from values.ask(catalog.Catalog.register_mover, attempt)
    yield from _move(plan, number, attempt)
    yield from values.ask(catalog.Catalog.end_move, number)


def _move(plan: mutants.Plan, number: int, attempt: str) -> values.Steps[None]:
    rows = yield from values.ask(catalog.Catalog.rows)
    packs = yield from _packs(rows)
    ended = {one for one, row in rows if row.state in _GONE}
    chosen = [name for name in sorted(packs) if values.owner(name) in ended]
    if not chosen:
        return
    pack = chosen[0]
    yield from values.ask(catalog.Catalog.condemn, (pack,))
    barrier = yield from values.ask(catalog.Catalog.last_number)
    yield from values.ask(catalog.Catalog.keep_barrier, (pack,), barrier)
    rows = yield from values.ask(catalog.Catalog.rows)
    waiting = [
        one
        for one, row in rows
        if one <= barrier and one in gc.live_runs(plan, rows) and not row.mover
    ]
    if waiting and plan.mutant is not mutants.Mutant.MOVED_EARLY:
        return
    used = (yield from _packs(rows)).get(pack, set())
    body = yield from values.ask(store.Store.get, pack)
    if isinstance(body, values.Pack):
        digests = tuple(one for one in body.digests if one in used)
        if digests:
            yield from _copy(plan, number, attempt, pack, digests)


def _packs(rows: gc.Rows) -> values.Steps[dict[str, set[str]]]:
    """Return all packs that manifests name, and what is used with them."""
    packs: dict[str, set[str]] = {}
    for number, row in rows:
        if row.state in gc.MAY_HAVE_MANIFEST:
            name = values.manifest_name(number)
            manifest = yield from values.ask(store.Store.get, name)
            if isinstance(manifest, values.Manifest):
                for pack in manifest.packs:
                    packs.setdefault(pack, set()).update(manifest.digests)
    return packs


def _copy(
    plan: mutants.Plan,
    number: int,
    attempt: str,
    pack: str,
    digests: tuple[str, ...],
) -> values.Steps[None]:
    """Put the new pack, its index and `.moved`; then look, and delete."""
    new = values.pack_name(number, attempt, 0)
    index = values.index_name(number, attempt)
    yield from values.ask(store.Store.put, new, values.Pack(digests))
    yield from values.ask(
        store.Store.put, index, values.Index(((new, digests),))
    )
    moved = values.Moved(digests, new, index)
    yield from values.ask(store.Store.put, values.moved_name(pack), moved)
    if plan.mutant is not mutants.Mutant.MOVED_UNCHECKED:
        noted = yield from values.ask(catalog.Catalog.noted)
        if {new, index} & {name for name, _ in noted}:
            return
        for name in (new, index):
            if (yield from values.ask(store.Store.stat, name)) is None:
                return
    yield from values.ask(store.Store.delete, pack)
