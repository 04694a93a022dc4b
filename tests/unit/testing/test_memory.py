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


"""Tests of what is particular to the drivers in memory."""

import os
import unittest

from backupkit.drivers import target as target_
from backupkit import model
from backupkit.testing import lagging
from backupkit.testing.memory import array
from backupkit.testing.memory import catalog
from backupkit.testing.memory import store
from backupkit.testing import sections


def summary(
    backup_id: str, sequence: int, volume_id: str = 'v'
) -> model.BackupSummary:
    return model.BackupSummary(
        backup_id, 'b', volume_id, 1, sequence=sequence, repository_id='r'
    )


class MemoryCoordinatorTest(unittest.TestCase):
    def setUp(self) -> None:
        self.catalog = catalog.MemoryCoordinator()

    def commit(self, backup_id: str, volume_id: str = 'v') -> int:
        number = self.catalog.begin(backup_id)
        self.catalog.record(number, summary(backup_id, number, volume_id))
        return number

    def test_coordinator_when_used_then_is_one(self) -> None:
        def use(coordinator: target_.Coordinator) -> str:
            return coordinator.catalog_id

        self.assertEqual(self.catalog.catalog_id, use(self.catalog))
        self.assertNotEqual(
            self.catalog.catalog_id, catalog.MemoryCoordinator().catalog_id
        )

    def test_run_when_it_began_then_is_live_until_it_ends(self) -> None:
        first = self.catalog.begin('one', 'r')
        second = self.catalog.begin('two')
        self.assertEqual([1, 2], [first, second])
        self.assertEqual(2, self.catalog.last_run())
        self.assertEqual({'one', 'two'}, self.catalog.live('r'))
        self.assertEqual({'one'}, self.catalog.live('r', first))
        # Which repository it will use is not known yet.
        self.assertEqual({'two'}, self.catalog.live('other'))
        self.catalog.end(first)
        self.assertEqual(set(), self.catalog.live('r', first))
        self.assertEqual({'one', 'two'}, self.catalog.known('r'))

    def test_latest_when_there_are_several_then_the_last(self) -> None:
        self.assertIsNone(self.catalog.latest('r', 'b', 'v'))
        for backup_id in ('one', 'two'):
            self.commit(backup_id)
        self.commit('three', 'other')
        self.assertEqual('two', self.catalog.latest('r', 'b', 'v'))
        self.assertIsNone(self.catalog.latest('else', 'b', 'v'))
        self.catalog.remove('two')
        self.assertEqual('one', self.catalog.latest('r', 'b', 'v'))
        self.assertEqual({'one', 'three'}, self.catalog.committed('r'))

    def test_barrier_when_set_then_covers_every_run_so_far(self) -> None:
        self.catalog.begin('one')
        self.catalog.condemn('r', ['p', 'q'])
        self.assertEqual({'p': None, 'q': None}, self.catalog.condemned('r'))
        self.catalog.begin('two')
        # Another collector has read the last run before the second began.
        self.catalog.set_barrier('r', 1)
        self.assertEqual({'p': 2, 'q': 2}, self.catalog.condemned('r'))
        self.catalog.condemn('r', ['q', 's'])
        self.catalog.begin('three')
        self.catalog.set_barrier('r', 3)
        self.assertEqual({'p': 2, 'q': 2, 's': 3}, self.catalog.condemned('r'))
        self.catalog.absolve('r', ['p', 'absent'])
        self.assertEqual({'q': 2, 's': 3}, self.catalog.condemned('r'))

    def test_forget_when_run_has_ended_then_number_stays(self) -> None:
        self.commit('one')
        live = self.catalog.begin('two', 'r')
        self.catalog.forget('r', ['one', 'two'])
        self.assertEqual({'two'}, self.catalog.known('r'))
        self.assertEqual(live + 1, self.catalog.begin('three'))

    def test_repository_when_remembered_then_known(self) -> None:
        self.assertIsNone(self.catalog.known_repository('t'))
        self.catalog.remember_repository('t', 'r')
        self.assertEqual('r', self.catalog.known_repository('t'))


class MemoryTest(unittest.TestCase):
    def test_target_when_loaded_twice_then_finds_its_objects(self) -> None:
        self.addCleanup(store.discard, self.id())
        for expected in ([], ['a']):
            opened = store.MemoryStore(store.medium(self.id()))
            self.assertEqual(expected, [s.name for s in opened.list()])
            if not expected:
                opened.put('a', [b''])

    def test_array_when_discarded_then_no_descriptor_is_left(self) -> None:
        before = len(os.listdir('/proc/self/fd'))
        driver = sections.load_volume_driver('memory', array=self.id())
        driver.create('v', 100_000)
        taken = driver.snapshot('v', 's')
        driver.attach('v', taken)
        driver.attach_volume('v')
        self.assertLess(before, len(os.listdir('/proc/self/fd')))
        array.discard(self.id())
        self.assertEqual(before, len(os.listdir('/proc/self/fd')))

    def test_detach_when_number_is_used_again_then_left_alone(self) -> None:
        self.addCleanup(array.discard, self.id())
        driver = sections.load_volume_driver('memory', array=self.id())
        driver.create('v', 4096)
        first = driver.attach('v', None)
        driver.detach(first)
        second = driver.attach('v', None)
        self.assertEqual(first.path, second.path)
        driver.detach(first)
        self.assertTrue(os.path.exists(second.path))

    def test_checkpoint_when_dropped_then_nothing_of_it_is_left(self) -> None:
        self.addCleanup(array.discard, self.id())
        driver = sections.load_volume_driver('memory', array=self.id())
        driver.create('v', 4096)
        for number in range(3):
            driver.snapshot('v', f's{number}')
            driver.keep_checkpoint('v', f's{number}')
        driver.drop_checkpoint('v', 's1')
        memory = array.array(self.id())
        self.assertEqual(['s0', 's2'], [*memory.volumes['v'].checkpoints])
        self.assertEqual({}, memory.snapshots)


class LaggingTest(unittest.TestCase):
    def test_list_when_it_lags_then_objects_are_current(self) -> None:
        medium = lagging.LaggingMedium(lag=2)
        opened = lagging.LaggingStore(medium)
        for name in ('a', 'b', 'c'):
            opened.put(name, [b''])
        self.assertEqual(['a'], [s.name for s in opened.list()])
        opened.delete('a')
        opened.delete('b')
        self.assertEqual(['a', 'b', 'c'], [s.name for s in opened.list()])
        self.assertEqual(0, opened.stat('c').size_bytes)
        medium.catch_up()
        self.assertEqual(['c'], [s.name for s in opened.list()])

    def test_put_when_two_race_then_both_are_told_it_worked(self) -> None:
        medium = lagging.LaggingMedium()
        winner = lagging.LaggingStore(medium)
        loser = lagging.LaggingStore(
            medium, lambda name: winner.put(name, [b'winner'])
        )
        loser.put('a', [b'loser'])
        self.assertEqual(b'loser', winner.get('a'))
