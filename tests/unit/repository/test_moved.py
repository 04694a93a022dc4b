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

"""Packs that have moved are followed wherever a pack is looked for."""

from __future__ import annotations

import itertools
import random
import uuid

from backupkit.drivers import store as contract
from backupkit.drivers import target
from backupkit import errors
from backupkit import model
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import repository as repository_
from backupkit.testing import lagging
from backupkit.testing.memory import catalog
from backupkit.testing.memory import store
from tests.unit.repository import case
from tests.unit.repository import moving

CHUNK = case.CHUNK


class MovedCase(case.RepositoryCase):
    """Two backups, and a way to move packs by hand."""

    def setUp(self) -> None:
        super().setUp()
        made = random.Random(5)
        data = bytearray(made.randbytes(30 * CHUNK) + b'abc' * 9000)
        self.versions = {}
        for _ in range(2):
            backup_id = self.back_up(bytes(data)).backup_id
            self.versions[backup_id] = bytes(data)
            data[CHUNK : 2 * CHUNK] = made.randbytes(CHUNK)
        self.first, self.last = self.versions

    @property
    def repository(self) -> repository_.Repository:
        """The repository, opened on the medium itself."""
        opened = repository_.open_repository(store.MemoryStore(self.medium))
        assert opened is not None
        return opened

    def packs(self) -> list[layout.PackId]:
        """Return all packs that are there."""
        found = map(layout.parse, sorted(self.medium.objects))
        return [one for one in found if isinstance(one, layout.PackId)]

    def move(self, old: layout.PackId, into: int = 1) -> list[layout.PackId]:
        """Move the chunks of a pack, in turn, into so many new ones."""
        repository = self.repository
        owner = str(uuid.uuid4())
        run = self.coordinator.begin(owner)
        self.coordinator.condemn(repository.repository_id, [old.name])
        self.coordinator.set_barrier(repository.repository_id, run)
        new = moving.move(repository, old, owner, into)
        self.coordinator.end(run)
        return new

    def move_all(self, into: int = 1) -> list[layout.PackId]:
        """Move every pack; return the new ones."""
        return [new for old in self.packs() for new in self.move(old, into)]

    def assert_whole(self) -> None:
        """Restore, verify and list all backups, and check everything."""
        for backup_id, data in self.versions.items():
            self.assertEqual(data, self.restore(backup_id))
            for full in (False, True):
                self.assertEqual(
                    (), self.verify(backup_id, full=full).findings
                )
        for read_data in (False, True):
            self.assertEqual((), self.check(read_data=read_data).findings)
        listed = [
            one.backup_id
            for one in self.target.list()
            if isinstance(one, model.BackupSummary)
        ]
        self.assertEqual(set(self.versions), set(listed))


class TestReading(MovedCase):
    def test_when_packs_have_moved_then_all_is_as_before(self) -> None:
        self.move_all(into=2)
        self.assert_whole()

    def test_when_they_move_on_then_they_are_followed(self) -> None:
        for _ in range(3):
            self.move_all()
        self.assert_whole()

    def test_when_the_indexes_are_gone_too_then_all_restores(self) -> None:
        self.move_all()
        for name in [n for n in self.medium.objects if '/index/' in n]:
            del self.medium.objects[name]
        for backup_id, data in self.versions.items():
            self.assertEqual(data, self.restore(backup_id))

    def test_when_the_old_pack_is_still_there_then_it_is_read(self) -> None:
        whole = dict(self.medium.objects)
        new = self.move_all()
        self.medium.objects.update(whole)
        for pack in new:
            del self.medium.objects[pack.name]
        for backup_id, data in self.versions.items():
            self.assertEqual(data, self.restore(backup_id))

    def test_when_a_new_pack_is_gone_then_that_is_told(self) -> None:
        gone, *_ = self.move(self.packs()[0])
        hurt = self.coordinator.committed(self.repository.repository_id)
        del self.medium.objects[gone.name]
        findings = [
            one
            for one in self.target.list()
            if isinstance(one, target.Finding)
        ]
        self.assertTrue(findings)
        report = self.check(read_data=False)
        self.assertIn(gone.name, {one.name for one in report.findings})
        self.assertLessEqual(
            {i for one in report.findings for i in one.backup_ids}, set(hurt)
        )
        with self.assertRaises(errors.Damaged):
            for backup_id in self.versions:
                self.restore(backup_id)

    def test_when_a_chunk_was_left_out_then_verify_finds_it(self) -> None:
        old = self.packs()[0]
        self.move(old)
        name = layout.MovedId(old).name
        segment = moved.read(self.medium.objects[name], old)
        self.medium.objects[name] = moving.left_behind(
            old, list(segment.records())[1:], segment.packs
        )
        for full in (False, True):
            bad = [
                i for i in self.versions if not self.verify(i, full=full).good
            ]
            self.assertTrue(bad)

    def test_when_a_new_pack_is_damaged_then_the_next_backup_heals(
        self,
    ) -> None:
        for pack in self.move_all():
            data = bytearray(self.medium.objects[pack.name])
            data[20] ^= 1
            self.medium.objects[pack.name] = bytes(data)
        self.assertFalse(self.verify(self.last).good)
        healed = self.back_up(self.versions[self.last])
        self.assertEqual(
            self.versions[self.last], self.restore(healed.backup_id)
        )
        self.assertTrue(self.verify(healed.backup_id).good)

    def test_when_any_bit_of_it_is_flipped_then_check_finds_it(self) -> None:
        self.move_all()
        whole = dict(self.medium.objects)
        generator = random.Random(3)
        for name in [n for n in whole if n.endswith('.moved')]:
            size = len(whole[name]) * 8
            for bit in generator.sample(range(size), 60):
                data = bytearray(whole[name])
                data[bit // 8] ^= 1 << bit % 8
                self.medium.objects[name] = bytes(data)
                report = self.check(read_data=False)
                self.assertFalse(report.good, f'bit {bit} of {name}')
                hurt = {i for one in report.findings for i in one.backup_ids}
                self.assertTrue(hurt)
                self.medium.objects.clear()
                self.medium.objects.update(whole)

    def test_when_it_is_damaged_then_no_wrong_byte_is_restored(self) -> None:
        self.move_all()
        for name in [n for n in self.medium.objects if n.endswith('.moved')]:
            self.medium.objects[name] = self.medium.objects[name][:-1]
        with self.assertRaises(errors.Damaged):
            self.restore(self.last)


class TestHostile(MovedCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.packs()[:2]
        (self.entry, *_) = self.repository.table(self.one)

    def _record(self, pack: layout.PackId, offset: int = 8) -> index.Record:
        return self.entry.digest, index.Place(pack, offset, 9, CHUNK, 1)

    def _refused(self, data: bytes, words: str) -> None:
        with self.assertRaisesRegex(errors.FormatError, words):
            moved.read(data, self.one)

    def test_when_it_tells_of_another_pack_then_it_is_refused(self) -> None:
        data = moving.left_behind(self.two, [], {})
        self._refused(data, 'another pack')

    def test_when_a_chunk_comes_twice_then_it_is_refused(self) -> None:
        records = [self._record(self.two, at) for at in (8, 17)]
        data = moving.left_behind(self.one, records, {self.two: 100})
        self._refused(data, 'out of order')

    def test_when_a_place_leaves_its_pack_then_it_is_refused(self) -> None:
        record = self._record(self.two, 92)
        self._refused(
            moving.left_behind(self.one, [record], {self.two: 100}),
            'leaves its pack',
        )

    def test_when_it_is_an_index_then_it_is_refused(self) -> None:
        data = index.encode([], {}, 'blake3', layout.PartId(*self.one))
        self._refused(data, 'begin as it should')

    def test_when_it_is_of_a_newer_version_then_it_says_so(self) -> None:
        data = bytearray(moving.left_behind(self.one, [], {}))
        data[7:8] = b'2'
        with self.assertRaises(errors.FormatTooNew):
            moved.read(bytes(data), self.one)

    def test_when_packs_move_in_a_circle_then_it_ends(self) -> None:
        for one, two in ((self.one, self.two), (self.two, self.one)):
            self.medium.objects[layout.MovedId(one).name] = moving.left_behind(
                one, [self._record(two)], {two: 1000}
            )
            del self.medium.objects[one.name]
        followed = moved.Moves(self.repository.store)
        for pack in (self.one, self.two):
            followed.note_gone(pack)
        self.assertIsNone(followed.follow(*self._record(self.one)))
        self.assertFalse(self.check().good)
        with self.assertRaises(errors.Damaged):
            self.restore(self.last)
        self.collect()

    def test_when_there_are_too_many_hops_then_it_ends(self) -> None:
        chain = [
            layout.PackId(self.one.owner, 'feed0002', at)
            for at in range(moved.HOPS_LIMIT + 2)
        ]
        followed = moved.Moves(self.repository.store)
        for old, new in itertools.pairwise(chain):
            self.medium.objects[layout.MovedId(old).name] = moving.left_behind(
                old, [self._record(new)], {new: 1000}
            )
            followed.note_gone(old)
        self.assertIsNone(followed.follow(*self._record(chain[0])))
        found = followed.follow(*self._record(chain[1]))
        self.assertEqual(chain[-1], found and found.pack)


class TestKeptMemory(MovedCase):
    def test_when_much_has_moved_then_little_is_kept(self) -> None:
        count = 40_000
        pack = layout.PackId(self.first, 'feed0003', 0)
        records = [
            (at.to_bytes(32, 'big'), index.Place(pack, 8, 9, CHUNK, 1))
            for at in range(count)
        ]
        followed = moved.Moves(self.repository.store)
        olds = [layout.PackId(self.first, 'feed0004', at) for at in range(12)]
        for old in olds:
            self.medium.objects[layout.MovedId(old).name] = moving.left_behind(
                old, records, {pack: 1000}
            )
            followed.note_gone(old)
        for old in [*olds, *olds]:
            place = index.Place(old, 8, 9, CHUNK, 1)
            found = followed.follow(bytes(32), place)
            self.assertEqual(pack, found and found.pack)
        self.assertLessEqual(followed.kept_bytes, 16 << 20)


class TestCollecting(MovedCase):
    def test_when_a_backup_needs_them_then_new_packs_stay(self) -> None:
        new = self.move_all()
        for _ in range(3):
            self.collect()
        self.assertLessEqual(set(new), set(self.packs()))
        self.assert_whole()

    def test_when_they_moved_on_then_only_the_last_packs_stay(self) -> None:
        self.move_all()
        last = self.move_all()
        for _ in range(3):
            self.collect()
        self.assertEqual(set(last), set(self.packs()))
        self.assert_whole()

    def test_when_one_backup_is_deleted_then_the_other_is_whole(self) -> None:
        self.move_all()
        self.delete(self.first)
        del self.versions[self.first]
        for _ in range(4):
            self.collect()
        self.assert_whole()

    def test_when_no_backup_needs_them_then_nothing_is_left(self) -> None:
        self.move_all(into=2)
        self.move_all()
        for backup_id in self.versions:
            self.delete(backup_id)
        for _ in range(4):
            self.collect()
        self.assertEqual(
            {layout.CONFIG, layout.RESERVE}, set(self.medium.objects)
        )
        repository_id = self.repository.repository_id
        self.assertEqual({}, self.coordinator.condemned(repository_id))
        self.assertEqual(set(), self.coordinator.known(repository_id))

    def test_when_another_catalog_took_over_then_new_packs_stay(self) -> None:
        old = {pack.name for pack in self.packs()}
        self.move_all()
        self.coordinator = catalog.MemoryCoordinator()
        self.target.adopt(self.coordinator)
        for one in self.target.list():
            assert isinstance(one, model.BackupSummary)
            run = self.coordinator.begin(one.backup_id)
            self.coordinator.record(run, one)
        for _ in range(3):
            self.collect()
        condemned = self.coordinator.condemned(self.repository.repository_id)
        self.assertEqual(old, set(condemned))
        self.assert_whole()

    def test_when_listings_lag_then_new_packs_stay(self) -> None:
        """What has moved is not listed yet: the catalog knows."""
        self.move_all()
        behind = lagging.LaggingMedium(lag=1 << 20)
        for name, data in self.medium.objects.items():
            behind.objects[name] = data
            behind.change(name, len(data))
        behind.catch_up()
        hidden = [n for n in behind.objects if n.endswith('.moved')]
        for name in hidden:
            behind.change(name, None)
        behind.catch_up()

        def lag(_: contract.Store, *__: object) -> contract.Store:
            return lagging.LaggingStore(behind)

        self.target.store_wrapper = lag
        for _ in range(3):
            self.collect()
        self.assert_whole()
        for name in hidden:
            self.assertIn(name, behind.objects)

    def test_when_what_is_left_is_damaged_then_nothing_is_deleted(
        self,
    ) -> None:
        self.move_all()
        self.delete(self.first)
        for name in [n for n in self.medium.objects if n.endswith('.moved')]:
            self.medium.objects[name] = self.medium.objects[name][:-1]
        before = set(self.medium.objects)
        with self.assertRaisesRegex(errors.Damaged, 'nothing is collected'):
            self.collect()
        self.assertEqual(before, set(self.medium.objects))

    def test_when_moving_broke_off_then_the_new_packs_go(self) -> None:
        whole = dict(self.medium.objects)
        self.move_all()
        new = {
            pack.name: self.medium.objects[pack.name] for pack in self.packs()
        }
        self.medium.objects.clear()
        self.medium.objects.update(whole | new)
        for _ in range(3):
            self.collect()
        self.assertEqual(set(whole), set(self.medium.objects))
        self.assert_whole()


class TestWriting(MovedCase):
    def test_when_packs_have_moved_then_they_are_not_reused(self) -> None:
        self.move_all()
        data = self.versions[self.last]
        extents = [model.Extent(0, len(data), model.ExtentKind.SAME)]
        summary = self.back_up(data, extents=extents)
        self.assertEqual([None], self.since)
        self.assertEqual(0, summary.changed_bytes)
        self.assertEqual(data, self.restore(summary.backup_id))
        self.versions[summary.backup_id] = data
        for backup_id in (self.first, self.last):
            self.delete(backup_id)
            del self.versions[backup_id]
        for _ in range(4):
            self.collect()
        self.assert_whole()
        self.assertFalse([n for n in self.medium.objects if '.moved' in n])


class TestNames(MovedCase):
    def test_when_a_pack_has_moved_then_its_name_is_known(self) -> None:
        for pack in self.packs():
            left = layout.MovedId(pack)
            self.assertEqual(
                left, layout.parse(contract.check_name(left.name))
            )
            with self.assertRaises(errors.FormatError):
                layout.pack_of(left.name)
            for wrong in (f'{left.name}.moved', pack.name.upper() + '.moved'):
                self.assertIsNone(layout.parse(wrong))
