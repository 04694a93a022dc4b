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


"""Tests of backups being made, restored, verified and deleted."""

from __future__ import annotations

import uuid

from backupkit.copy import control as control_
from backupkit.copy import pipeline
from backupkit import errors
from backupkit import model
from backupkit.testing import plain
from backupkit.testing import suite
from backupkit.testing.target import case

#: Sizes about which something may be odd: none, one byte, and the borders of
#: blocks and of common chunk sizes.
SIZES = (0, 1, 511, 4096, 4097, 65_535, 65_536, 65_537, 262_144, 262_145)


class KeepTests(case.TargetCase):
    """Tests of ``backup``, ``restore``, ``verify`` and ``delete``."""

    def test_backup_when_restored_then_every_byte_is_right(self) -> None:
        """Guards: Target.backup, Target.restore."""
        volume = self.make_volume()
        self.cycle.backup(volume)
        self.assert_all_restore(volume)

    def test_backup_when_sizes_are_odd_then_restores(self) -> None:
        """Guards: Target.backup, Target.restore."""
        for size in SIZES:
            with self.subTest(size=size):
                volume = self.make_volume(size, f'of-{size}')
                self.cycle.backup(volume)
                self.assert_all_restore(volume)

    def test_backup_when_all_is_zero_then_restores(self) -> None:
        """Guards: Target.backup, Target.restore."""
        volume = plain.PlainVolume(bytes(case.SIZE))
        summary = self.cycle.backup(volume)
        self.assert_all_restore(volume)
        self.assertEqual(0, volume.reader and volume.reader.read_bytes)
        self.assertEqual(0, summary.changed_bytes)

    def test_backup_when_there_is_a_parent_then_incremental(self) -> None:
        """Guards: Target.backup, BackupSummary."""
        volume = self.make_volume()
        first = self.cycle.backup(volume)
        self.change(volume)
        second = self.cycle.backup(volume)
        self.assertEqual(model.BackupKind.FULL, first.kind)
        self.assertIsNone(first.parent_id)
        self.assertEqual(model.BackupKind.INCREMENTAL, second.kind)
        self.assertEqual(first.backup_id, second.parent_id)
        self.assertEqual([None, first.backup_id], volume.parents)
        self.assertLess(first.sequence, second.sequence)
        self.assert_all_restore(volume)

    def test_backup_when_full_is_asked_for_then_all_is_read(self) -> None:
        """Guards: Target.backup, BackupRequest.full."""
        volume = self.make_volume()
        self.cycle.backup(volume)
        summary = self.cycle.backup(volume, full=True)
        self.assertEqual(model.BackupKind.FULL, summary.kind)
        self.assertIsNone(summary.parent_id)
        self.assertEqual([None, None], volume.parents)
        self.assert_all_restore(volume)

    def test_backup_when_nothing_changed_then_nothing_is_read(self) -> None:
        """Guards: Target.backup, BackupSummary.read_bytes."""
        volume = self.make_volume()
        self.cycle.backup(volume)
        summary = self.cycle.backup(volume)
        self.assertEqual(0, volume.reader and volume.reader.read_bytes)
        self.assertEqual((0, 0), (summary.read_bytes, summary.changed_bytes))
        self.assert_all_restore(volume)

    def test_backup_when_volume_grew_or_shrank_then_restores(self) -> None:
        """Guards: Target.backup."""
        volume = self.make_volume()
        for size in (case.SIZE + 70_001, case.SIZE - 70_001, 5):
            self.cycle.backup(volume)
            data = bytes(volume.data[:size]).ljust(size, b'g')
            volume.data[:] = data
        self.cycle.backup(volume)
        self.assert_all_restore(volume)

    def test_backup_when_several_at_once_then_all_restore(self) -> None:
        """Guards: Target.backup, Target.commit."""
        volumes = [self.make_volume(400_000, f'v{n}') for n in range(4)]
        calls = [
            lambda volume=volume: self.cycle.backup(volume)
            for volume in volumes
        ]
        self.cycle.backup(self.make_volume(10, 'first'))
        suite.successes(suite.together(*calls))
        for volume in volumes:
            self.assert_all_restore(volume)

    def test_backup_when_it_runs_then_progress_is_told(self) -> None:
        """Guards: Target.backup, Target.restore, Control."""
        told: list[control_.Progress] = []
        volume = self.make_volume()
        summary = self.cycle.backup(
            volume, control=control_.Control(told.append)
        )
        self.assertEqual(len(volume.data), max(p.done_bytes for p in told))
        told.clear()
        self.cycle.restore(
            summary.backup_id,
            plain.PlainWriter(len(volume.data)),
            control_.Control(told.append),
        )
        self.assertEqual(len(volume.data), max(p.done_bytes for p in told))

    def test_restore_when_there_is_none_then_not_found(self) -> None:
        """Guards: Target.restore raises NotFound."""
        self.cycle.backup(self.make_volume())
        writer = plain.PlainWriter(case.SIZE)
        with self.assertRaises(errors.NotFound):
            self.cycle.restore(str(uuid.uuid4()), writer)
        self.assertEqual([], writer.ranges())

    def test_open_backup_when_read_then_every_byte_is_right(self) -> None:
        """Guards: Target.open_backup."""
        volume = self.make_volume()
        summary = self.cycle.backup(volume)
        if not self.lends_backups:
            with (
                self.assertRaises(errors.NotSupported),
                self.cycle.open_backup(summary.backup_id),
            ):
                self.fail('a backup was lent')
            return
        writer = plain.PlainWriter(len(volume.data), bytes(volume.data))
        with self.cycle.open_backup(summary.backup_id) as opened:
            self.assertEqual(summary.backup_id, opened.summary.backup_id)
            self.assertEqual(volume.describe().format, opened.volume_format)
            pipeline.copy(
                opened.reader,
                writer,
                control_.Control(),
                block_bytes=opened.block_bytes,
                threads=2,
            )
        self.assert_bytes(volume.data, writer.data, 'what was read')

    def test_open_backup_when_there_is_none_then_not_found(self) -> None:
        """Guards: Target.open_backup raises NotFound."""
        self.cycle.backup(self.make_volume())
        expected = (
            errors.NotFound if self.lends_backups else errors.NotSupported
        )
        with (
            self.assertRaises(expected),
            self.cycle.open_backup(str(uuid.uuid4())),
        ):
            self.fail('a backup that does not exist was lent')

    def test_verify_sample_when_all_is_good_then_nothing_found(self) -> None:
        """Guards: Target.verify_sample."""
        summary = self.cycle.backup(self.make_volume())
        full = self.cycle.verify(summary.backup_id)
        for share in (0.01, 0.5, 1.0):
            report = self.cycle.verify_sample(summary.backup_id, share)
            self.assertEqual((), report.findings)
            self.assertLess(0, report.bytes_read)
            self.assertLessEqual(report.bytes_read, full.bytes_read)

    def test_verify_when_all_is_good_then_nothing_is_found(self) -> None:
        """Guards: Target.verify."""
        summary = self.cycle.backup(self.make_volume())
        before = self.objects()
        for full in (False, True):
            report = self.cycle.verify(summary.backup_id, full=full)
            self.assertTrue(report.good, report.findings)
        self.assertEqual(before, self.objects())

    def test_delete_when_it_returned_then_backup_is_absent(self) -> None:
        """Guards: Target.delete."""
        volume = self.make_volume()
        first = self.cycle.backup(volume)
        self.change(volume)
        self.cycle.backup(volume)
        self.cycle.delete(first.backup_id)
        self.assert_absent(first.backup_id)
        del volume.history[first.backup_id]
        self.assert_all_restore(volume)

    def test_delete_when_absent_then_succeeds(self) -> None:
        """Guards: Target.delete."""
        summary = self.cycle.backup(self.make_volume())
        self.cycle.delete(summary.backup_id)
        self.cycle.delete(summary.backup_id)
        self.cycle.delete(str(uuid.uuid4()))

    def test_delete_when_in_any_order_then_the_others_restore(self) -> None:
        """Guards: Target.delete."""
        volume = self.make_volume()
        for _ in range(5):
            self.cycle.backup(volume)
            self.change(volume)
        order = list(volume.history)
        self.random.shuffle(order)
        for backup_id in order:
            self.cycle.delete(backup_id)
            self.cycle.collect()
            del volume.history[backup_id]
            self.assert_all_restore(volume)

    def test_delete_when_the_parent_is_gone_then_backup_works(self) -> None:
        """Guards: Target.delete, Target.backup."""
        volume = self.make_volume()
        summary = self.cycle.backup(volume)
        self.cycle.delete(summary.backup_id)
        self.cycle.collect()
        del volume.history[summary.backup_id]
        again = self.cycle.backup(volume)
        self.assertEqual(model.BackupKind.FULL, again.kind)
        self.assert_all_restore(volume)
