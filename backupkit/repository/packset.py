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

"""Sets of packs, kept as ranges of their numbers.

A backup names packs by the million, nearly all of them in long runs.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator
import itertools

from backupkit.repository import layout

#: Owner and attempt.
_Key = tuple[str, str]
#: First and last number.
_Range = tuple[int, int]


class PackSet(Collection[layout.PackId]):
    """A set of packs that is small however many they are.

    Iterates in order. It may grow; who shares one leaves it as it is.
    """

    def __init__(self, packs: Iterable[layout.PackId] = ()) -> None:
        self._ranges: dict[_Key, list[_Range]] = {}
        self.update(packs)

    def __contains__(self, pack: object) -> bool:
        if not isinstance(pack, layout.PackId):
            return False
        owner, attempt, number = pack
        ranges = self._ranges.get((owner, attempt), ())
        at = bisect.bisect_right(ranges, (number, layout.NUMBER_LIMIT)) - 1
        return at >= 0 and number <= ranges[at][1]

    def __iter__(self) -> Iterator[layout.PackId]:
        for (owner, attempt), ranges in sorted(self._ranges.items()):
            for low, high in ranges:
                for number in range(low, high + 1):
                    yield layout.PackId(owner, attempt, number)

    def __len__(self) -> int:
        ranges = itertools.chain.from_iterable(self._ranges.values())
        return sum(high - low + 1 for low, high in ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PackSet):
            return NotImplemented
        return self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment] # it may grow

    def __repr__(self) -> str:
        return f'PackSet({self._ranges})'

    @property
    def owners(self) -> set[str]:
        """The backups that own any of the packs."""
        return {owner for owner, _ in self._ranges}

    def of(self, owner: str) -> PackSet:
        """Return the packs of one owner."""
        part = PackSet()
        part._ranges = {
            key: list(ranges)
            for key, ranges in self._ranges.items()
            if key[0] == owner
        }
        return part

    def add(self, pack: layout.PackId) -> None:
        """Add one pack."""
        owner, attempt, number = pack
        self.add_ranges(owner, attempt, [(number, number)])

    def add_ranges(
        self, owner: str, attempt: str, ranges: list[_Range]
    ) -> None:
        """Add the packs of one attempt, by ranges in their order."""
        known = self._ranges.get((owner, attempt))
        if known and ranges and ranges[0][0] > known[-1][1] + 1:
            known += ranges
        elif known and ranges and ranges[0][0] == known[-1][1] + 1:
            known[-1] = (known[-1][0], ranges[0][1])
            known += ranges[1:]
        elif ranges and known != ranges:
            self._ranges[owner, attempt] = _merged(known or [], ranges)

    def update(self, packs: Iterable[layout.PackId]) -> None:
        """Add many packs."""
        if isinstance(packs, PackSet):
            for (owner, attempt), ranges in packs._ranges.items():
                self.add_ranges(owner, attempt, ranges)
            return
        for pack in packs:
            self.add(pack)

    def isdisjoint(self, packs: Iterable[layout.PackId]) -> bool:
        """Tell whether none of these packs is in the set."""
        return not any(pack in self for pack in packs)

    def encode(self) -> dict[str, dict[str, str]]:
        """Return owner, attempt, and the ranges as text."""
        plain: dict[str, dict[str, str]] = {}
        for (owner, attempt), ranges in self._ranges.items():
            text = layout.encode_numbers(ranges)
            plain.setdefault(owner, {})[attempt] = text
        return plain


def _merged(one: list[_Range], two: list[_Range]) -> list[_Range]:
    merged: list[_Range] = []
    for low, high in sorted(one + two):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
