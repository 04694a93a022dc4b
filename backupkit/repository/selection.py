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
"""Which packs a check reads, where it does not read all of them.

Every pack is looked at all the same: that it is there, and of its size.
"""

from __future__ import annotations

import hashlib
import math
import random
from typing import Protocol

from backupkit import errors
from backupkit.repository import layout
from backupkit.repository import packset

#: Into how many parts a repository can be divided.
PARTS_LIMIT = 10_000

_RANDOM = random.SystemRandom()


class Selection(Protocol):
    """Chooses among packs."""

    def of(self, packs: packset.PackSet) -> packset.PackSet:
        """Return those of these packs that are to be read."""


class All:
    """Every pack."""

    def of(self, packs: packset.PackSet) -> packset.PackSet:
        """Return all of them."""
        return packs


class Nothing:
    """No pack."""

    def of(self, packs: packset.PackSet) -> packset.PackSet:
        """Return none of them."""
        return packset.PackSet()


class Sample:
    """A share of the packs by chance, and one of them at the least.

    :raises errors.UsageError: ``share`` is no share
    """

    def __init__(self, share: float) -> None:
        if not 0 < share <= 1:
            raise errors.UsageError(
                f'a sample is more than 0% and at most 100%: {share:.0%}'
            )
        self._share = share

    def of(self, packs: packset.PackSet) -> packset.PackSet:
        """Return a share of them, others each time."""
        count = len(packs)
        wanted = min(count, math.ceil(count * self._share))
        numbers = set(_RANDOM.sample(range(count), wanted))
        return packset.PackSet(
            pack for at, pack in enumerate(packs) if at in numbers
        )


class Part:
    """One of so many parts, into which all packs are divided by name.

    A pack is in the same part for as long as it is there: who reads part 1
    of 7, part 2 of 7 and so on has read each pack once, those included that
    came meanwhile into a part that was still to come.

    :raises errors.UsageError: there is no such part
    """

    def __init__(self, number: int, count: int) -> None:
        if not 1 <= number <= count <= PARTS_LIMIT:
            raise errors.UsageError(
                f'there is no part {number} of {count}: the first is 1, the '
                f'last has the number of all, and at most {PARTS_LIMIT} are '
                'allowed'
            )
        self._number = number
        self._count = count

    def of(self, packs: packset.PackSet) -> packset.PackSet:
        """Return those that are in this part."""
        return packset.PackSet(pack for pack in packs if self._has(pack))

    def _has(self, pack: layout.PackId) -> bool:
        name = hashlib.sha256(pack.name.encode()).digest()
        number = int.from_bytes(name[:8], 'big') % self._count
        return number == self._number - 1
