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

    def test_snapshots_when_not_capable_then_not_supported(self) -> None:
        """Guards: VolumeCapabilities.list_snapshots."""
        if self.effective.list_snapshots:
            return
        volume_id = self.make_volume(self.size())
        self.assert_not_supported(self.driver.snapshots, volume_id)

    def test_snapshots_when_there_are_some_then_oldest_first(self) -> None:
        """Guards: VolumeDriver.snapshots."""
        if not self.effective.list_snapshots:
            return
        volume_id, _ = self.make_filled()
        self.assertEqual([], list(self.driver.snapshots(volume_id)))
        with (
            self.snapshot(volume_id) as first,
            self.snapshot(volume_id) as second,
        ):
            found = self.make_driver().snapshots(volume_id)
            self.assertEqual([first, second], list(found))
        self.assertEqual([], list(self.driver.snapshots(volume_id)))

    def test_snapshots_when_there_is_no_volume_then_not_found(self) -> None:
        """Guards: VolumeDriver.snapshots raises VolumeNotFound."""
        if not self.effective.list_snapshots:
            return
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.snapshots('no-such-volume')

    def test_from_snapshot_when_not_capable_then_not_supported(self) -> None:
        """Guards: VolumeCapabilities.from_snapshot."""
        if self.effective.from_snapshot:
            return
        volume_id = self.make_volume(self.size())
        self.assert_not_supported(
            self.driver.create_from_snapshot,
            'suite-from',
            model.Snapshot(NAME, volume_id, self.size()),
        )

    def test_from_snapshot_when_both_are_written_then_apart(self) -> None:
        """Guards: VolumeDriver.create_from_snapshot."""
        if not self.effective.from_snapshot:
            return
        volume_id, data = self.make_filled()
        first = 4096
        with self.snapshot(volume_id) as taken:
            self.write(volume_id, 0, b'v' * first)
            made = self.driver.create_from_snapshot('suite-from', taken)
            self.addCleanup(self.driver.delete, 'suite-from')
            self.assertEqual(
                ('suite-from', len(data)), (made.volume_id, made.size_bytes)
            )
            self.assert_bytes(data, self.read('suite-from'), 'suite-from')
            self.write('suite-from', first, b'f' * first)
            self.assert_bytes(data, self.read(volume_id, taken), taken.name)
        self.driver.delete(volume_id)
        data[first : 2 * first] = b'f' * first
        self.assert_bytes(data, self.read('suite-from'), 'suite-from')

    def test_from_snapshot_when_it_cannot_be_then_refused(self) -> None:
        """Guards: VolumeDriver.create_from_snapshot raises VolumeExists,

        VolumeDriver.create_from_snapshot raises VolumeNotFound.
        """
        if not self.effective.from_snapshot:
            return
        volume_id, _ = self.make_filled()
        taken_name, kept = self.make_filled()
        with self.snapshot(volume_id) as taken:
            with self.assertRaises(errors.VolumeExists):
                self.driver.create_from_snapshot(taken_name, taken)
            self.assert_bytes(kept, self.read(taken_name), taken_name)
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.create_from_snapshot('suite-from', taken)
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.show('suite-from')

    def test_chain_when_told_then_it_is_what_is_attached(self) -> None:
        """Guards: VolumeDriver.chain, VolumeDriver.chain raises

        VolumeNotFound.
        """
        volume_id, _ = self.make_filled()
        chain = list(self.driver.chain(volume_id))
        if not chain:
            return
        self.assertEqual(len(chain), len({link.name for link in chain}))
        with self.attached(volume_id) as attachment:
            self.assertEqual(attachment.format, chain[0].format)
            self.assertEqual(chain[0].name, attachment.path.rpartition('/')[2])
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.chain('no-such-volume')
