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


"""Runs whose process died: proved, shown, and undone by the next one."""

from __future__ import annotations

from collections.abc import Callable
import os

from backupkit import catalog as catalog_
from backupkit.catalog import liveness
from backupkit import errors
from backupkit.flows import ledger
from backupkit import model
from tests.unit.flows import doubles
from tests.unit.flows import dying
from tests.unit.flows import test_revert


class DeathTestCase(dying.DyingTestCase):
    def test_when_a_backup_died_then_the_next_ends_it_first(self) -> None:
        for name in test_revert.WITH_SNAPSHOT:
            with self.subTest(step=name):
                self.dies_at(name, self.back_up, after=False)
                dead = self.last_row()
                with self.assertLogs('backupkit.api', 'WARNING'):
                    row = self.kit.create_backup('local:v')
                self.assert_cleared()
                dead = self.catalog.backup(dead.backup_id)
                self.assertEqual(model.BackupStatus.AVAILABLE, dead.status)
                self.assertEqual(dead.backup_id, row.parent_id)
                self.assertTrue(self.kit.verify_backup(row.backup_id).good)
                self.kit.delete_backup(row.backup_id)

    def test_when_it_died_after_a_step_then_a_doctor_clears(self) -> None:
        for name in test_revert.WITH_SNAPSHOT[:-1]:
            with self.subTest(step=name):
                self.dies_at(name, self.back_up, after=True)
                shown = [d for d in self.kit.doctor() if d.area == 'run']
                cure = f'backupkit run resume {self.only_run().number}'
                self.assertEqual(
                    [('problem', f'{cure}, or backupkit doctor --clear')],
                    [(one.state, one.cure) for one in shown],
                )
                self.kit.doctor(clear=True)
                self.assert_cleared()
                self.assertEqual(self.good_packs, sorted(self.objects.packs()))
                self.assertEqual(
                    model.BackupStatus.ERROR, self.last_row().status
                )

    def test_when_it_died_after_its_commit_then_it_is_good(self) -> None:
        self.dies(
            self.back_up,
            lambda: setattr(
                catalog_.Catalog,
                'finish_backup',
                lambda *unused: os._exit(dying.KILLED),
            ),
        )
        self.assertEqual(model.BackupStatus.COMMITTING, self.last_row().status)
        with self.assertLogs('backupkit', 'WARNING'):
            self.kit.doctor(clear=True)
        row = self.last_row()
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertTrue(self.kit.verify_backup(row.backup_id, full=True).good)
        self.assert_cleared()

    def test_when_it_died_when_all_was_done_then_sweeping_is_all(self) -> None:
        self.dies_at('record', self.back_up, after=True)
        self.assertEqual(model.BackupStatus.AVAILABLE, self.last_row().status)
        self.assertLess(0, self.rows_of_flows())
        self.kit.collect_garbage()
        self.assert_cleared()

    def test_when_it_died_while_attaching_then_that_is_undone(self) -> None:
        # The attachment is made, and nothing but the intent is recorded.
        self.dies(
            self.back_up,
            lambda: setattr(
                ledger.Ledger,
                'describe',
                lambda *unused: os._exit(dying.KILLED),
            ),
        )
        self.kit.doctor(clear=True)
        self.assertEqual([], self.temporary())
        self.assertEqual([], list(self.files.taken.iterdir()))

    def test_when_a_restore_died_then_its_volume_is_deleted(self) -> None:
        for name in test_revert.RESTORE[1:]:
            with self.subTest(step=name):
                self.dies_at(
                    name,
                    lambda: self.connect().restore_backup(
                        self.good.backup_id, new='local:w'
                    ),
                    after=False,
                )
                self.assertTrue((self.files.volumes / 'w').exists())
                self.kit.doctor(clear=True)
                self.assertFalse((self.files.volumes / 'w').exists())
                self.assertEqual([], self.catalog.destinations())
                self.assert_cleared()

    def test_when_another_took_the_name_then_theirs_is_kept(self) -> None:
        self.dies_at(
            'write',
            lambda: self.connect().restore_backup(
                self.good.backup_id, new='local:w'
            ),
            after=False,
        )
        (self.files.volumes / 'w').unlink()
        (self.files.volumes / 'other').touch()
        (self.files.volumes / 'w').write_bytes(b'theirs')
        self.kit.doctor(clear=True)
        self.assertEqual(b'theirs', (self.files.volumes / 'w').read_bytes())
        self.assertEqual([], self.temporary())

    def dies_creating(self) -> None:
        """Die when the new volume of a restore is made, and not noted."""
        self.dies(
            lambda: self.connect().restore_backup(
                self.good.backup_id, new='local:w'
            ),
            lambda: setattr(
                ledger.Ledger,
                'describe',
                lambda *unused: os._exit(dying.KILLED),
            ),
        )
        self.assertTrue((self.files.volumes / 'w').exists())

    def test_when_who_made_a_volume_is_unknown_then_it_stays(self) -> None:
        for tells, content in ((False, b''), (True, b'theirs')):
            with self.subTest(content=content):
                self.dies_creating()
                self.files.tells_allocation = tells
                if content:
                    (self.files.volumes / 'w').write_bytes(content)
                with self.assertLogs('backupkit', 'WARNING'):
                    self.kit.doctor(clear=True)
                self.assertTrue((self.files.volumes / 'w').exists())
                self.assertEqual(1, len(self.temporary()))
                self.kit.delete_volume('local:w')
                self.kit.doctor(clear=True)
                self.assert_cleared()

    def test_when_it_is_unknown_but_empty_then_it_goes(self) -> None:
        self.dies_creating()
        self.files.tells_allocation = True
        self.kit.doctor(clear=True)
        self.assertFalse((self.files.volumes / 'w').exists())
        self.assert_cleared()

    def test_when_a_delete_died_then_the_next_goes_on(self) -> None:
        for name in ('delete', 'record'):
            with self.subTest(step=name):
                row = self.kit.create_backup('local:v')
                self.dies_at(
                    name,
                    lambda row=row: self.connect().delete_backup(  # type: ignore[misc]  # a default for the loop
                        row.backup_id
                    ),
                    after=False,
                )
                self.assertEqual(
                    model.BackupStatus.DELETING,
                    self.catalog.backup(row.backup_id).status,
                )
                with self.assertLogs('backupkit.api', 'WARNING'):
                    row = self.kit.delete_backup(row.backup_id)
                self.assertEqual(model.BackupStatus.DELETED, row.status)
                self.assert_cleared()

    def test_when_nothing_proves_it_dead_then_it_is_left_alone(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        run = self.only_run()
        os.unlink(
            os.path.join(self.session.state_path, 'runs', f'{run.run_id}.lock')
        )
        self.assertFalse(liveness.is_dead(self.session.state_path, run))
        with self.assertRaises(errors.Conflict):
            self.kit.create_backup('local:v')
        shown = [d for d in self.kit.doctor(clear=True) if d.area == 'run']
        self.assertEqual(
            [('warning', f'if it is not: backupkit run abort {run.number}')],
            [(one.state, one.cure) for one in shown],
        )
        self.kit.abort_run(str(run.number))
        self.assert_cleared()

    def test_when_it_had_not_begun_to_commit_then_it_ends_anyhow(
        self,
    ) -> None:
        self.dies_at('copy', self.back_up, after=False)
        self.patch(doubles.FilesTarget, 'abort', _away)
        with self.assertLogs('backupkit.flows', 'WARNING') as logs:
            self.kit.doctor(clear=True)
        self.assertIn('it is not mounted', logs.output[-1])
        self.assertEqual([], self.catalog.runs(live_only=True))

    def test_when_one_cannot_be_undone_then_others_go_on(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        run = self.only_run()
        self.catalog.begin_commit(run.run_id)
        self.patch(doubles.FilesTarget, 'abort', _away)
        with self.assertLogs('backupkit.api', 'WARNING') as logs:
            self.kit.doctor(clear=True)
        self.assertIn('it is not mounted', logs.output[-1])
        result = self.kit.collect_garbage()
        self.assertEqual(0, result.deleted_packs)
        self.assertEqual(run.run_id, self.only_run().run_id)
        # It was aborted, so it cannot be gone on with.
        with self.assertLogs(), self.assertRaises(errors.TargetMissing):
            self.kit.create_backup('local:v')


def _away(
    unused: object,
    backup_id: str,
    confirm: Callable[[], bool] | None = None,
) -> bool:
    raise errors.TargetMissing('it is not mounted')
