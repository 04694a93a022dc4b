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
"""Checks that read a part of a repository, or a sample of a backup."""

from __future__ import annotations

import collections
import random
import uuid

import hypothesis
from hypothesis import strategies

from backupkit.copy import control
from backupkit.drivers import store
from backupkit.drivers import target as contract
from backupkit import errors
from backupkit.repository import layout
from backupkit.repository import packset
from backupkit.repository import selection
from tests.unit.repository import case

CHUNK = case.CHUNK


def _random(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class SelectionTestCase(case.RepositoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.reads: collections.Counter[str] = collections.Counter()
        self.target.store_wrapper = self.counted

    def counted(self, opened: store.Store, *unused: object) -> store.Store:
        """Count how often each pack is read whole."""
        get = opened.get

        def counting(
            name: str, offset: int = 0, length: int | None = None
        ) -> bytes:
            data = get(name, offset, length)
            # Only who reads all of a pack reads its magic.
            if '/packs/' in name and (offset, length) == (0, 8):
                self.reads[name] += 1
            return data

        opened.get = counting  # type: ignore[method-assign] # only counts
        return opened

    def packs(self) -> set[str]:
        return {
            name
            for name in self.medium.objects
            if '/packs/' in name and not name.endswith('.moved')
        }

    def part(self, number: int, count: int) -> contract.Report:
        return self.target.check_repository(
            self.coordinator, control.Control(), part=(number, count)
        )

    def test_when_all_parts_are_read_then_each_pack_is_once(self) -> None:
        for seed in range(6):
            self.back_up(_random(60 * CHUNK, seed), volume_id=f'v{seed % 4}')
        stray = self.back_up(_random(60 * CHUNK, 9), volume_id='stray')
        self.delete(stray.backup_id)
        for count in (1, 2, 3, 7):
            self.reads.clear()
            read = 0
            for number in range(1, count + 1):
                report = self.part(number, count)
                self.assertTrue(report.good, report)
                read += report.bytes_read
            self.assertEqual(dict.fromkeys(self.packs(), 1), self.reads)
            whole = self.check(read_data=True)
            self.assertEqual(whole.bytes_read, read)

    def test_when_packs_have_moved_then_each_is_read_once(self) -> None:
        data = _random(30 * CHUNK)
        gone = self.back_up(data + _random(90 * CHUNK, 1))
        self.back_up(data, volume_id='w')
        self.delete(gone.backup_id)
        self.collect()
        self.assertLess(0, self.collect(max_unused=0).moved_packs)
        self.reads.clear()
        for number in (1, 2, 3):
            self.assertTrue(self.part(number, 3).good)
        self.assertEqual(dict.fromkeys(self.packs(), 1), self.reads)

    def test_when_a_pack_is_damaged_then_one_part_tells(self) -> None:
        made = self.back_up(_random(90 * CHUNK))
        name = sorted(self.packs())[0]
        content = bytearray(self.medium.objects[name])
        content[CHUNK] ^= 1
        self.medium.objects[name] = bytes(content)
        hurt = [
            finding.backup_ids
            for number in range(1, 6)
            for finding in self.part(number, 5).findings
        ]
        self.assertEqual([(made.backup_id,)], hurt)

    def test_when_a_pack_is_gone_then_every_part_tells(self) -> None:
        self.back_up(_random(90 * CHUNK))
        del self.medium.objects[sorted(self.packs())[0]]
        for number in (1, 2):
            self.assertFalse(self.part(number, 2).good)

    def test_when_there_is_no_such_part_then_it_is_refused(self) -> None:
        self.back_up(_random(CHUNK))
        for number, count in ((0, 1), (2, 1), (1, 0), (1, 10_001)):
            with self.assertRaisesRegex(errors.UsageError, 'no part'):
                self.part(number, count)

    def test_when_sampled_then_a_share_of_the_packs_is_read(self) -> None:
        made = self.back_up(_random(300 * CHUNK))
        packs = len(self.packs())
        for share, wanted in ((0.001, 1), (0.5, (packs + 1) // 2), (1, packs)):
            self.reads.clear()
            report = self.target.verify_sample(
                made.backup_id,
                self.coordinator,
                control.Control(),
                share=share,
            )
            self.assertTrue(report.good)
            self.assertEqual(wanted, len(self.reads))
            self.assertLess(0, report.bytes_read)

    def test_when_sampled_often_then_every_damage_is_found(self) -> None:
        made = self.back_up(_random(60 * CHUNK))
        name = sorted(self.packs())[0]
        content = bytearray(self.medium.objects[name])
        content[CHUNK] ^= 1
        self.medium.objects[name] = bytes(content)

        def good() -> bool:
            return self.target.verify_sample(
                made.backup_id, self.coordinator, control.Control(), share=0.3
            ).good

        # Missed each time with a chance of less than one in 10**60.
        self.assertFalse(all(good() for _ in range(400)))

    def test_when_the_share_is_none_then_it_is_refused(self) -> None:
        for share in (0.0, -1.0, 1.01, float('nan')):
            with self.assertRaisesRegex(errors.UsageError, 'a sample is'):
                selection.Sample(share)

    @hypothesis.given(
        strategies.sets(strategies.integers(0, 5000), max_size=60),
        strategies.integers(1, 12),
    )
    def test_with_any_packs_then_the_parts_are_a_partition(
        self, numbers: set[int], count: int
    ) -> None:
        owner = str(uuid.UUID(int=7))
        packs = packset.PackSet(
            layout.PackId(owner, 'abcdef01', number) for number in numbers
        )
        parts = [
            selection.Part(number, count).of(packs)
            for number in range(1, count + 1)
        ]
        self.assertEqual(len(packs), sum(len(part) for part in parts))
        union = packset.PackSet()
        for part in parts:
            union.update(part)
        self.assertEqual(packs, union)
