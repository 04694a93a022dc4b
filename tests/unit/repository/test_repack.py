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

"""Packs that are mostly dead: moved, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import random
from unittest import mock
import uuid

from backupkit.copy import control
from backupkit.drivers import store as contract
from backupkit.drivers.wrappers import base
from backupkit import errors
from backupkit import model
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import packer
from backupkit.repository import repack
from backupkit.repository import tree
from backupkit.testing import faults as faults_
from backupkit.testing import lagging
from tests.unit.repository import case
from tests.unit.repository import mostly_dead

CHUNK = case.CHUNK


class Interposed(base.StoreWrapper):
    """A store that lets something happen before a put."""

    def __init__(
        self, inner: contract.Store, before: Callable[[str], None]
    ) -> None:
        super().__init__(inner)
        self._before = before

    def put(self, name: str, parts: Sequence[contract.Buffer]) -> None:
        """Put, when what is to come before has been."""
        self._before(name)
        self.inner.put(name, parts)


class RepackCase(mostly_dead.MostlyDeadCase):
    """A repository, and what may come in the middle of a gc."""

    def before_moved(self, action: Callable[[], object]) -> None:
        """Do something once, before the first ``.moved`` is put."""
        todo = [action]

        def before(name: str) -> None:
            if name.endswith('.moved') and todo:
                self.wrap(lambda inner, *_: inner)
                todo.pop()()

        self.wrap(lambda inner, *_: Interposed(inner, before))


class TestMoving(RepackCase):
    def test_when_little_is_in_use_then_it_moves(self) -> None:
        before = self.medium.used_bytes()
        result = self.collect(0.0)
        self.assertLess(0, result.moved_packs)
        self.assertEqual(40 * CHUNK, result.moved_bytes)
        self.assertEqual([], self.packs(self.first))
        self.assertLess(self.medium.used_bytes(), before - 15 * CHUNK)
        self.assert_whole()

    def test_when_that_much_may_stay_then_nothing_moves(self) -> None:
        before = dict(self.medium.objects)
        self.assertEqual(0, self.collect(0.5).moved_packs)
        self.assertEqual(before, dict(self.medium.objects))
        self.assertEqual(set(), self.condemned)

    def test_when_done_again_then_nothing_is_left_to_do(self) -> None:
        self.collect(0.0)
        before = dict(self.medium.objects)
        for _ in range(2):
            self.assertEqual(0, self.collect(0.0).moved_packs)
        self.assertEqual(before, dict(self.medium.objects))

    def test_when_it_moves_on_then_it_is_followed(self) -> None:
        for at in range(5):
            self.collect(0.0)
            self.change(range(at, 60, 4))
            kept = self.back_up(bytes(self.data))
            self.versions[kept.backup_id] = bytes(self.data)
            gone = next(iter(self.versions))
            self.delete(gone)
            del self.versions[gone]
        self.collect(0.0)
        self.assert_whole()
        self.assert_nothing_stays()

    def test_when_all_backups_go_then_nothing_stays(self) -> None:
        self.collect(0.0)
        self.assert_nothing_stays()

    def test_when_it_has_moved_often_enough_then_it_stays(self) -> None:
        with mock.patch.object(moved, 'HOPS_LIMIT', 0):
            self.assertEqual(0, self.collect(0.0).moved_packs)

    def test_when_packs_are_few_at_a_time_then_all_move(self) -> None:
        with mock.patch('backupkit.repository.mover._TOGETHER', 1):
            self.assertLess(1, self.collect(0.0).moved_packs)
        attempts = {
            pack.attempt for pack in self.packs() if pack.owner != self.first
        }
        self.assertEqual(3, len(attempts))
        self.back_up(bytes(self.data))
        self.assert_whole_with_last()

    def assert_whole_with_last(self) -> None:
        """Restore the last backup, which names what has moved."""
        last = self.coordinator.latest(
            self.repository.repository_id, 'local', 'v'
        )
        assert last is not None
        self.assertEqual(bytes(self.data), self.restore(last))


class TestNextBackup(RepackCase):
    def test_when_packs_have_moved_then_nothing_is_stored_again(self) -> None:
        self.collect(0.0)
        kept = self.back_up(bytes(self.data))
        self.assertEqual(0, kept.stored_bytes)
        self.versions[kept.backup_id] = bytes(self.data)
        self.assert_whole()
        for backup_id in [*self.versions][:-1]:
            self.delete(backup_id)
            del self.versions[backup_id]
        for _ in range(3):
            self.collect()
        self.assertEqual([], self.moved())
        self.assertEqual(set(), self.condemned)
        self.assert_whole()

    def test_when_extents_are_the_same_then_they_are_not_read(self) -> None:
        self.collect(0.0)
        self.change([3])
        same = model.ExtentKind.SAME
        kept = self.back_up(
            bytes(self.data),
            extents=[
                model.Extent(0, 3 * CHUNK, same),
                model.Extent(3 * CHUNK, CHUNK, model.ExtentKind.DATA),
                model.Extent(4 * CHUNK, 56 * CHUNK, same),
            ],
        )
        self.assertEqual([self.last], self.since)
        self.assertEqual(CHUNK, self.reader.read_bytes)
        self.versions[kept.backup_id] = bytes(self.data)
        manifest = self.repository.manifest(kept.backup_id)
        self.assertNotIn(self.first, manifest.packs.owners)
        self.assert_whole()

    def test_when_new_packs_are_condemned_then_all_is_read(self) -> None:
        self.collect(0.0)
        owner = ({p.owner for p in self.packs()} - self.versions.keys()).pop()
        self.coordinator.condemn(
            self.repository.repository_id,
            [pack.name for pack in self.packs(owner)],
        )
        kept = self.back_up(bytes(self.data))
        self.assertEqual([None], self.since)
        self.assertLess(20 * CHUNK, kept.stored_bytes)
        self.assertEqual(bytes(self.data), self.restore(kept.backup_id))

    def test_when_the_owner_is_live_then_its_packs_are_not_reused(
        self,
    ) -> None:
        """Its index may not be complete yet."""
        self.collect(0.0)
        owner = ({p.owner for p in self.packs()} - self.versions.keys()).pop()
        self.coordinator.begin(owner, collects=True)
        kept = self.back_up(bytes(self.data))
        manifest = self.repository.manifest(kept.backup_id)
        self.assertNotIn(owner, manifest.packs.owners)

    def test_when_their_index_is_gone_then_they_are_not_reused(self) -> None:
        self.collect(0.0)
        owner = ({p.owner for p in self.packs()} - self.versions.keys()).pop()
        for name in [*self.medium.objects]:
            if name.startswith(f'{layout.base(owner)}index/'):
                del self.medium.objects[name]
        kept = self.back_up(bytes(self.data))
        manifest = self.repository.manifest(kept.backup_id)
        self.assertNotIn(owner, manifest.packs.owners)
        self.assertEqual(bytes(self.data), self.restore(kept.backup_id))


class TestWaiting(RepackCase):
    def test_when_a_run_is_live_then_it_waits(self) -> None:
        run = self.coordinator.begin(str(uuid.uuid4()))
        result = self.collect(0.0)
        self.assertEqual(1, len(result.waiting_for))
        self.assertEqual(0, result.moved_packs)
        self.assertLess(0, result.condemned_packs)
        self.coordinator.end(run)
        self.assertLess(0, self.collect(0.0).moved_packs)
        self.assert_whole()

    def test_when_a_run_reuses_what_was_dead_then_that_moves_too(
        self,
    ) -> None:
        """It registered before the packs were condemned."""
        old = self.repository.table(self.packs(self.first)[0])[0]
        pack = self.packs(self.first)[0]
        plain = self._plain(old.digest)
        number, prepared = self.prepare(plain)
        self.assertEqual(1, len(self.collect(0.0).waiting_for))
        self.target.commit(prepared)
        self.coordinator.record(number, prepared.summary)
        backup_id = prepared.summary.backup_id
        self.assertIn(pack, self.repository.manifest(backup_id).packs)
        self.assertLess(0, self.collect(0.0).moved_packs)
        self.versions[backup_id] = plain
        self.assert_whole()

    def _plain(self, digest: bytes) -> bytes:
        """Return the bytes of a chunk of the first backup."""
        made = random.Random(7).randbytes(60 * CHUNK)
        chunks = (made[at : at + CHUNK] for at in range(0, len(made), CHUNK))
        return next(
            one for one in chunks if self.repository.digest(one) == digest
        )

    def test_when_the_wait_is_over_then_another_share_does_not_matter(
        self,
    ) -> None:
        """What is condemned can never be reused: so it moves."""
        run = self.coordinator.begin(str(uuid.uuid4()))
        self.collect(0.0)
        self.coordinator.end(run)
        self.assertEqual(0, self.collect().moved_packs)
        self.assert_whole()


class TestCrashes(RepackCase):
    def test_when_any_call_fails_then_all_is_whole(self) -> None:
        calls = self.check_each_call(
            lambda: self.collect(0.0), faults_.Fault.BEFORE
        )
        self.assertLess(20, calls)

    def test_when_any_answer_is_lost_then_all_is_whole(self) -> None:
        self.check_each_call(lambda: self.collect(0.0), faults_.Fault.AFTER)

    def test_when_a_put_is_torn_then_all_is_whole(self) -> None:
        self.check_each_call(lambda: self.collect(0.0), faults_.Fault.TORN)

    def test_when_the_target_stays_away_then_all_is_whole(self) -> None:
        self.check_each_call(
            lambda: self.collect(0.0),
            faults_.Fault.BEFORE,
            lasting=True,
            after=self.assert_nothing_stays,
        )

    def test_when_it_broke_off_before_the_delete_then_it_goes_on(
        self,
    ) -> None:
        faults = faults_.Faults(errors.TargetError, only=('delete',))
        faults.arm(1)
        self.wrap(faults.wrap)
        with self.assertRaises(errors.TargetError):
            self.collect(0.0)
        (left,) = self.moved()
        self.assertIn(left, self.packs())
        self.assertEqual(2, self.collect(0.0).moved_packs)
        self.assertEqual([], self.packs(self.first))
        self.assert_whole()


class TestOthers(RepackCase):
    def test_when_it_is_overtaken_then_the_old_pack_stays(self) -> None:
        """Its run ended as it slept, and another gc took its packs."""
        owner = str(uuid.uuid4())
        number = self.coordinator.begin(owner, collects=True)

        def overtake() -> None:
            self.coordinator.end(number)
            for _ in range(3):
                self.collect()

        self.before_moved(overtake)
        self.target.collect(
            self.coordinator, control.Control(), repack.Wish(owner, 0.0)
        )
        self.assertLess(1, len(self.packs(self.first)))
        self.assert_whole()
        self.collect(0.0)
        self.collect(0.0)
        self.assertEqual([], self.packs(self.first))
        self.assert_whole()

    def test_when_its_packs_are_condemned_then_the_old_pack_stays(
        self,
    ) -> None:
        """Another gc may have read the manifests before, and be late."""
        owner = str(uuid.uuid4())
        number = self.coordinator.begin(owner, collects=True)

        def condemn() -> None:
            self.coordinator.condemn(
                self.repository.repository_id,
                [pack.name for pack in self.packs(owner)],
            )

        self.before_moved(condemn)
        self.target.collect(
            self.coordinator, control.Control(), repack.Wish(owner, 0.0)
        )
        self.coordinator.end(number)
        self.assertLess(1, len(self.packs(self.first)))
        for pack in self.packs(owner):
            del self.medium.objects[pack.name]
        self.assert_whole()

    def test_when_another_moved_it_first_then_that_holds(self) -> None:
        self.before_moved(lambda: self.collect(0.0))
        self.collect(0.0)
        for _ in range(3):
            self.collect(0.0)
        self.assertEqual([], self.packs(self.first))
        self.assert_whole()

    def test_when_another_gc_comes_by_then_it_leaves_new_packs(self) -> None:
        self.before_moved(self.collect)
        self.assertLess(0, self.collect(0.0).moved_packs)
        self.assert_whole()

    def test_when_a_backup_comes_between_then_both_are_whole(self) -> None:
        def back_up() -> None:
            self.change([5])
            kept = self.back_up(bytes(self.data))
            self.versions[kept.backup_id] = bytes(self.data)

        self.before_moved(back_up)
        self.collect(0.0)
        self.assert_whole()

    def test_when_the_last_backup_goes_meanwhile_then_all_goes(self) -> None:
        def delete() -> None:
            for backup_id in self.versions:
                self.delete(backup_id)
            self.collect()

        self.before_moved(delete)
        self.collect(0.0)
        self.assert_nothing_stays()

    def test_when_listings_lag_then_all_is_whole(self) -> None:
        behind = lagging.LaggingMedium(lag=7)
        for name, data in self.medium.objects.items():
            behind.objects[name] = data
            behind.change(name, len(data))
        self.medium.objects = behind.objects
        self.wrap(lambda *_: lagging.LaggingStore(behind))
        for at in range(6):
            self.collect(0.0)
            self.change(range(at, 60, 5))
            kept = self.back_up(bytes(self.data))
            self.versions[kept.backup_id] = bytes(self.data)
            gone = next(iter(self.versions))
            self.delete(gone)
            del self.versions[gone]
        behind.catch_up()
        self.assert_whole()


class TestFull(RepackCase):
    def test_when_the_target_is_full_then_nothing_is_left(self) -> None:
        before = dict(self.medium.objects)
        self.medium.limit_bytes = self.medium.used_bytes() + 1000
        with self.assertLogs('backupkit.repository.mover', 'WARNING'):
            self.assertEqual(0, self.collect(0.0).moved_packs)
        self.assertEqual(before, dict(self.medium.objects))
        self.assert_whole()
        self.medium.limit_bytes = None
        self.assertLess(0, self.collect(0.0).moved_packs)
        self.assert_whole()

    def test_when_it_fills_up_anywhere_then_all_is_whole(self) -> None:
        bring_back = self.keep()
        used = self.medium.used_bytes()
        for room in range(0, 150_000, 7_000):
            with self.subTest(room):
                bring_back()
                self.medium.limit_bytes = used + room
                self.collect(0.0)
                self.medium.limit_bytes = None
                self.assert_whole()


class TestDamage(RepackCase):
    def test_when_a_chunk_in_use_is_damaged_then_its_pack_stays(self) -> None:
        bad = self.packs(self.first)[0]
        data = bytearray(self.medium.objects[bad.name])
        used = self.repository.table(bad)
        for entry in used:
            data[entry.offset] ^= 1
        self.medium.objects[bad.name] = bytes(data)
        with self.assertLogs('backupkit.repository.copier', 'WARNING'):
            self.collect(0.0)
        self.assertIn(bad, self.packs())
        self.assertNotIn(bad, self.moved())

    def test_when_damage_is_noted_then_its_pack_is_left_alone(self) -> None:
        bad = self.packs(self.first)[0]
        data = bytearray(self.medium.objects[bad.name])
        data[100] ^= 1
        self.medium.objects[bad.name] = bytes(data)
        self.check()
        self.collect(0.0)
        self.assertNotIn(bad.name, self.condemned)

    def test_when_a_map_cannot_be_read_then_its_packs_stay(self) -> None:
        root = self.repository.manifest(self.last).root[5:]
        for pack in self.packs(self.last):
            keys = {one.digest for one in self.repository.table(pack)}
            if root in keys:
                data = bytearray(self.medium.objects[pack.name])
                data[8:200] = bytes(192)
                self.medium.objects[pack.name] = bytes(data)
        before = self.packs()
        with self.assertLogs('backupkit.repository.usage', 'WARNING'):
            self.assertEqual(0, self.collect(0.0).moved_packs)
        self.assertEqual(before, self.packs())


class TestChurn(case.RepositoryCase):
    """Two in a hundred chunks change every day, and 30 backups are kept."""

    options = {'chunk_size_bytes': 16384, 'pack_size_bytes': 1 << 18}

    def _live_bytes(self, kept: dict[str, bytes]) -> int:
        """Return the bytes of all different chunks, and of the maps."""
        size = 16384
        chunks = {
            data[at : at + size]
            for data in kept.values()
            for at in range(0, len(data), size)
        }
        maps = sum(len(data) // size * tree.REF.size for data in kept.values())
        return len(chunks) * size + maps

    def test_when_days_go_by_then_little_is_stored_in_vain(self) -> None:
        made = random.Random(1)
        count = 250
        data = bytearray(made.randbytes(count * 16384))
        kept: dict[str, bytes] = {}
        worst = 0.0
        for day in range(80):
            kept[self.back_up(bytes(data)).backup_id] = bytes(data)
            for at in made.sample(range(count), count * 2 // 100):
                data[at * 16384 : (at + 1) * 16384] = made.randbytes(16384)
            if day >= 30:
                gone = next(iter(kept))
                self.delete(gone)
                del kept[gone]
                self.collect(0.2)
                stored = self.medium.used_bytes() - (1 << 20)
                worst = max(worst, stored / self._live_bytes(kept))
        self.assertLess(worst, 1.3)
        self.assertLess(1.1, worst)
        for backup_id in [*kept][::10]:
            self.assertEqual(kept[backup_id], self.restore(backup_id))
        self.assertEqual((), self.check(read_data=False).findings)


class TestPackerTells(RepackCase):
    def test_when_it_finishes_twice_then_parts_are_counted_on(self) -> None:
        entered: list[layout.PackId] = []
        one = packer.Packer(
            self.repository,
            str(uuid.uuid4()),
            buffers=3,
            stored=lambda count: None,
            entered=lambda pack, size, records: entered.append(pack),
        )
        for number in range(2):
            plain = self.random.randbytes(CHUNK)
            one.append(self.repository.digest(plain), CHUNK, 0, plain)
            one.finish()
            self.assertEqual(number + 1, one.parts)
        one.close()
        self.assertEqual([0, 1], [pack.number for pack in entered])
