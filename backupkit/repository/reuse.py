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
"""

from __future__ import annotations

import threading

from backupkit import errors
from backupkit.repository import cache as cache_
from backupkit.repository import damage as damage_
from backupkit.repository import layout
from backupkit.repository import repository as repository_
from backupkit.repository import shelf


class Reuse:
    """Answers which pack a known chunk may be taken from.

    May be used by several threads.

    :param condemned: packs on the catalog's list when the run began
    """

    def __init__(
        self,
        repository: repository_.Repository,
        cache: cache_.IndexCache,
        condemned: frozenset[layout.PackId],
        damage: damage_.Damage,
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._damaged_chunks = damage.chunks
        self._lock = threading.Lock()
        self._good: dict[layout.PackId, bool] = dict.fromkeys(
            condemned | damage.packs, False
        )

    def find(self, key: bytes, plain: int) -> layout.PackId | None:
        """Return a pack that holds this chunk and may be reused."""
        for place in self._cache.lookup(key):
            if place.plain != plain:
                continue
            good = self._good.get(place.pack)
            if good is None:
                good = self._look(place.pack)
            if good and (key, place.pack) not in self._damaged_chunks:
                return place.pack
        return None

    def parts_of(self, owner: str) -> shelf.Parts:
        """Return the index parts of who owns a pack that was found."""
        return self._cache.parts_of(owner)

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
        expected = self._cache.size_of(pack)
        try:
            size = self._repository.store.stat(pack.name).size_bytes
        except errors.ObjectNotFound:
            return False
        return size == expected
