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


"""Tests of runs that are stopped, or whose other end fails."""

from __future__ import annotations

from collections.abc import Sequence

from backupkit.copy import control as control_
from backupkit import errors
from backupkit.testing import plain
from backupkit.testing.target import case


class _FailingReader(plain.PlainReader):
    """Fails when it has read half of its bytes."""

    def read_into(
        self, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Read, or fail."""
        if offset + sum(map(len, buffers)) > self.size_bytes // 2:
            raise errors.SourceError(f'cannot read at {offset}: injected')
        super().read_into(offset, buffers)


class _FailingWriter(plain.PlainWriter):
    """Fails when half of its bytes are reached."""

    def write(
        self, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Write, or fail."""
        if offset + sum(map(len, buffers)) > len(self.data) // 2:
            raise errors.SourceError(f'cannot write at {offset}: injected')
        super().write(offset, buffers)


class StopTests(case.TargetCase):
    """Tests of failures that are not the target's."""

    def setUp(self) -> None:
        """Keep one backup, which no failure may harm."""
        super().setUp()
        self.kept = self.make_volume(volume_id='kept')

    def keep(self) -> set[str]:
        """Make the backup, and return the objects that there are then."""
        self.cycle.backup(self.kept)
        self.cycle.collect()
        return self.objects()

    def assert_only_kept(self, before: set[str]) -> None:
        """Assert that the one backup is there, and nothing else."""
        self.cycle.collect()
        if self.store_is_complete:
            self.assertEqual(before, self.objects())
            self.assertEqual(set(self.kept.history), set(self.cycle.listed()))
        self.assert_all_restore(self.kept)

    def test_backup_when_source_fails_then_nothing_is_left(self) -> None:
        """Guards: Target.backup raises SourceError, Target.abort."""
        before = self.keep()
        volume = self.make_volume()

        def open_reader(parent_id: str | None) -> plain.PlainReader:
            good = volume.open(parent_id)
            return _FailingReader(bytes(volume.data), good.extents())

        run = self.cycle.begin()
        with self.assertRaisesRegex(errors.SourceError, 'injected'):
            self.cycle.prepare(run, volume.describe(), open_reader)
        self.assertTrue(self.cycle.abort(run))
        self.assert_only_kept(before)

    def test_backup_when_source_cannot_be_opened_then_raises(self) -> None:
        """Guards: Target.backup raises SourceError."""
        before = self.keep()

        def open_reader(parent_id: str | None) -> plain.PlainReader:
            raise errors.VolumeNotFound('the volume is gone')

        run = self.cycle.begin()
        volume = self.make_volume()
        with self.assertRaises(errors.VolumeNotFound):
            self.cycle.prepare(run, volume.describe(), open_reader)
        self.assertTrue(self.cycle.abort(run))
        self.assert_only_kept(before)

    def test_backup_when_cancelled_then_nothing_is_left(self) -> None:
        """Guards: Control.check raises Cancelled, Target.backup."""
        before = self.keep()
        control = control_.Control(lambda progress: control.cancel())
        with self.assertRaises(errors.Cancelled):
            self.cycle.backup(self.make_volume(), control=control)
        self.assert_only_kept(before)

    def test_backup_when_suspended_then_can_be_aborted(self) -> None:
        """Guards: Control.check raises Suspended, Target.backup."""
        before = self.keep()
        control = control_.Control(lambda progress: control.suspend())
        run = self.cycle.begin()
        volume = self.make_volume()
        with self.assertRaises(errors.Suspended):
            self.cycle.prepare(
                run, volume.describe(), volume.open, control=control
            )
        self.assertTrue(self.cycle.abort(run))
        self.assert_only_kept(before)

    def test_restore_when_cancelled_then_backup_stays(self) -> None:
        """Guards: Control.check raises Cancelled, Target.restore."""
        before = self.keep()
        (backup_id,) = self.kept.history
        control = control_.Control(lambda progress: control.cancel())
        with self.assertRaises(errors.Cancelled):
            self.cycle.restore(
                backup_id, plain.PlainWriter(case.SIZE), control
            )
        self.assert_only_kept(before)

    def test_restore_when_destination_fails_then_backup_stays(self) -> None:
        """Guards: Target.restore."""
        before = self.keep()
        (backup_id,) = self.kept.history
        writer = _FailingWriter(case.SIZE)
        with self.assertRaisesRegex(errors.SourceError, 'injected'):
            self.cycle.restore(backup_id, writer)
        self.assertFalse(writer.finished)
        self.assert_only_kept(before)

    def test_verify_when_cancelled_then_stops(self) -> None:
        """Guards: Control.check raises Cancelled, Target.verify."""
        before = self.keep()
        (backup_id,) = self.kept.history
        control = control_.Control()
        control.cancel()
        with self.assertRaises(errors.Cancelled):
            self.target.verify(
                backup_id, self.cycle.coordinator, control, full=True
            )
        self.assert_only_kept(before)
