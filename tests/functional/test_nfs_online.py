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

"""Snapshots of volumes that a real QEMU process writes all the while."""

from __future__ import annotations

from typing import ClassVar

from backupkit import errors
from backupkit_plugins.volumes.nfs import driver as nfs
from tests.functional import guests
from tests.functional import nfs_volumes

_BLOCKS = 200
_SIZE = 16 * nfs_volumes.MIB


class OnlineCase(nfs_volumes.Stand):
    """A volume in use: what is done to it, the guest does not notice."""

    qcow2: ClassVar[bool] = False
    explicit: ClassVar[bool] = False

    def setUp(self) -> None:
        super().setUp()
        self.idle = self.driver(nfs_qcow2_volumes=self.qcow2)
        self.idle.create('vol', _SIZE)

    def start(self, *, read_only: bool = False) -> nfs.NfsVolumeDriver:
        """Have a guest write to the volume; return a driver that knows it."""
        self.guest = guests.Guest(
            self,
            self.directory,
            self.idle.chain('vol'),
            explicit=self.explicit,
            read_only=read_only,
        )
        self.writer = guests.Writer(self.guest, _BLOCKS)
        self.writer.start()
        self.writer.wait_for(50)
        return self.online()

    def online(self) -> nfs.NfsVolumeDriver:
        """Return a driver that knows the guest's monitor."""
        return self.driver(
            nfs_qcow2_volumes=self.qcow2,
            qmp_sockets=self.guest.monitor.replace('/qmp', '/q*'),
        )

    def take(self, driver: nfs.NfsVolumeDriver, name: str) -> int:
        """Take a snapshot; assert that it is of one moment, and which."""
        before = self.writer.count
        driver.snapshot('vol', name)
        # One more may have been written that was not answered yet.
        after = self.writer.count + 1
        held = self.look(driver, name)
        self.assertLessEqual(before, held)
        self.assertLessEqual(held, after)
        self.writer.wait_for(20)
        return held

    def look(self, driver: nfs.NfsVolumeDriver, name: str = '') -> int:
        """Return after how many writes a snapshot was, or the volume is."""
        data = nfs_volumes.contents(driver, 'vol', name)
        return guests.writes_in(data, _BLOCKS)

    def stop(self) -> None:
        """End the guest; assert that the volume holds all that it wrote."""
        written = self.writer.stop()
        self.guest.quit()
        self.assertEqual(written, self.look(self.idle))
        self.assert_clean()


class OnlineTests(OnlineCase):
    """What is proved, of each kind of volume."""

    def test_when_snapshots_are_taken_then_each_is_one_moment(self) -> None:
        driver = self.start()
        held = {f's{n}': self.take(driver, f's{n}') for n in range(4)}
        self.assertEqual(sorted(held.values()), list(held.values()))
        for name, count in held.items():
            self.assertEqual(count, self.look(driver, name))
        self.stop()
        for name, count in held.items():
            self.assertEqual(count, self.look(self.idle, name))

    def test_when_deleted_in_any_order_then_guest_goes_on(self) -> None:
        driver = self.start()
        held = {f's{n}': self.take(driver, f's{n}') for n in range(4)}
        # The newest (the file that is written), a middle one, the oldest.
        for name in ('s3', 's1', 's0'):
            self.writer.wait_for(20)
            driver.delete_snapshot(nfs_volumes.snapshot('vol', name))
            self.writer.wait_for(20)
            del held[name]
            for left, count in held.items():
                self.assertEqual(count, self.look(driver, left))
        driver.delete_snapshot(nfs_volumes.snapshot('vol', 's2'))
        self.writer.wait_for(20)
        self.assertEqual(['volume-vol'], [k.name for k in driver.chain('vol')])
        self.stop()

    def test_when_cycle_repeats_then_nothing_is_left(self) -> None:
        driver = self.start()
        for turn in range(5):
            self.take(driver, f's{turn}')
            driver.delete_snapshot(nfs_volumes.snapshot('vol', f's{turn}'))
        self.stop()
        self.assertEqual(
            [f'volume-vol{s}' for s in ('', '.backupkit', '.info', '.lock')],
            self.files(),
        )

    def test_when_chain_was_made_before_then_it_is_merged(self) -> None:
        for name in ('a', 'b', 'c'):
            nfs_volumes.write(self.idle, 'vol', 8 * nfs_volumes.MIB, b'x')
            self.idle.snapshot('vol', name)
        driver = self.start()
        for name in ('b', 'c', 'a'):
            driver.delete_snapshot(nfs_volumes.snapshot('vol', name))
            self.writer.wait_for(20)
        self.assertEqual([], list(driver.snapshots('vol')))
        self.stop()
        data = nfs_volumes.contents(self.idle, 'vol')
        self.assertEqual(b'x', data[8 * nfs_volumes.MIB :][:1])

    def test_when_monitor_is_not_known_then_refused(self) -> None:
        driver = self.start()
        self.take(driver, 'one')
        with self.assertRaises(errors.InUse):
            self.idle.snapshot('vol', 'two')
        with self.assertRaises(errors.InUse):
            self.idle.delete_snapshot(nfs_volumes.snapshot('vol', 'one'))
        with self.assertRaises(errors.InUse):
            self.idle.delete('vol')
        self.assertTrue(self.idle.show('vol').in_use)
        self.writer.wait_for(20)
        self.stop()
        self.assertEqual(['one'], [s.name for s in driver.snapshots('vol')])

    def test_when_cloned_then_clone_is_one_moment(self) -> None:
        driver = self.start()
        driver.clone('copy', 'vol')
        self.writer.wait_for(20)
        data = nfs_volumes.contents(driver, 'copy')
        self.assertGreaterEqual(guests.writes_in(data, _BLOCKS), 50)
        self.assertEqual([], list(driver.snapshots('vol')))
        self.stop()


class RawOnlineTest(OnlineTests):
    pass


class Qcow2OnlineTest(OnlineTests):
    qcow2 = True


class ExplicitOnlineTest(OnlineTests):
    """Each file of the chain is named to QEMU, as libvirt does."""

    explicit = True

    def test_when_qemu_may_not_merge_then_snapshot_stays(self) -> None:
        self.idle.snapshot('vol', 'one')
        driver = self.start(read_only=True)
        with self.assertRaises(errors.SourceError):
            driver.delete_snapshot(nfs_volumes.snapshot('vol', 'one'))
        self.assertEqual(0, self.look(driver, 'one'))
        self.take(driver, 'two')
        self.stop()
        self.idle.delete_snapshot(nfs_volumes.snapshot('vol', 'one'))
        self.assertEqual(['two'], [s.name for s in driver.snapshots('vol')])


del OnlineTests
