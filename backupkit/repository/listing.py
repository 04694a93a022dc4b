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

"""What a listing of a repository shows, small however much that is.

A repository of 1 PiB has tens of millions of packs. Each takes eight bytes
here: its number and its size, by owner and attempt.
"""

from __future__ import annotations

import array
import bisect
from collections.abc import Iterator
import logging

from backupkit.copy import control as control_
from backupkit.drivers import store as store_
from backupkit.repository import layout
from backupkit.repository import packset

LOG = logging.getLogger(__name__)

_SIZE_BITS = 32
_SIZE_LIMIT = (1 << _SIZE_BITS) - 1


class Listing:
    """The objects below the backups' paths, as one listing showed them.

    ``moved`` are the packs that have left a ``.moved``, ``parts`` the index
    parts by owner, ``journals`` the journal parts and
    ``files`` those of images likewise, and ``manifests`` the ids of which
    there is a manifest or a tombstone.
    """

    def __init__(self) -> None:
        self._packs: dict[tuple[str, str], array.array[int]] = {}
        self._found: set[str] = set()
        self.moved = packset.PackSet()
        self.parts: dict[str, list[layout.PartId]] = {}
        self.journals: dict[str, list[layout.JournalId]] = {}
        self.files: dict[str, list[layout.FileId]] = {}
        self.manifests: set[str] = set()

    @classmethod
    def of(
        cls,
        store: store_.Store,
        control: control_.Control,
        *,
        packs: bool = True,
    ) -> Listing:
        """List a store once.

        :param packs: keep the packs too
        """
        seen = cls()
        moved: list[layout.PackId] = []
        for stat in store.list(layout.BACKUPS):
            control.check()
            match layout.parse(stat.name):
                case layout.PackId() as pack:
                    seen._found.add(pack.owner)
                    if packs:
                        seen._add(pack, stat.size_bytes)
                case layout.MovedId() as left:
                    moved.append(left.pack)
                case layout.PartId() as part:
                    seen.parts.setdefault(part.owner, []).append(part)
                case layout.JournalId() as part_of:
                    owned = seen.journals.setdefault(part_of.owner, [])
                    owned.append(part_of)
                case layout.FileId() as file:
                    seen.files.setdefault(file.owner, []).append(file)
                case str(backup_id):
                    seen.manifests.add(backup_id)
                case _:
                    LOG.warning('%s is not ours and stays', stat.name)
        seen.moved.update(sorted(moved))
        for key, known in seen._packs.items():
            seen._packs[key] = array.array('Q', sorted(known))
        return seen

    def _add(self, pack: layout.PackId, size_bytes: int) -> None:
        known = self._packs.setdefault(
            (pack.owner, pack.attempt), array.array('Q')
        )
        size = min(size_bytes, _SIZE_LIMIT)
        known.append(pack.number << _SIZE_BITS | size)

    @property
    def owners(self) -> set[str]:
        """Every backup id of which anything is there."""
        return (
            self._found
            | self.moved.owners
            | self.parts.keys()
            | self.files.keys()
            | self.journals.keys()
            | self.manifests
        )

    def packs(self) -> Iterator[layout.PackId]:
        """Yield all packs that are there, in order."""
        for (owner, attempt), known in sorted(self._packs.items()):
            for one in known:
                yield layout.PackId(owner, attempt, one >> _SIZE_BITS)

    def size_of(self, pack: layout.PackId) -> int | None:
        """Return the size of a pack as listed; None if it was not."""
        known = self._packs.get((pack.owner, pack.attempt))
        if known is None:
            return None
        at = bisect.bisect_left(known, pack.number << _SIZE_BITS)
        if at == len(known) or known[at] >> _SIZE_BITS != pack.number:
            return None
        return known[at] & _SIZE_LIMIT
