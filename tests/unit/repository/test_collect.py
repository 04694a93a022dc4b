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

"""A collection that breaks off, meets another, or finds no room."""

from __future__ import annotations

from collections.abc import Iterator
import sys
import tracemalloc
import uuid

from backupkit.copy import control
from backupkit.drivers import store as contract
from backupkit.drivers.wrappers import base
from backupkit import errors
from backupkit.repository import layout
from backupkit.repository import listing
from backupkit.testing import faults as faults_
from backupkit.testing import lagging
from tests.unit.repository import case
from tests.unit.repository import mostly_dead

CHUNK = case.CHUNK


class CollectCase(mostly_dead.MostlyDeadCase):
    """One more backup is deleted, and is to be collected."""

    def setUp(self) -> None:
        super().setUp()
        self.gone = next(iter(self.versions))
        self.delete(self.gone)
        del self.versions[self.gone]

    def assert_collected(self) -> None:
        """Assert that only what is needed is left, after another gc."""
        for _ in range(2):
            self.collect()
        needed = self.repository.manifest(self.last).packs
        self.assertEqual(set(needed), set(self.packs()))
        self.assertEqual(set(), self.condemned)
        self.assert_whole()


class TestCrashes(CollectCase):
    def _check(self, fault: faults_.Fault, *, lasting: bool = False) -> None:
        calls = self.check_each_call(self.collect, fault, lasting=lasting)
        self.assertLess(8, calls)

    def test_when_any_call_fails_then_all_is_whole(self) -> None:
        self._check(faults_.Fault.BEFORE)

    def test_when_any_answer_is_lost_then_all_is_whole(self) -> None:
        self._check(faults_.Fault.AFTER)

    def test_when_the_target_stays_away_then_all_is_whole(self) -> None:
        self._check(faults_.Fault.BEFORE, lasting=True)

    def test_when_it_broke_off_anywhere_then_the_next_ends_it(self) -> None:
        bring_back = self.keep()
        faults = faults_.Faults(errors.TargetError)
        self.wrap(faults.wrap)

        def begin() -> None:
            bring_back()
            self.collect()

        faults_.until_it_passes(
            faults, begin, lambda _: self.assert_collected()
        )


class Beside(base.StoreWrapper):
    """A store that lets something happen between its calls."""

    def __init__(self, inner: contract.Store, case: TestTwo) -> None:
        super().__init__(inner)
        self._case = case

    def delete_many(self, names: list[str]) -> None:  # type: ignore[override] # a list is what gc gives
        """Delete, when the other has been."""
        self._case.come_between()
        self.inner.delete_many(names)

    def list(self, prefix: str = '') -> Iterator[contract.ObjectStat]:
        """List, and then let the other come."""
        found = [*self.inner.list(prefix)]
        self._case.come_between()
        yield from found


class TestTwo(CollectCase):
    """Two collections at once, one inside the other at each of its calls."""

    at = 0
    calls = 0

    def come_between(self) -> None:
        """Run a whole collection where it is its turn."""
        self.calls += 1
        if self.calls == self.at:
            self.make_target().collect(self.coordinator, control.Control())

    def test_when_another_comes_between_then_all_is_whole(self) -> None:
        bring_back = self.keep()
        self.wrap(lambda inner, *_: Beside(inner, self))
        for at in range(1, 100):
            with self.subTest(at):
                bring_back()
                self.at, self.calls = at, 0
                self.collect()
                if self.calls < at:
                    break
                self.at = 0
                self.assert_collected()
        self.assertLess(3, at)


class TestFull(CollectCase):
    def test_when_the_target_is_full_then_it_is_emptied(self) -> None:
        self.medium.limit_bytes = self.medium.used_bytes()
        self.collect()
        self.assert_collected()
        self.assertLess(self.medium.used_bytes(), self.medium.limit_bytes)


class TestLagging(CollectCase):
    def test_when_listings_lag_then_what_is_needed_stays(self) -> None:
        for lag in (1, 5, 25, 1000):
            with self.subTest(lag):
                bring_back = self.keep()
                behind = lagging.LaggingMedium(lag=lag)
                for name, data in self.medium.objects.items():
                    behind.objects[name] = data
                    behind.change(name, len(data))
                opened = lagging.LaggingStore(behind)
                self.wrap(lambda *_, opened=opened: opened)
                for _ in range(4):
                    self.collect()
                for backup_id, data in self.versions.items():
                    self.assertEqual(data, self.restore(backup_id))
                self.wrap(lambda inner, *_: inner)
                bring_back()

    def test_when_a_manifest_is_not_listed_then_it_counts(self) -> None:
        """Also where the catalog does not know it: it was rebuilt."""
        hidden = layout.manifest(self.last)
        behind = lagging.LaggingMedium(lag=0)
        for name, data in self.medium.objects.items():
            behind.objects[name] = data
            if name != hidden:
                behind.change(name, len(data))
        self.wrap(lambda *_: lagging.LaggingStore(behind))
        self.coordinator.remove(self.last)
        self.coordinator.forget(self.repository.repository_id, [self.last])
        for _ in range(3):
            self.collect()
        self.assertEqual(self.versions[self.last], self.restore(self.last))


class _Many(base.StoreWrapper):
    """A store that lists very many packs, none of which is there."""

    def __init__(self, inner: contract.Store, count: int) -> None:
        super().__init__(inner)
        self._count = count
        self._owner = str(uuid.uuid4())

    def list(self, prefix: str = '') -> Iterator[contract.ObjectStat]:
        """List the packs of one backup."""
        for number in range(self._count):
            pack = layout.PackId(self._owner, 'a77e0001', number)
            yield contract.ObjectStat(pack.name, 33_000_000)


class TestMemory(CollectCase):
    def test_when_there_are_many_packs_then_each_takes_little(self) -> None:
        count = 30_000
        many = _Many(self.repository.store, count)
        tracemalloc.start()
        try:
            seen = listing.Listing.of(many, control.Control())
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual(count, sum(1 for _ in seen.packs()))
        self.assertLess(kept, 12 * count + 50_000)
        (owner,) = seen.owners
        pack = layout.PackId(owner, 'a77e0001', count - 1)
        self.assertEqual(33_000_000, seen.size_of(pack))
        self.assertIsNone(seen.size_of(pack._replace(number=count)))
        self.assertLess(sys.getsizeof(seen.owners), 1000)
