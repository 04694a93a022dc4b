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


"""Tests of what a driver tells of changes since a backup."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid

from backupkit import errors
from backupkit import model
from backupkit.testing.volume import case


class ChangeTests(case.VolumeCase):
    """Tests of ``changed_extents`` and of checkpoints."""

    def test_changed_when_not_capable_then_not_supported(self) -> None:
        """Guards: VolumeCapabilities.changed_extents,

        VolumeDriver.keep_checkpoint raises NotSupported.
        """
        if self.effective.changed_extents:
            return
        volume_id, _ = self.make_filled()
        since = self.checkpoint(volume_id, str(uuid.uuid4()))
        with self.attached(volume_id) as attachment:
            self.assert_not_supported(
                lambda: list(self.driver.changed_extents(attachment, since))
            )
        for call in (self.driver.keep_checkpoint, self.driver.drop_checkpoint):
            self.assert_not_supported(call, volume_id, since.name)

    def test_changed_when_told_same_then_it_is_the_same(self) -> None:
        """Guards: VolumeDriver.changed_extents."""
        if not self.effective.changed_extents:
            return
        volume_id, data = self.make_filled()
        since, before = self.back_up(volume_id), bytes(data)
        self.change(volume_id, data)
        self.check(volume_id, since, before, bytes(data))

    def test_changed_when_two_backups_alternate_then_each_right(self) -> None:
        """Guards: VolumeDriver.changed_extents."""
        if not self.effective.changed_extents:
            return
        volume_id, data = self.make_filled()
        first, before_first = self.back_up(volume_id), bytes(data)
        self.change(volume_id, data)
        second, before_second = self.back_up(volume_id), bytes(data)
        self.change(volume_id, data)
        self.check(volume_id, second, before_second, bytes(data))
        self.check(volume_id, first, before_first, bytes(data))

    def test_keep_when_called_again_then_it_stays_as_it_was(self) -> None:
        """Guards: volume 2, VolumeDriver.keep_checkpoint."""
        if not self.effective.changed_extents:
            return
        volume_id, data = self.make_filled()
        since, before = self.back_up(volume_id), bytes(data)
        self.change(volume_id, data)
        self.make_driver().keep_checkpoint(volume_id, since.name)
        self.check(volume_id, since, before, bytes(data))

    def test_keep_when_there_is_no_volume_then_not_found(self) -> None:
        """Guards: VolumeDriver.keep_checkpoint raises VolumeNotFound."""
        if not self.effective.changed_extents:
            return
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.keep_checkpoint('no-such-volume', 'backupkit-x')

    def test_changed_when_checkpoint_was_dropped_then_lost(self) -> None:
        """Guards: VolumeDriver.drop_checkpoint,

        VolumeDriver.changed_extents raises CheckpointLost.
        """
        if not self.effective.changed_extents:
            return
        volume_id, data = self.make_filled()
        first = self.back_up(volume_id)
        self.change(volume_id, data)
        second, before = self.back_up(volume_id), bytes(data)
        self.change(volume_id, data)
        self.make_driver().drop_checkpoint(volume_id, first.name)
        self.assert_lost(volume_id, first)
        self.check(volume_id, second, before, bytes(data))
        self.driver.drop_checkpoint(volume_id, second.name)
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_checkpoint_when_volume_is_in_use_then_only_that(self) -> None:
        """Guards: VolumeDriver.keep_checkpoint raises InUse,

        VolumeDriver.drop_checkpoint raises InUse.
        """
        if not self.effective.changed_extents:
            return
        volume_id, _ = self.make_filled()
        since = self.back_up(volume_id)
        with self.in_use(volume_id):
            with contextlib.suppress(errors.InUse):
                self.driver.keep_checkpoint(volume_id, since.name)
            with contextlib.suppress(errors.InUse):
                self.driver.drop_checkpoint(volume_id, since.name)
        self.driver.drop_checkpoint(volume_id, since.name)
        self.assert_lost(volume_id, since)

    def test_drop_when_absent_then_succeeds(self) -> None:
        """Guards: volume 1, VolumeDriver.drop_checkpoint."""
        if not self.effective.changed_extents:
            return
        volume_id, _ = self.make_filled()
        self.driver.drop_checkpoint(volume_id, 'backupkit-never-kept')
        self.driver.drop_checkpoint('no-such-volume', 'backupkit-x')

    def test_changed_when_checkpoint_differs_then_lost(self) -> None:
        """Guards: VolumeDriver.changed_extents raises CheckpointLost."""
        if not self.effective.changed_extents:
            return
        volume_id, _ = self.make_filled()
        other, _ = self.make_filled()
        since = self.back_up(volume_id)
        replace = dataclasses.replace
        for wrong in (
            replace(since, backup_id=str(uuid.uuid4())),
            replace(since, generation=f'{since.generation}x'),
            replace(since, size_bytes=since.size_bytes + 512),
            replace(since, volume_id=other),
        ):
            self.assert_lost(volume_id, wrong)

    def test_changed_when_volume_is_another_then_lost(self) -> None:
        """Guards: VolumeDriver.changed_extents raises CheckpointLost."""
        if not (self.effective.changed_extents and self.effective.create):
            return
        volume_id, data = self.make_filled()
        since = self.back_up(volume_id)
        self.driver.drop_checkpoint(volume_id, since.name)
        self.driver.delete(volume_id)
        self.driver.create(volume_id, len(data))
        self.assert_lost(volume_id, since)

    def assert_lost(self, volume_id: str, since: model.Checkpoint) -> None:
        """Assert that nothing is told since a checkpoint."""
        with (
            self.attached(volume_id) as attachment,
            self.assertRaises(errors.CheckpointLost),
        ):
            list(self.driver.changed_extents(attachment, since))

    def checkpoint(self, volume_id: str, backup_id: str) -> model.Checkpoint:
        """Return the checkpoint that a backup made now would leave."""
        shown = self.driver.show(volume_id)
        return model.Checkpoint(
            backup_id, volume_id, shown.generation, shown.size_bytes
        )

    def back_up(self, volume_id: str) -> model.Checkpoint:
        """Do what a backup does with a driver; return its checkpoint."""
        backup_id = str(uuid.uuid4())
        since = self.checkpoint(volume_id, backup_id)
        self.addCleanup(self.driver.drop_checkpoint, volume_id, since.name)
        if not self.effective.snapshots:
            self.driver.keep_checkpoint(volume_id, since.name)
            self.read(volume_id)
            return since
        taken = self.driver.snapshot(volume_id, since.name)
        self.read(volume_id, taken)
        self.driver.keep_checkpoint(volume_id, taken.name)
        return since

    def change(self, volume_id: str, data: bytearray) -> None:
        """Change some bytes of a volume, one to many at a time."""
        for length in (1, 4096, 100_000):
            offset = self.random.randrange(len(data) - length)
            piece = self.random.randbytes(length)
            data[offset : offset + length] = piece
            self.write(volume_id, offset, piece)

    def check(
        self,
        volume_id: str,
        since: model.Checkpoint,
        before: bytes,
        now: bytes,
    ) -> None:
        """Compare what is told of changes with what did change."""
        with contextlib.ExitStack() as stack:
            taken = None
            if self.effective.snapshots:
                taken = stack.enter_context(self.snapshot(volume_id))
            attachment = stack.enter_context(self.attached(volume_id, taken))
            extents = list(self.driver.changed_extents(attachment, since))
        self.assert_tiles(extents, len(now))
        for extent in extents:
            told = now[extent.offset : extent.end]
            if extent.kind is model.ExtentKind.SAME:
                self.assert_bytes(
                    before[extent.offset : extent.end], told, 'what is same'
                )
            elif extent.kind is model.ExtentKind.ZERO:
                self.assertEqual(len(told), told.count(0))
        kinds = {extent.kind for extent in extents}
        self.assertIn(model.ExtentKind.SAME, kinds)
