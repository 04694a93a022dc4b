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

"""A search in a segment finds what a dictionary would."""

from __future__ import annotations

import collections
import random
from typing import Any
import unittest
from unittest import mock
import uuid

import hypothesis
from hypothesis import strategies

from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import search

PACKS = [
    layout.PackId(str(uuid.UUID(int=at)), 'a77e0001', at) for at in range(3)
]

#: Digests as nobody's digest makes them: alike, crowded, at the ends.
_KEYS = strategies.one_of(
    strategies.binary(min_size=32, max_size=32),
    strategies.binary(min_size=1, max_size=2).map(
        lambda b: b.rjust(32, b'\0')
    ),
    strategies.binary(min_size=1, max_size=2).map(
        lambda b: b.ljust(32, b'\0')
    ),
    strategies.binary(min_size=1, max_size=2).map(
        lambda b: b.rjust(32, b'\xff')
    ),
    strategies.binary(min_size=1, max_size=2).map(
        lambda b: b'\x80' * 7 + b.rjust(25, b'\0')
    ),
    strategies.integers(0, 255).map(lambda n: (1 << n).to_bytes(32, 'big')),
    strategies.integers(0, 255).map(
        lambda n: ((1 << 256) - (1 << n)).to_bytes(32, 'big')
    ),
)


class Counting(bytes):
    """Bytes that count how often something is looked up in them."""

    looks = 0

    def __getitem__(self, key: Any) -> Any:
        self.looks += 1
        return super().__getitem__(key)


def segment_of(records: list[index.Record]) -> index.Segment:
    """Return these records as a segment."""
    return index.Segment(
        index.encode(records, dict.fromkeys(PACKS, 1 << 20), 'blake3')
    )


class TestLookup(unittest.TestCase):
    @hypothesis.given(
        keys=strategies.lists(_KEYS, max_size=60),
        others=strategies.lists(_KEYS, max_size=20),
        seed=strategies.integers(0, 99),
        near=strategies.sampled_from((1, 2, 5, 48)),
    )
    def test_when_a_digest_is_searched_then_all_its_places_are_found(
        self, keys: list[bytes], others: list[bytes], seed: int, near: int
    ) -> None:
        chance = random.Random(seed)
        model: dict[bytes, list[index.Place]] = collections.defaultdict(list)
        records = []
        for at, key in enumerate([*keys, *keys[: len(keys) // 3]]):
            place = index.Place(
                chance.choice(PACKS), 8 + at, 9, 4096, 1, 0, at
            )
            model[key].append(place)
            records.append((key, place))
        segment = segment_of(records)
        segment.check_records(index.PART_LIMIT)
        self.assertEqual(len(records), segment.count)
        for key in [*keys, *others, bytes(32), b'\xff' * 32]:
            with mock.patch.object(search, '_NEAR', near):
                found = segment.lookup(key)
            self.assertEqual(sorted(model.get(key, [])), sorted(found))
        self.assertEqual(sorted(records), sorted(segment.records()))

    def test_when_digests_are_not_spread_then_the_search_is_still_short(
        self,
    ) -> None:
        """Guesses that are always wrong cost twice as much as halving."""
        count = 4096
        chance = random.Random(1)
        crowds = {
            'even': [chance.randbytes(32) for _ in range(count)],
            'low': [at.to_bytes(32, 'big') for at in range(count)],
            'steep': [
                (2 ** (at % 256) + at).to_bytes(33, 'big')[-32:]
                for at in range(count)
            ],
            'alike': [
                b'\x42' * 8 + at.to_bytes(24, 'big') for at in range(count)
            ],
            'ends': [
                bytes([255 * (at % 2)]) * 30 + at.to_bytes(2, 'big')
                for at in range(count)
            ],
        }
        for name, keys in crowds.items():
            place = index.Place(PACKS[0], 8, 9, 9, 0)
            data = Counting(
                index.encode(
                    [(key, place) for key in keys], {PACKS[0]: 99}, 'blake3'
                )
            )
            segment = index.Segment(data)
            worst = 0
            for key in [*keys[::7], bytes(32), b'\xff' * 32, b'\x42' * 32]:
                data.looks = 0
                found = segment.lookup(key)
                worst = max(worst, data.looks)
                self.assertEqual(keys.count(key), len(found))
            # Three more for the guess, and two that tell where the run of
            # equal digests ends.
            self.assertLessEqual(worst, 2 * 12 + 7, name)

    def test_when_a_segment_is_empty_then_nothing_is_found(self) -> None:
        segment = segment_of([])
        self.assertEqual([], segment.lookup(bytes(32)))
        self.assertEqual([], list(segment.records()))
        self.assertEqual(set(PACKS), set(segment.packs))
