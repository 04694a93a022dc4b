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

"""The other ends of a run in the model: abort, delete, damage found."""

from __future__ import annotations

from tests.unit.repository.protocol import catalog
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import store
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import writer


def abort(
    plan: mutants.Plan,
    number: int,
    attempt: str | None = None,
    *,
    sent: bool = True,
) -> values.Steps[None]:
    """Abort a run; with `attempt`, as its own writer.

    Only the writer can know that its manifest was never sent.
    A manifest found where the tombstone should go means that the run has
    committed after all.
    """
    forced = not plan.racy or plan.mutant is mutants.Mutant.RACY_ABORT
    begun = yield from values.ask(
        catalog.Catalog.begin_abort,
        number,
        attempt,
        sent=sent,
        forced=forced,
    )
    if not begun:
        return
    if not (yield from _put_tombstone(plan, number)):
        yield from values.ask(catalog.Catalog.end_commit, number, 'aborter')
        return
    aborted = yield from values.ask(catalog.Catalog.end_abort, number)
    if not aborted and plan.mutant is not mutants.Mutant.ABORT_UNCHECKED:
        # It committed and was deleted while we slept: what we put is refuse.
        return
    names = yield from values.ask(store.Store.listing, f'{number}/')
    for name in names:
        if name != values.manifest_name(number):
            yield from values.ask(store.Store.delete, name)


def _put_tombstone(plan: mutants.Plan, number: int) -> values.Steps[bool]:
    """Take the manifest's name, and tell whether that came in time."""
    name = values.manifest_name(number)
    if plan.mutant is not mutants.Mutant.NO_TOMBSTONE:
        tombstone = values.Tombstone()
        if (yield from writer.put_if_absent(plan, name, tombstone)):
            return True
    found = yield from values.ask(store.Store.get, name)
    return not isinstance(found, values.Manifest)


def delete(plan: mutants.Plan, number: int) -> values.Steps[None]:
    """Delete a backup; its packs are left to gc."""
    begun = yield from values.ask(catalog.Catalog.begin_delete, number)
    if begun is None:
        return
    yield from values.ask(store.Store.delete, values.manifest_name(number))
    yield from values.ask(catalog.Catalog.end_delete, number)


def refused(
    plan: mutants.Plan, number: int, deleter: str
) -> values.Steps[None]:
    """Begin a delete that the store refuses, and so take it back.

    Where the backup was being deleted before, a request may be under way:
    then it stays so.
    """
    former = yield from values.ask(
        catalog.Catalog.begin_delete, number, deleter=deleter
    )
    again = plan.mutant is mutants.Mutant.SPARED_AGAIN
    if former is values.State.AVAILABLE or (again and former):
        blind = plan.mutant is mutants.Mutant.SPARED_BLINDLY
        yield from values.ask(
            catalog.Catalog.spare, number, deleter=None if blind else deleter
        )


def verify(plan: mutants.Plan, number: int) -> values.Steps[None]:
    """Find a backup damaged: note its packs, so that none reuses them."""
    name = values.manifest_name(number)
    manifest = yield from values.ask(store.Store.get, name)
    if isinstance(manifest, values.Manifest):
        yield from values.ask(catalog.Catalog.condemn, manifest.packs)
