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

"""What a run may reuse: never what is condemned, damaged or gone.

A run reads the condemned list after it has registered and before it looks
at any manifest or index, and asks the store for each pack once, whatever a
cache says. The page on the protocol tells why this order is safe.

A pack that has moved is not reused, but the packs are to which its chunks
have moved: they are like any others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
import threading

from backupkit import errors
from backupkit.repository import cache as cache_
from backupkit.repository import damage as damage_
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved as moved_
from backupkit.repository import packset
from backupkit.repository import repository as repository_
from backupkit.repository import shelf


class Reuse:
    """Answers which pack a known chunk may be taken from.

    May be used by several threads.

    :param condemned: packs on the catalog's list when the run began
    :param live: owners that may still write or remove packs of theirs
    """

    def __init__(
        self,
        repository: repository_.Repository,
        cache: cache_.IndexCache,
        condemned: frozenset[layout.PackId],
        damage: damage_.Damage,
        live: Collection[str] = frozenset(),
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._damaged_chunks = damage.chunks
        self._live = live
        self._lock = threading.Lock()
        self._moves = moved_.Moves(repository.store)
        self._told: dict[str, dict[str, int]] = {}
        self._good: dict[layout.PackId, bool] = dict.fromkeys(
            condemned | damage.packs, False
        )

    def find(self, key: bytes, plain: int) -> layout.PackId | None:
        """Return a pack that holds this chunk and may be reused."""
        for place in self._cache.lookup(key):
            if place.plain != plain:
                continue
            pack = place.pack
            if not self.good(pack):
                pack = self._follow(key, place) or pack
            if self.good(pack) and (key, pack) not in self._damaged_chunks:
                return pack
        return None

    def _follow(self, key: bytes, place: index.Place) -> layout.PackId | None:
        """Return the good pack to which a chunk has moved, if any."""
        for _ in range(moved_.HOPS_LIMIT):
            self._moves.note_gone(place.pack)
            now = self._moves.follow(key, place)
            if now is None or now == place:
                return None
            if self.good(now.pack):
                return now.pack
            place = now
        return None

    def stand_ins(
        self, packs: Iterable[layout.PackId]
    ) -> packset.PackSet | None:
        """Return packs that hold what these hold, all of them reusable.

        None where some of it is in no such pack.
        """
        found = packset.PackSet()
        todo = list(packs)
        seen: set[layout.PackId] = set()
        while todo:
            pack = todo.pop()
            if self.good(pack):
                found.add(pack)
                continue
            segment = None if pack in seen else self._moves.segment(pack)
            if segment is None:
                return None
            seen.add(pack)
            todo += segment.packs
        return found

    def parts_of(self, owner: str) -> shelf.Parts:
        """Return the index parts of who owns a pack that was found."""
        return self._told.get(owner) or self._cache.parts_of(owner)

    def good(self, pack: layout.PackId) -> bool:
        """Tell whether a pack may be reused at all."""
        known = self._good.get(pack)
        return self._look(pack) if known is None else known

    def _look(self, pack: layout.PackId) -> bool:
        with self._lock:
            known = self._good.get(pack)
            if known is None:
                self._good[pack] = known = self._is_there(pack)
            return known

    def _is_there(self, pack: layout.PackId) -> bool:
        if pack.owner in self._live:
            return False
        expected = self._cache.size_of(pack)
        if expected is None:
            expected = self._moves.size_of(pack)
            if not self._has_index(pack):
                return False
        try:
            size = self._repository.store.stat(pack.name).size_bytes
        except errors.ObjectNotFound:
            return False
        return size == expected

    def _has_index(self, pack: layout.PackId) -> bool:
        """Find the index of an owner of which no manifest has told.

        Packs were moved to it. It is not live, so its index is complete.
        """
        told = self._told.setdefault(pack.owner, {})
        if pack.attempt not in told:
            count = self._count_parts(pack.owner, pack.attempt)
            if not count:
                return False
            told[pack.attempt] = count
        return True

    def _count_parts(self, owner: str, attempt: str) -> int:
        number = 0
        while True:
            part = layout.PartId(owner, attempt, number)
            try:
                self._repository.store.stat(part.name)
            except errors.ObjectNotFound:
                return number
            number += 1
