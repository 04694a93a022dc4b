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

"""Checkpoints: kept, replaced after the next commit, and dropped."""

from __future__ import annotations

from backupkit import errors
from backupkit.flows import checkpoints
from backupkit import model
from tests.unit.flows import base

TWO_TARGETS = (
    base.CONFIGURATION.replace(
        'enabled_targets = repo',
        'enabled_targets = repo,other\ndefault_target = repo',
    )
    + '[target:other]\ndriver = memory\nmedium = {name}-other\n'
)


class CheckpointTestCase(base.KitTestCase):
    configuration = TWO_TARGETS

    def setUp(self) -> None:
        super().setUp()
        self.make_volume()

    def kept(self) -> list[str]:
        """Return what the driver keeps, which the ledger must name."""
        kept = sorted(self.array.volumes['v'].checkpoints)
        ref = model.VolumeRef('local', 'v')
        named = checkpoints.retained(self.catalog, ref)
        self.assertEqual(kept, sorted(entry.name for entry in named))
        return kept

    def back_up(self, target: str = 'repo') -> str:
        row = self.kit.create_backup('local:v', target=target)
        return model.derived_name(row.backup_id)

    def test_when_backed_up_again_then_only_the_last_is_kept(self) -> None:
        self.assertEqual([self.back_up()], self.kept())
        self.assertEqual([self.back_up()], self.kept())
        self.assert_nothing_left()

    def test_when_there_are_two_targets_then_each_has_one(self) -> None:
        first, second = self.back_up(), self.back_up('other')
        self.assertEqual(sorted([first, second]), self.kept())
        third = self.back_up()
        self.assertEqual(sorted([second, third]), self.kept())
        self.assert_nothing_left()

    def test_when_a_backup_fails_then_the_older_one_stays(self) -> None:
        older = self.back_up()
        for step in ('copy', 'keep-checkpoint', 'record'):
            with (
                self.stopping_at(step, base.FAULT),
                self.assertRaises(errors.SourceError),
            ):
                self.back_up()
            self.assertEqual([older], self.kept())
        self.assert_nothing_left()

    def test_when_it_is_interrupted_at_the_end_then_it_is_good(self) -> None:
        with self.stopping_at('settle-checkpoint', base.FAULT):
            row = self.kit.create_backup('local:v')
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertEqual([], self.kept())
        self.assert_nothing_left()
        self.assertTrue(self.kit.verify_backup(row.backup_id, full=True).good)

    def test_when_none_can_be_kept_then_the_backup_is_good(self) -> None:
        with (
            self.breaking('keep_checkpoint', errors.InUse('it is open')),
            self.assertLogs('backupkit.flows', 'WARNING') as logs,
        ):
            self.back_up()
        self.assertIn('reads all of it', logs.output[0])
        self.assertEqual([], self.kept())
        self.assert_nothing_left()

    def test_when_the_older_one_stays_then_it_is_named(self) -> None:
        older = self.back_up()
        with (
            self.breaking('drop_checkpoint'),
            self.assertLogs('backupkit.flows', 'WARNING') as logs,
        ):
            newer = self.back_up()
        self.assertIn(f'cannot drop checkpoint {older}', logs.output[0])
        self.assertEqual(sorted([older, newer]), self.kept())
        self.assertEqual([self.back_up()], self.kept())

    def test_when_without_snapshot_then_it_comes_first(self) -> None:
        self.without('snapshots')
        self.assertEqual([self.back_up()], self.kept())
        self.write(b'changed')
        row = self.kit.create_backup('local:v')
        self.assertEqual(65536, row.read_bytes)
        self.assert_nothing_left()

    def test_when_all_are_dropped_then_the_next_reads_all(self) -> None:
        self.back_up()
        self.back_up('other')
        self.assertEqual(
            {('local:v', 'repo'), ('local:v', 'other')},
            {(e.volume, e.target) for e in self.kit.list_checkpoints()},
        )
        self.assertEqual([], self.kit.list_checkpoints('local:w'))
        self.assertEqual(2, self.kit.drop_checkpoints('local:v'))
        self.assertEqual(0, self.kit.drop_checkpoints('local:v'))
        self.assertEqual([], self.kept())
        row = self.kit.create_backup('local:v')
        self.assertGreater(row.read_bytes or 0, 65536)

    def test_when_one_is_lost_then_it_is_told(self) -> None:
        self.back_up()
        self.array.volumes['v'].checkpoints.clear()
        with self.assertLogs('backupkit.flows', 'WARNING') as logs:
            self.back_up()
        self.assertIn('has no checkpoint', logs.output[0])
