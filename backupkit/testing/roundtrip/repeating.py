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


"""Tests of many backups, of volumes and to targets that take turns."""

from __future__ import annotations

from backupkit import model
from backupkit.testing import cycle as cycle_
from backupkit.testing.memory import store as memory
from backupkit.testing.roundtrip import case
from backupkit.testing import sections
from backupkit.testing.target import transferring

MIB = 1024 * 1024


class RepeatTests(case.RoundTripCase):
    """Tests of a history of backups."""

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
