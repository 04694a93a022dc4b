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


"""Tests of snapshots."""

from __future__ import annotations

import contextlib
import json

from backupkit import errors
from backupkit import model
from backupkit.testing.volume import case

NAME = 'backupkit-1b4e28ba-2fa1-41d2-883f-0016d3cca427'


class SnapshotTests(case.VolumeCase):
    """Tests of ``snapshot`` and ``delete_snapshot``."""

    def test_snapshot_when_not_capable_then_not_supported(self) -> None:
        """Guards: VolumeCapabilities.snapshots."""
        if self.effective.snapshots:
            return
        volume_id = self.make_volume(self.size())
        self.assert_not_supported(self.driver.snapshot, volume_id, NAME)
        # Absent is fine for an undo, also where there never can be one.
        with contextlib.suppress(errors.NotSupported):
            self.driver.delete_snapshot(
                model.Snapshot(NAME, volume_id, self.size())
            )

    def test_snapshot_when_volume_changes_then_it_does_not(self) -> None:
        """Guards: VolumeDriver.snapshot, VolumeDriver.attach."""
        if not self.effective.snapshots:
            return
        volume_id, data = self.make_filled()
        with self.snapshot(volume_id) as taken:
            self.assertEqual(volume_id, taken.volume_id)
            self.assertEqual(len(data), taken.size_bytes)
            self.write(volume_id, 1000, b'changed' * 1000)
            self.assert_bytes(data, self.read(volume_id, taken), taken.name)
        data[1000:8000] = b'changed' * 1000
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_snapshot_when_name_is_there_then_it_is_returned(self) -> None:
        """Guards: volume 2, VolumeDriver.snapshot."""
        if not self.effective.snapshots:
            return
        volume_id, data = self.make_filled()
        with self.snapshot(volume_id) as taken:
            self.write(volume_id, 0, b'changed')
            again = self.make_driver().snapshot(volume_id, taken.name)
            self.assertEqual(taken, again)
            self.assert_bytes(data, self.read(volume_id, again), again.name)

    def test_snapshot_when_told_in_plain_then_can_be_attached(self) -> None:
        """Guards: Snapshot, VolumeDriver.attach."""
        if not self.effective.snapshots:
            return
        volume_id, data = self.make_filled()
        with self.snapshot(volume_id) as taken:
            plain = json.loads(json.dumps(taken.to_dict()))
            rebuilt = model.Snapshot.from_dict(plain)
            self.driver = self.make_driver()
            self.assert_bytes(data, self.read(volume_id, rebuilt), 'it')

    def test_snapshot_when_there_is_no_volume_then_not_found(self) -> None:
        """Guards: VolumeDriver.snapshot raises VolumeNotFound."""
        if not self.effective.snapshots:
            return
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.snapshot('no-such-volume', NAME)

    def test_snapshot_when_volume_is_in_use_then_by_capability(self) -> None:
        """Guards: VolumeDriver.snapshot raises InUse,

        VolumeCapabilities.online_snapshots.
        """
        if not (self.effective.snapshots and self.effective.in_use):
            return
        volume_id, data = self.make_filled()
        with self.in_use(volume_id):
            if self.effective.online_snapshots:
                with self.snapshot(volume_id) as taken:
                    found = self.read(volume_id, taken)
                self.assert_bytes(data, found, taken.name)
            else:
                with self.assertRaises(errors.InUse):
                    self.make_driver().snapshot(volume_id, NAME)

    def test_snapshot_when_deleted_then_cannot_be_attached(self) -> None:
        """Guards: VolumeDriver.delete_snapshot."""
        if not self.effective.snapshots:
            return
        volume_id, data = self.make_filled()
        with self.snapshot(volume_id) as taken:
            pass
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.attach(volume_id, taken)
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_delete_snapshot_when_absent_then_succeeds(self) -> None:
        """Guards: volume 1, VolumeDriver.delete_snapshot."""
        if not self.effective.snapshots:
            return
        volume_id, _ = self.make_filled()
        with self.snapshot(volume_id) as taken:
            pass
        self.driver.delete_snapshot(taken)
        self.make_driver().delete_snapshot(taken)
        self.driver.delete_snapshot(model.Snapshot(NAME, 'no-such-volume', 0))

    def test_list_when_there_are_snapshots_then_only_volumes(self) -> None:
        """Guards: VolumeDriver.list."""
        if not self.effective.snapshots:
            return
        volume_id, _ = self.make_filled()
        before = sorted(v.volume_id for v in self.driver.list())
        with self.snapshot(volume_id):
            after = sorted(v.volume_id for v in self.driver.list())
        self.assertEqual(before, after)
