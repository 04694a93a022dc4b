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


"""Tests of what comes back, and where it is written."""

from __future__ import annotations


from backupkit import errors
from backupkit.testing.roundtrip import case

MIB = 1024 * 1024

#: Sizes about which something may be odd: one byte, and the borders of
#: sectors, pages, and common chunk sizes.
SIZES = (0, 1, 513, 4095, 65_536, 65_537, MIB - 1, MIB + 1)


class RestoreTests(case.RoundTripCase):
    """Tests of one restore."""

    def test_restore_when_first_is_deleted_then_others_are_right(self) -> None:
        """Guards: Target.backup, Target.restore, Target.delete."""
        volume_id, data = self.make_filled()
        first = self.keep(volume_id, data)
        self.change(volume_id, data)
        self.keep(volume_id, data)
        self.assert_all_restore()
        self.cycle.delete(first)
        del self.history[first]
        self.change(volume_id, data)
        self.keep(volume_id, data)
        self.cycle.collect()
        self.assert_all_restore()

    def test_restore_when_sizes_are_odd_then_right(self) -> None:
        """Guards: Target.backup, Target.restore, VolumeDriver.attach."""
        for wanted in sorted({self.size(size) for size in SIZES}):
            with self.subTest(size=wanted):
                if not wanted:
                    self.check_empty()
                    continue
                volume_id, data = self.make_filled(wanted)
                self.keep(volume_id, data)
                self.change(volume_id, data, 1)
                self.keep(volume_id, data)
                self.assert_all_restore()

    def check_empty(self) -> None:
        """Do it with a volume of no bytes, where there can be one."""
        try:
            volume_id = self.make_volume(0)
        except (errors.BackupkitError, ValueError):
            return
        self.keep(volume_id, b'')
        self.assert_all_restore()

    def test_restore_when_volume_is_sparse_then_right(self) -> None:
        """Guards: VolumeDriver.extents, Target.backup, Target.restore."""
        size = self.size(24 * MIB + 7)
        volume_id = self.make_volume(size)
        data = bytearray(self.read(volume_id))
        for offset in (0, 5 * MIB + 3, 17 * MIB, size - 70_000):
            data[offset : offset + 70_000] = self.random.randbytes(70_000)
            self.write(volume_id, offset, data[offset : offset + 70_000])
        self.keep(volume_id, data)
        self.change(volume_id, data)
        self.keep(volume_id, data)
        self.assert_all_restore()

    def test_restore_when_volume_is_all_zeros_then_right(self) -> None:
        """Guards: Target.backup, Target.restore."""
        volume_id = self.make_volume(self.size())
        self.write(volume_id, 0, bytes(self.size()))
        self.keep(volume_id, bytes(self.size()))
        self.assert_all_restore()

    def test_restore_when_destination_was_used_then_right(self) -> None:
        """Guards: Target.restore."""
        size = self.size(6 * MIB)
        volume_id = self.make_volume(size)
        data = bytearray(size)
        data[MIB : MIB + 9000] = self.random.randbytes(9000)
        self.write(volume_id, 0, data)
        backup_id = self.keep(volume_id, data)
        used, _ = self.make_filled(6 * MIB)
        self.restore(backup_id, used)
        self.assert_bytes(data, self.read(used), used)

    def test_restore_when_destination_is_larger_then_rest_stays(self) -> None:
        """Guards: Target.restore."""
        volume_id, data = self.make_filled(MIB + 513)
        backup_id = self.keep(volume_id, data)
        larger, old = self.make_filled(2 * MIB + 513)
        self.restore(backup_id, larger)
        self.assert_bytes(
            bytes(data) + old[len(data) :], self.read(larger), larger
        )

    def test_restore_when_destination_is_smaller_then_refused(self) -> None:
        """Guards: Target.restore, DestinationTooSmall."""
        volume_id, data = self.make_filled(2 * MIB)
        backup_id = self.keep(volume_id, data)
        smaller, _ = self.make_filled(MIB)
        with self.assertRaises(errors.DestinationTooSmall):
            self.restore(backup_id, smaller)
        self.assertEqual(self.size(MIB), self.driver.show(smaller).size_bytes)

    def test_restore_when_into_the_source_then_as_it_was(self) -> None:
        """Guards: Target.restore, VolumeDriver.attach_volume."""
        volume_id, data = self.make_filled()
        backup_id = self.keep(volume_id, data)
        before = bytes(data)
        self.change(volume_id, data, 5)
        self.restore(backup_id, volume_id)
        self.assert_bytes(before, self.read(volume_id), volume_id)
