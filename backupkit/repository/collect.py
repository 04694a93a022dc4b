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

"""Removes what no backup reaches, while others may be at work.

The order of the steps is what makes it safe; the page on the protocol
tells why. Nothing here looks at clocks, ages or host names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
import dataclasses

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit.repository import cache as cache_
from backupkit.repository import layout
from backupkit.repository import listing as listing_
from backupkit.repository import mover
from backupkit.repository import reach as reach_
from backupkit.repository import remains
from backupkit.repository import repack
from backupkit.repository import repository as repository_

#: Objects that are deleted in one go.
_TOGETHER = 1000


class Collector:
    """One collection; make a new one for each.

    :param repacker: moves what is in use out of packs mostly dead
    """

    def __init__(
        self,
        repository: repository_.Repository,
        coordinator: target_.Coordinator,
        control: control_.Control,
        repacker: repack.Repacker | None = None,
    ) -> None:
        self._repository = repository
        self._id = repository.repository_id
        self._coordinator = coordinator
        self._control = control
        self._repacker = repacker

    def run(self) -> target_.GcResult:
        """Condemn what is unreached, and delete what may go now.

        :raises errors.Damaged: a manifest cannot be read, so that what it
            reaches is not known: nothing is deleted
        """
        seen = listing_.Listing.of(self._repository.store, self._control)
        # After the listing: what was listed and is live is not garbage.
        live = set(self._coordinator.live(self._id))
        reach = self._reached(seen)
        listed = self._coordinator.condemned(self._id)
        garbage = [
            pack.name
            for pack in self._garbage(seen, reach, live)
            if pack.name not in listed
        ]
        if garbage:
            self._coordinator.condemn(self._id, garbage)
        chosen = []
        if self._repacker:
            chosen = self._repacker.choose(seen, reach, live, listed)
            self._coordinator.condemn(self._id, [one.name for one in chosen])
        # The barrier is read only when the list is committed: a run that
        # has a greater number has seen the list.
        self._coordinator.set_barrier(self._id, self._coordinator.last_run())
        result = self._sweep(seen, chosen)
        swept = self._repository.store.sweep()
        self._repository.keep_reserve()
        return dataclasses.replace(result, swept=swept)

    def _reached(self, seen: listing_.Listing) -> reach_.Reach:
        reach = reach_.Reach(
            self._repository, self._coordinator, self._control
        )
        reach.read(seen.owners, seen.moved)
        return reach

    def _garbage(
        self,
        seen: listing_.Listing,
        reach: reach_.Reach,
        live: Collection[str],
    ) -> Iterator[layout.PackId]:
        """Yield what nothing reaches, and packs that have moved.

        A pack that has moved stays on the list while it is reached: so the
        catalog knows whose ``.moved`` must be read, whatever a listing
        shows.
        """
        for pack in seen.packs():
            if (
                pack not in reach.packs
                and pack not in seen.moved
                and pack.owner not in live
            ):
                yield pack
        for pack in seen.moved:
            if pack.owner not in live:
                yield pack

    def _sweep(
        self,
        seen: listing_.Listing,
        chosen: list[layout.PackId],
    ) -> target_.GcResult:
        condemned = self._coordinator.condemned(self._id)
        barriers = {
            barrier for barrier in condemned.values() if barrier is not None
        }
        waiting: set[str] = set()
        free: set[int] = set()
        for barrier in barriers:
            runs = self._coordinator.live(self._id, barrier)
            waiting.update(runs)
            if not runs:
                free.add(barrier)
        ready = {
            layout.pack_of(name)
            for name, barrier in condemned.items()
            if barrier in free
        }
        deleted = self._delete(ready, chosen) if ready else []
        if not waiting:
            remains.clear(
                self._repository, self._coordinator, seen, set(deleted)
            )
        moved = self._repacker.moved if self._repacker else mover.Moved()
        return target_.GcResult(
            deleted_packs=len(deleted) + len(moved.packs),
            deleted_bytes=sum(
                seen.size_of(pack) or 0 for pack in deleted + moved.packs
            ),
            condemned_packs=len(condemned) - len(deleted),
            waiting_for=tuple(sorted(waiting)),
            moved_packs=len(moved.packs),
            moved_bytes=moved.copied_bytes,
        )

    def _delete(
        self,
        ready: set[layout.PackId],
        chosen: list[layout.PackId],
    ) -> list[layout.PackId]:
        """Delete condemned packs that are still unreached.

        All manifests are read again: a run that was live at the first
        reading may have committed meanwhile.
        """
        store = self._repository.store
        now = listing_.Listing.of(store, self._control, packs=False)
        reach = self._reached(now)
        gone = [pack for pack in sorted(ready) if pack not in reach.packs]
        for at in range(0, len(gone), _TOGETHER):
            self._control.check()
            batch = gone[at : at + _TOGETHER]
            left = [pack for pack in batch if pack in now.moved]
            store.delete_many([pack.name for pack in batch])
            store.delete_many([layout.MovedId(pack).name for pack in left])
        # Only now, and never a pack that is reached.
        self._coordinator.absolve(self._id, [pack.name for pack in gone])
        if self._repacker:
            self._repacker.move(ready, chosen, now, reach)
        return gone


def collect(
    repository: repository_.Repository,
    coordinator: target_.Coordinator,
    control: control_.Control,
    *,
    wish: repack.Wish | None = None,
    cache_directory: str | None = None,
) -> target_.GcResult:
    """Run one collection; see :class:`Collector`.

    :param wish: asks to move packs too
    :param cache_directory: of the index cache; needed only for that
    """
    if wish is None:
        return Collector(repository, coordinator, control).run()
    cache = cache_.IndexCache(repository, cache_directory)
    try:
        repacker = repack.Repacker(
            repository, coordinator, control, cache, wish
        )
        return Collector(repository, coordinator, control, repacker).run()
    finally:
        cache.close()
