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


"""Tests of an overridden transfer, which must change nothing but the cost."""

from __future__ import annotations

import dataclasses

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import target
from backupkit import model
from backupkit.testing import cycle as cycle_
from backupkit.testing import filed
from backupkit.testing import plain
from backupkit.testing.target import case


def decline(
    reader: interface.Reader,
    writer: interface.Writer,
    control: control_.Control,
) -> bool:
    """Decline, as the default of ``Target.transfer`` does."""
    return False


class TransferTests(case.TargetCase):
    """Tests of ``transfer``."""

    def test_transfer_when_stated_then_is_overridden(self) -> None:
        """Guards: TargetCapabilities.transfer, Target.transfer."""
        overridden = type(self.target).transfer is not target.Target.transfer
        self.assertEqual(type(self.target).capabilities.transfer, overridden)

    def test_transfer_when_declined_then_result_is_the_same(self) -> None:
        """Guards: Target.transfer."""
        summaries = []
        for declining in (False, True):
            self.target = self.make_target()
            if declining:
                self.target.transfer = decline  # type: ignore[method-assign] # on purpose
            self.cycle = cycle_.Cycle(self.target, self.cycle.coordinator)
            self.random.seed('the same volume')
            volume = self.make_volume(volume_id=f'declining-{declining}')
            for _ in range(3):
                summaries.append(self.cycle.backup(volume))
                self.change(volume)
            self.assert_all_restore(volume)
        for own, default in zip(summaries[:3], summaries[3:]):
            self.assertEqual(_kept(own), _kept(default))

    def test_transfer_when_volume_is_a_file_then_result_is_the_same(
        self,
    ) -> None:
        """Guards: Target.transfer, Target.verify."""
        contents: list[list[bytes]] = []
        source = self.make_source()
        for declining in (False, True):
            self.target = self.make_target()
            if declining:
                self.target.transfer = decline  # type: ignore[method-assign] # on purpose
            self.cycle = cycle_.Cycle(self.target, self.cycle.coordinator)
            self.random.seed('the same file')
            volume = filed.FiledVolume(
                bytes(self.make_volume().data), source, f'file-{declining}'
            )
            for _ in range(3):
                self.cycle.backup(volume)
                self.change(volume)
            self.cycle.backup(volume, full=True)
            # What was not read is not verified yet, and then it is.
            self.assert_all_contents(volume)
            self.assert_all_restore(volume)
            contents.append(list(volume.history.values()))
        self.assertEqual(*contents)

    def assert_all_contents(self, volume: plain.PlainVolume) -> None:
        """Assert that every backup of a volume restores whole."""
        for backup_id, expected in volume.history.items():
            self.assert_restores(backup_id, expected)

    def test_transfer_when_called_then_all_arrives_once(self) -> None:
        """Guards: Target.transfer."""
        volume = self.make_volume()
        reader = volume.open(None)
        expected = bytes(volume.data)
        writer = plain.PlainWriter(len(expected), expected)
        moved = self.target.transfer(reader, writer, control_.Control())
        if moved:
            self.assertEqual([(0, len(expected))], writer.ranges())
            self.assert_bytes(expected, writer.data, 'what arrived')
        else:
            self.assertEqual([], writer.ranges())
            self.assertEqual(0, reader.read_bytes)
        self.assertFalse(writer.finished)


def _kept(summary: model.BackupSummary) -> model.BackupSummary:
    """Return a summary without what differs between two backups anyhow."""
    return dataclasses.replace(
        summary,
        backup_id='',
        parent_id=None,
        volume_id='',
        volume_generation='',
        sequence=0,
        stored_bytes=0,
        service_metadata='',
        changed_bytes=0,
    )
