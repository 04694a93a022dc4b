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

"""Backups made and restored through the repository target."""

import random

import hypothesis
from hypothesis import strategies

from backupkit.drivers import target
from backupkit import errors
from backupkit import model
from backupkit.repository import layout
from backupkit.testing.memory import catalog
from tests.unit.repository import case

CHUNK = case.CHUNK


def _random(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class TestBackup(case.RepositoryCase):
    def test_when_sizes_meet_chunk_borders_then_all_restore(self) -> None:
        for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 17):
            with self.subTest(size=size):
                data = _random(size, size)
                summary = self.back_up(data, volume_id=f'v{size}')
                self.assertEqual(size, summary.data_bytes)
                self.assertEqual(data, self.restore(summary.backup_id))

    def test_when_all_is_zero_then_no_pack_is_stored(self) -> None:
        summary = self.back_up(bytes(100 * CHUNK))
        packs = [n for n in self.medium.objects if '/packs/' in n]
        self.assertEqual([], packs)
        self.assertEqual(0, summary.data_bytes)
        self.assertEqual(bytes(100 * CHUNK), self.restore(summary.backup_id))

    def test_when_map_has_several_levels_then_it_restores(self) -> None:
        data = bytearray((4096 + 7) * CHUNK + 5)
        for at in (0, 4095 * CHUNK, 4096 * CHUNK, len(data) - 1):
            data[at] = 7
        summary = self.back_up(bytes(data))
        self.assertEqual(data, self.restore(summary.backup_id))
        self.assertTrue(self.verify(summary.backup_id).good)

    def test_when_nothing_changed_then_only_metadata_is_written(self) -> None:
        data = _random(300 * CHUNK)
        self.back_up(data)
        second = self.back_up(data)
        self.assertEqual(model.BackupKind.INCREMENTAL, second.kind)
        self.assertEqual(0, second.changed_bytes)
        self.assertEqual(0, second.stored_bytes)
        self.assertEqual(data, self.restore(second.backup_id))

    def test_when_one_chunk_changed_then_one_chunk_is_stored(self) -> None:
        data = bytearray(_random(300 * CHUNK))
        first = self.back_up(bytes(data))
        data[7 * CHUNK] ^= 1
        second = self.back_up(bytes(data))
        self.assertEqual(CHUNK, second.changed_bytes)
        self.assertEqual(first.backup_id, second.parent_id)
        self.assertLess(second.stored_bytes, 6 * CHUNK)

    def test_when_volumes_share_chunks_then_they_are_stored_once(self) -> None:
        data = _random(64 * CHUNK)
        self.back_up(data, volume_id='a')
        second = self.back_up(data[::1], volume_id='b')
        self.assertEqual(model.BackupKind.FULL, second.kind)
        self.assertEqual(0, second.stored_bytes)

    def test_when_full_is_asked_then_nothing_rests_on_a_parent(self) -> None:
        data = _random(8 * CHUNK)
        self.back_up(data)
        second = self.back_up(data, full=True)
        self.assertEqual(model.BackupKind.FULL, second.kind)
        self.assertEqual([None], self.since)

    def test_when_driver_says_same_then_it_is_not_read(self) -> None:
        data = bytearray(_random(50 * CHUNK))
        self.back_up(bytes(data))
        data[10 * CHUNK : 11 * CHUNK] = _random(CHUNK, 9)
        kind = model.ExtentKind
        second = self.back_up(
            bytes(data),
            extents=[
                model.Extent(0, 10 * CHUNK, kind.SAME),
                model.Extent(10 * CHUNK, CHUNK, kind.DATA),
                model.Extent(11 * CHUNK, 39 * CHUNK, kind.SAME),
            ],
        )
        self.assertEqual(CHUNK, self.reader.read_bytes)
        self.assertEqual(CHUNK, second.changed_bytes)
        self.assertEqual(50 * CHUNK, second.data_bytes)
        self.assertEqual(data, self.restore(second.backup_id))

    def test_when_volume_grows_or_shrinks_then_both_restore(self) -> None:
        data = _random(20 * CHUNK + 3)
        ids = {}
        for size in (len(data), 5 * CHUNK - 1, 20 * CHUNK):
            ids[self.back_up(data[:size]).backup_id] = size
        for backup_id, size in ids.items():
            self.assertEqual(data[:size], self.restore(backup_id))

    def test_when_a_backup_is_not_committed_then_it_does_not_exist(
        self,
    ) -> None:
        _, prepared = self.prepare(_random(9 * CHUNK))
        with self.assertRaises(errors.NotFound):
            self.target.show(prepared.summary.backup_id)
        self.assertEqual([], list(self.target.list()))

    def test_when_committed_twice_then_it_exists_once(self) -> None:
        _, prepared = self.prepare(_random(9 * CHUNK))
        self.target.commit(prepared)
        self.target.commit(prepared)
        self.assertEqual(1, len(list(self.target.list())))

    def test_when_aborted_then_it_can_never_be_committed(self) -> None:
        _, prepared = self.prepare(_random(9 * CHUNK))
        backup_id = prepared.summary.backup_id
        self.assertTrue(self.target.abort(backup_id))
        with self.assertRaises(errors.RunAborted):
            self.target.commit(prepared)
        left = [name for name in self.medium.objects if backup_id in name]
        self.assertEqual([layout.manifest(backup_id)], left)

    def test_when_committed_before_the_abort_then_it_stays(self) -> None:
        data = _random(9 * CHUNK)
        summary = self.back_up(data)
        self.assertFalse(self.target.abort(summary.backup_id))
        self.assertEqual(data, self.restore(summary.backup_id))

    def test_when_two_runs_are_uncommitted_then_they_share_nothing(
        self,
    ) -> None:
        data = _random(9 * CHUNK)
        _, one = self.prepare(data, volume_id='a')
        number, two = self.prepare(data, volume_id='b')
        self.target.abort(one.summary.backup_id)
        self.target.commit(two)
        self.coordinator.record(number, two.summary)
        self.assertEqual(data, self.restore(two.summary.backup_id))

    def test_when_it_was_not_consistent_then_the_manifest_says_so(
        self,
    ) -> None:
        _, prepared = self.prepare(_random(9 * CHUNK))
        revised = self.target.revise(prepared, consistent=False)
        self.target.commit(revised)
        shown = self.target.show(prepared.summary.backup_id)
        self.assertFalse(shown.consistent)

    def test_when_another_catalog_writes_then_it_is_refused(self) -> None:
        data = _random(9 * CHUNK)
        summary = self.back_up(data)
        other = catalog.MemoryCoordinator()
        with self.assertRaisesRegex(errors.NotOwner, 'repository adopt'):
            self.target.prepare_repository(other)
        self.assertEqual(data, self.restore(summary.backup_id))
        self.target.adopt(other)
        self.target.prepare_repository(other)
        with self.assertRaises(errors.NotOwner):
            self.back_up(data)

    def test_when_the_repository_is_gone_then_none_is_made_anew(self) -> None:
        self.back_up(_random(CHUNK))
        self.medium.objects.clear()
        with self.assertRaisesRegex(errors.TargetMissing, 'mounted'):
            self.back_up(_random(CHUNK))
        self.assertEqual({}, self.medium.objects)

    def test_when_rebuilt_then_the_list_tells_all(self) -> None:
        made = [
            self.back_up(_random(9 * CHUNK, seed), volume_id=f'v{seed}')
            for seed in range(4)
        ]
        listed = {
            one.backup_id: one
            for one in self.target.list()
            if isinstance(one, model.BackupSummary)
        }
        self.assertEqual({one.backup_id: one for one in made}, listed)

    def test_when_a_pack_is_gone_then_the_backup_is_not_listed_as_good(
        self,
    ) -> None:
        summary = self.back_up(_random(9 * CHUNK))
        name = next(n for n in self.medium.objects if '/packs/' in n)
        del self.medium.objects[name]
        (found,) = self.target.list()
        assert isinstance(found, target.Finding)
        self.assertEqual((summary.backup_id,), found.backup_ids)


class TestCodecs(case.RepositoryCase):
    def test_when_any_codec_and_digest_then_mixed_data_restores(self) -> None:
        data = _random(40 * CHUNK) + b'text ' * 50_000 + bytes(30 * CHUNK)
        for codec in ('none', 'zstd', 'lz4', 'zlib'):
            for digest in ('blake3', 'sha256'):
                with self.subTest(codec=codec, digest=digest):
                    self.options = {'codec': codec, 'digest': digest}
                    self.setUp()
                    summary = self.back_up(data)
                    self.assertEqual(data, self.restore(summary.backup_id))
                    self.assertTrue(self.check().good)


Write = tuple[int, int, str]

_WRITES = strategies.lists(
    strategies.tuples(
        strategies.integers(0, 40 * CHUNK),
        strategies.integers(1, 3 * CHUNK),
        strategies.sampled_from(['random', 'zero', 'repeat']),
    ),
    max_size=6,
)


class TestHistory(case.RepositoryCase):
    """Whatever is written and deleted, what is kept restores as it was."""

    @hypothesis.settings(max_examples=40)
    @hypothesis.given(
        size=strategies.integers(1, 40 * CHUNK),
        days=strategies.lists(_WRITES, min_size=1, max_size=6),
        order=strategies.randoms(use_true_random=False),
    )
    def test_when_anything_happens_then_kept_backups_restore(
        self, size: int, days: list[list[Write]], order: random.Random
    ) -> None:
        self.setUp()
        volume = bytearray(size)
        kept = {}
        for number, writes in enumerate(days):
            for offset, length, kind in writes:
                _write(volume, offset, length, kind, number)
            kept[self.back_up(bytes(volume)).backup_id] = bytes(volume)
            if order.random() < 0.5:
                gone = order.choice(sorted(kept))
                del kept[gone]
                self.delete(gone)
            if order.random() < 0.5:
                self.collect()
        for backup_id, data in kept.items():
            self.assertEqual(data, self.restore(backup_id))
        self.collect()
        self.assertEqual((), self.check().findings)
        for backup_id in kept:
            self.delete(backup_id)
        self.collect()
        self.assertEqual(
            {layout.CONFIG, layout.RESERVE}, set(self.medium.objects)
        )


def _write(
    volume: bytearray, offset: int, length: int, kind: str, seed: int
) -> None:
    end = min(len(volume), offset + length)
    if offset >= end:
        return
    made = {
        'random': _random(end - offset, seed),
        'zero': bytes(end - offset),
        'repeat': b'\x55' * (end - offset),
    }
    volume[offset:end] = made[kind]
