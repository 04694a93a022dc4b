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


"""What the tests of the round trip are given."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import itertools

from backupkit.copy import interface
from backupkit.copy import opening
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.testing import cycle as cycle_
from backupkit.testing.volume import case


class RoundTripCase(case.VolumeCase):
    """Drives a volume driver and a target, the one with the other."""

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

            def open_reader(parent_id: str | None) -> interface.Reader:
                extents = self.extents(attachment, parent_id)
                reader = opening.open_reader(attachment, extents)
                return readers.enter_context(contextlib.closing(reader))

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
        if self.effective.changed_extents:
            self.driver.keep_checkpoint(volume_id, taken.name)
            self.addCleanup(self.driver.drop_checkpoint, volume_id, taken.name)
        else:
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
            contextlib.closing(
                opening.open_writer(
                    attachment,
                    attachment.size_bytes,
                    reads_zero=fresh and self.effective.new_reads_zero,
                )
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
