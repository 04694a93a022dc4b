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

"""The model's abort of a run, and delete of a backup."""

from tests.unit.repository.protocol import catalog
from tests.unit.repository.protocol import plan as plans
from tests.unit.repository.protocol import store
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import writer
from tests.unit.repository.protocol.values import ask


def abort(
    plan: plans.Plan, number: int, attempt: str | None = None
) -> values.Steps[None]:
    """Abort a run; with `attempt`, as its own writer.

    A manifest found where the tombstone should go means that the run has
    committed after all.
    """
    forced = not plan.racy or plan.mutant is plans.Mutant.RACY_ABORT
    begun = yield from ask(
        catalog.Catalog.begin_abort, number, attempt, forced=forced
    )
    if not begun:
        return
    if not (yield from _put_tombstone(plan, number)):
        yield from ask(catalog.Catalog.end_commit, number, 'aborter')
        return
    aborted = yield from ask(catalog.Catalog.end_abort, number)
    if not aborted and plan.mutant is not plans.Mutant.ABORT_UNCHECKED:
        # It committed and was deleted while we slept: what we put is refuse.
        return
    names = yield from ask(store.Store.listing, f'{number}/')
    for name in names:
        if name != values.manifest_name(number):
            yield from ask(store.Store.delete, name)


def _put_tombstone(plan: plans.Plan, number: int) -> values.Steps[bool]:
    """Take the manifest's name, and tell whether that came in time."""
    name = values.manifest_name(number)
    if plan.mutant is not plans.Mutant.NO_TOMBSTONE:
        tombstone = values.Tombstone()
        if (yield from writer.put_if_absent(plan, name, tombstone)):
            return True
    found = yield from ask(store.Store.get, name)
    return not isinstance(found, values.Manifest)


def delete(plan: plans.Plan, number: int) -> values.Steps[None]:
    """Delete a backup; its packs are left to gc."""
    if not (yield from ask(catalog.Catalog.begin_delete, number)):
        return
    yield from ask(store.Store.delete, values.manifest_name(number))
    yield from ask(catalog.Catalog.end_delete, number)
