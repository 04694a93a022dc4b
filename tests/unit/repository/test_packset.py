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

"""A set of packs kept as ranges is a set."""

from __future__ import annotations

import tracemalloc
import unittest

import hypothesis
from hypothesis import strategies

from backupkit.repository import document
from backupkit.repository import layout
from backupkit.repository import packset

_OWNERS = [
    '00000000-0000-0000-0000-00000000000a',
    '10000000-0000-0000-0000-00000000000b',
]
_PACKS = strategies.builds(
    layout.PackId,
    strategies.sampled_from(_OWNERS),
    strategies.sampled_from(['aaaaaaaa', 'bbbbbbbb']),
    strategies.integers(0, 12) | strategies.integers(0, layout.NUMBER_LIMIT),
)
_RUNS = strategies.builds(
    lambda pack, count: frozenset(
        pack._replace(number=min(pack.number + at, layout.NUMBER_LIMIT))
        for at in range(count)
    ),
    _PACKS,
    strategies.integers(1, 8),
)
_SETS = strategies.lists(_RUNS, max_size=8).map(
    lambda runs: frozenset[layout.PackId]().union(*runs)
)


class TestPackSet(unittest.TestCase):
    @hypothesis.given(groups=strategies.lists(_SETS, max_size=5), probes=_SETS)
    def test_when_packs_are_added_then_it_is_as_a_set(
        self,
        groups: list[frozenset[layout.PackId]],
        probes: frozenset[layout.PackId],
    ) -> None:
        model: set[layout.PackId] = set()
        ranges = packset.PackSet()
        for at, group in enumerate(groups):
            model |= group
            ranges.update(packset.PackSet(group) if at % 2 else group)
        self.assertEqual(len(model), len(ranges))
        self.assertEqual(bool(model), bool(ranges))
        self.assertEqual(sorted(model), list(ranges))
        self.assertEqual({pack.owner for pack in model}, ranges.owners)
        self.assertEqual(packset.PackSet(model), ranges)
        self.assertEqual(model.isdisjoint(probes), ranges.isdisjoint(probes))
        for pack in {*probes, *model}:
            for number in (pack.number - 1, pack.number, pack.number + 1):
                one = pack._replace(number=number)
                self.assertEqual(one in model, one in ranges)
        for owner in _OWNERS:
            expected = {pack for pack in model if pack.owner == owner}
            self.assertEqual(sorted(expected), list(ranges.of(owner)))

    @hypothesis.given(packs=_SETS)
    def test_when_written_and_read_then_it_is_the_same(
        self, packs: frozenset[layout.PackId]
    ) -> None:
        ranges = packset.PackSet(packs)
        self.assertEqual(ranges, document.decode_packs(ranges.encode(), 'it'))

    @hypothesis.given(packs=_SETS, more=_SETS)
    def test_when_one_set_grows_then_the_other_does_not(
        self, packs: frozenset[layout.PackId], more: frozenset[layout.PackId]
    ) -> None:
        first = packset.PackSet(packs)
        second = packset.PackSet(first)
        third = first.of(_OWNERS[0])
        second.update(more)
        third.update(more)
        self.assertEqual(sorted(packs), list(first))

    def test_when_packs_are_very_many_then_the_set_is_small(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        packs = packset.PackSet()
        for attempt in range(100):
            packs.update(
                document.decode_packs(
                    {_OWNERS[0]: {f'{attempt:08x}': '0-99999'}}, 'it'
                )
            )
        self.assertEqual(10_000_000, len(packs))
        self.assertLess(tracemalloc.get_traced_memory()[1], 1 << 20)

    def test_when_asked_for_what_is_no_pack_then_it_is_not_in_it(self) -> None:
        packs = packset.PackSet([layout.PackId(_OWNERS[0], 'aaaaaaaa', 1)])
        for other in (
            'x',
            None,
            layout.PartId(_OWNERS[0], 'aaaaaaaa', 1),
            layout.MovedId(next(iter(packs))),
        ):
            self.assertNotIn(other, packs)
        self.assertNotEqual(packs, set(packs))
