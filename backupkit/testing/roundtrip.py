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


"""The round trip of any volume driver with any target.

::

    class MyRoundTripTest(roundtrip.RoundTripSuite, unittest.TestCase):
        def make_driver(self):
            return MyVolumeDriver('test', self.section)

        def make_target(self):
            return MyTarget('test', self.other_section)
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import itertools

from backupkit.copy import raw
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.testing import cycle as cycle_
from backupkit.testing.memory import store as memory
from backupkit.testing import sections
from backupkit.testing.target import transferring
from backupkit.testing.volume import case

MIB = 1024 * 1024

#: Sizes about which something may be odd: one byte, and the borders of
#: sectors, pages, and common chunk sizes.
SIZES = (0, 1, 513, 4095, 65_536, 65_537, MIB - 1, MIB + 1)


class RoundTripSuite(case.VolumeCase):
    """What comes back is what was there, whatever was in between.

    The hooks are :meth:`make_driver` and :meth:`make_target`; those that a
    volume driver's suite has beyond are here too.
    """

    def make_target(self) -> target_.Target:
        """Return the target under test. A hook of the suite.

        The first call in a test configures an empty place.
        """
        raise NotImplementedError('a suite needs its hook make_target')

    def setUp(self) -> None:
        """Make the driver, the target and a catalog."""
        super().setUp()
        self.cycle = cycle_.Cycle(self.make_target())
        self.history: dict[str, bytes] = {}
        self.checkpoints: dict[str, model.Checkpoint] = {}

    # What the tests do.

    def back_up(
        self,
        volume_id: str,
        *,
        full: bool = False,
        cycle: cycle_.Cycle | None = None,
    ) -> model.BackupSummary:
        """Back up a volume as the flows do, from a snapshot if it can."""
        cycle = cycle or self.cycle
        run = cycle.begin()
        shown = self.driver.show(volume_id)
        with (
            self.source(volume_id, run.backup_id) as attachment,
            contextlib.ExitStack() as readers,
        ):

            def open_reader(parent_id: str | None) -> raw.RawReader:
                extents = self.extents(attachment, parent_id)
                return readers.enter_context(
                    raw.RawReader(
                        attachment.path, attachment.size_bytes, extents
                    )
                )

            cycle.prepare(run, shown, open_reader, full=full)
            summary = cycle.commit(run)
        self.checkpoints[run.backup_id] = model.Checkpoint(
            run.backup_id, volume_id, shown.generation, shown.size_bytes
        )
        return summary

    @contextlib.contextmanager
    def source(
        self, volume_id: str, backup_id: str
    ) -> Iterator[model.Attachment]:
        """Attach what is to be read: a snapshot, or the volume itself."""
        if not self.effective.snapshots:
            with self.attached(volume_id) as attachment:
                yield attachment
            return
        taken = self.driver.snapshot(volume_id, f'backupkit-{backup_id}')
        with self.attached(volume_id, taken) as attachment:
            yield attachment
        self.driver.delete_snapshot(taken)

    def extents(
        self, attachment: model.Attachment, parent_id: str | None
    ) -> Iterator[model.Extent]:
        """Return what the driver knows, with its changes where it can."""
        if parent_id and self.effective.changed_extents:
            changed = self.driver.changed_extents(
                attachment, self.checkpoints[parent_id]
            )
            try:
                return itertools.chain([next(changed)], changed)
            except (errors.CheckpointLost, StopIteration):
                pass
        return self.driver.extents(attachment)

    def keep(self, volume_id: str, data: bytes | bytearray) -> str:
        """Back up a volume, remember its bytes, return the backup."""
        backup_id = self.back_up(volume_id).backup_id
        self.history[backup_id] = bytes(data)
        return backup_id

    def restore(
        self, backup_id: str, volume_id: str, *, fresh: bool = False
    ) -> None:
        """Restore a backup into a volume."""
        with (
            self.attached_volume(volume_id) as attachment,
            raw.RawWriter(
                attachment.path,
                attachment.size_bytes,
                reads_zero=fresh and self.effective.new_reads_zero,
            ) as writer,
        ):
            self.cycle.restore(backup_id, writer)

    def assert_all_restore(self) -> None:
        """Assert that each backup restores into a volume of its own."""
        for backup_id, expected in self.history.items():
            volume_id = self.make_volume(len(expected))
            self.restore(backup_id, volume_id, fresh=True)
            self.assert_bytes(
                expected, self.read(volume_id), f'backup {backup_id}'
            )

    def change(self, volume_id: str, data: bytearray, count: int = 2) -> None:
        """Write random bytes, or zeros, to random ranges of a volume."""
        for _ in range(count if data else 0):
            length = self.random.randrange(1, min(100_000, len(data)) + 1)
            offset = self.random.randrange(len(data) - length + 1)
            piece = self.random.choice(
                [self.random.randbytes(length), bytes(length)]
            )
            data[offset : offset + length] = piece
            self.write(volume_id, offset, data[offset : offset + length])

    # The tests.

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

    def test_backup_when_volumes_are_alike_then_each_is_right(self) -> None:
        """Guards: Target.backup."""
        first, data = self.make_filled()
        second = self.make_volume(len(data))
        self.write(second, 0, data)
        kept = self.keep(first, data)
        self.keep(second, data)
        self.cycle.delete(kept)
        del self.history[kept]
        self.cycle.collect()
        self.assert_all_restore()

    def test_backup_when_targets_take_turns_then_each_is_right(self) -> None:
        """Guards: VolumeDriver.changed_extents, Target.backup."""
        medium = f'{self.id()} other'
        self.addCleanup(memory.discard, medium)
        other = cycle_.Cycle(
            sections.load_target('memory', 'other', medium=medium)
        )
        volume_id, data = self.make_filled()
        kept: dict[cycle_.Cycle, dict[str, bytes]]
        kept = {self.cycle: {}, other: {}}
        for cycle in (self.cycle, other, other, self.cycle, other):
            backup_id = self.back_up(volume_id, cycle=cycle).backup_id
            kept[cycle][backup_id] = bytes(data)
            self.change(volume_id, data)
        for self.cycle, self.history in kept.items():
            self.assert_all_restore()

    def test_backup_when_full_again_then_is_the_same(self) -> None:
        """Guards: BackupRequest.full."""
        volume_id, data = self.make_filled()
        self.keep(volume_id, data)
        summary = self.back_up(volume_id, full=True)
        self.assertEqual(model.BackupKind.FULL, summary.kind)
        self.history[summary.backup_id] = bytes(data)
        self.assert_all_restore()

    def test_transfer_when_declined_then_result_is_the_same(self) -> None:
        """Guards: Target.transfer."""
        own = self.cycle
        default = cycle_.Cycle(self.make_target(), own.coordinator)
        default.target.transfer = transferring.decline  # type: ignore[method-assign] # in place of an override
        volume_id, data = self.make_filled()
        for cycle in (own, default, own, default):
            backup_id = self.back_up(volume_id, cycle=cycle).backup_id
            self.history[backup_id] = bytes(data)
            self.change(volume_id, data)
        for self.cycle in (own, default):
            self.assert_all_restore()

    def test_backup_when_history_is_random_then_all_restore(self) -> None:
        """Guards: Target.backup, Target.delete, Target.restore."""
        volumes = [self.make_filled(n) for n in (300_000, MIB + 5)]
        for _ in range(20):
            volume_id, data = self.random.choice(volumes)
            step = self.random.randrange(6)
            if step == 0 and self.history:
                gone = self.random.choice(list(self.history))
                self.cycle.delete(gone)
                del self.history[gone]
            elif step == 1:
                self.cycle.collect()
            else:
                self.change(volume_id, data, step)
                self.keep(volume_id, data)
        self.assert_all_restore()
        for backup_id in self.history:
            self.assertEqual((), self.cycle.verify(backup_id).findings)
