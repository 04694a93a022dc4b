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

"""Decides which packs are moved, and has them moved when that is safe.

A pack is condemned first. Once no run is left that may have reused it since
it was chosen, all manifests are read again, and what they need of it is
moved. The page on the protocol tells why this order is safe.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
import dataclasses

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit.repository import cache as cache_
from backupkit.repository import damage as damage_
from backupkit.repository import layout
from backupkit.repository import listing as listing_
from backupkit.repository import moved as moved_
from backupkit.repository import mover as mover_
from backupkit.repository import reach as reach_
from backupkit.repository import repository as repository_
from backupkit.repository import usage as usage_


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """How much may stay that nobody needs, and who moves the rest.

    :ivar owner: of the packs that are made: the id of a registered run
    :ivar max_unused: share of the stored bytes, from 0 to 1
    """

    owner: str
    max_unused: float


class Repacker:
    """The part of one collection that moves packs.

    ``moved`` tells what it did.
    """

    def __init__(
        self,
        repository: repository_.Repository,
        coordinator: target_.Coordinator,
        control: control_.Control,
        cache: cache_.IndexCache,
        wish: Wish,
    ) -> None:
        self._repository = repository
        self._control = control
        self._cache = cache
        self._max_unused = wish.max_unused
        self._mover = mover_.Mover(
            repository, coordinator, control, wish.owner
        )

    @property
    def moved(self) -> mover_.Moved:
        """What was moved so far."""
        return self._mover.moved

    def choose(
        self,
        seen: listing_.Listing,
        reach: reach_.Reach,
        live: Collection[str],
        condemned: Collection[str],
    ) -> list[layout.PackId]:
        """Return the packs to move, so that little enough stays unused.

        Those that were condemned before come first: what is in them can
        never be reused. Then those with the most that nobody needs.
        """
        sizes = {
            pack: seen.size_of(pack) or 0
            for pack in self._candidates(seen, reach, live)
        }
        total = sum(
            seen.size_of(pack) or 0
            for pack in seen.packs()
            if pack in reach.packs
        )
        if sum(sizes.values()) <= self._max_unused * total:
            return []
        dead = self._usage(reach, seen).dead_bytes(sizes)
        left = sum(dead.values())
        chosen = []
        for pack in sorted(
            dead,
            key=lambda one: (
                one.name not in condemned,
                -dead[one] / (sizes[one] or 1),
            ),
        ):
            if left <= self._max_unused * total:
                break
            if dead[pack]:
                chosen.append(pack)
                left -= dead[pack]
                total -= dead[pack]
        return chosen

    def _candidates(
        self,
        seen: listing_.Listing,
        reach: reach_.Reach,
        live: Collection[str],
    ) -> Iterator[layout.PackId]:
        """Yield packs of which something may be unused.

        A backup needs all that is in its own packs, so these are packs
        whose owner is no backup any more.
        """
        damaged = damage_.read_all(self._repository.store).all_packs
        for pack in seen.packs():
            if (
                pack in reach.packs
                and pack.owner not in reach.committed
                and pack.owner not in live
                and pack not in damaged
                and pack not in seen.moved
                and reach.hops.get(pack, 0) < moved_.HOPS_LIMIT
            ):
                yield pack

    def _usage(
        self, reach: reach_.Reach, seen: listing_.Listing
    ) -> usage_.Usage:
        return usage_.Usage(
            self._repository,
            self._cache,
            self._control,
            reach.committed,
            seen.moved,
        )

    def move(
        self,
        ready: Collection[layout.PackId],
        chosen: Collection[layout.PackId],
        now: listing_.Listing,
        reach: reach_.Reach,
    ) -> None:
        """Move what is in use out of the packs that were chosen.

        No run can reuse them any more, and no manifest can come that names
        them: all that there can be are in ``reach``.

        :param ready: condemned packs for which nobody is waited any more
        """
        for pack in sorted(ready):
            # What an earlier collection was about to finish.
            if pack in reach.packs and pack in now.moved:
                self._mover.resume(pack)
        self._mover.move(
            (pack for pack in chosen if pack in ready and pack in reach.packs),
            self._usage(reach, now),
        )
