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

"""Who works on a run, and what those may do who did so before."""

from __future__ import annotations

from backupkit import catalog
from backupkit import errors
from backupkit import model
from tests.unit.catalog import base


class ClaimTest(base.CatalogTestCase):
    """Two processes, each with a catalog of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.open()

    def test_when_a_run_is_claimed_then_it_is_the_claimers(self) -> None:
        run = self.register()
        self.catalog.suspend_run(run.run_id, 'for now')
        claimed = self.other.claim_run(self.catalog.run(run.run_id))
        self.assertEqual(catalog.RunState.RUNNING, claimed.state)
        self.assertNotEqual(run.attempt, claimed.attempt)
        self.assertEqual(('', ''), (claimed.reason, claimed.overtaken_at))
        self.assertEqual(run.number, claimed.number)
        self.other.begin_commit(run.run_id)

    def test_when_it_was_claimed_then_a_second_is_refused(self) -> None:
        run = self.register()
        self.other.claim_run(run)
        for claimer in (self.other, self.catalog):
            with self.assertRaisesRegex(errors.Conflict, 'resumed meanwhile'):
                claimer.claim_run(run)

    def test_when_it_was_claimed_then_the_former_can_do_nothing(self) -> None:
        run = self.register()
        self.other.claim_run(run)
        for call in (
            lambda: self.catalog.begin_commit(run.run_id),
            lambda: self.catalog.suspend_run(run.run_id),
            lambda: self.catalog.abort_run(run.run_id),
            lambda: self.catalog.finish_run(run.run_id, 'failed'),
            lambda: self.catalog.keep_journal(run.run_id, 'x'),
            lambda: self.catalog.check_attempt(run.run_id),
        ):
            with self.assertRaisesRegex(errors.RunAborted, 'taken over'):
                call()
        self.assertEqual(
            catalog.RunState.RUNNING, self.other.run(run.run_id).state
        )
        # Anybody else may abort it.
        self.open().abort_run(run.run_id)

    def test_when_it_has_ended_then_it_cannot_be_claimed(self) -> None:
        run = self.register()
        self.catalog.abort_run(run.run_id)
        with self.assertRaisesRegex(errors.Conflict, 'aborted'):
            self.other.claim_run(run)
        self.catalog.finish_run(run.run_id, 'aborted')
        with self.assertRaisesRegex(errors.Conflict, 'cannot be resumed'):
            self.other.claim_run(run)

    def test_when_it_was_committing_then_its_put_may_still_come(self) -> None:
        run = self.register()
        self.catalog.begin_commit(run.run_id)
        claimed = self.other.claim_run(run)
        self.assertEqual(catalog.RunState.COMMITTING, claimed.state)
        self.assertNotEqual('', claimed.overtaken_at)
        self.assertEqual(
            {run.backup_id}, set(self.other.astray(base.REPOSITORY))
        )

    def test_when_a_journal_is_kept_then_the_last_one_is_there(self) -> None:
        run = self.register('restore')
        self.assertEqual('', self.catalog.journal(run.run_id))
        self.catalog.keep_journal(run.run_id, '[[0, 1]]')
        self.catalog.keep_journal(run.run_id, '[[0, 2]]')
        self.assertEqual('[[0, 2]]', self.other.journal(run.run_id))
        self.catalog.finish_run(run.run_id, 'done')
        self.assertEqual('', self.other.journal(run.run_id))


class SpareTest(base.CatalogTestCase):
    def test_when_its_delete_has_ended_then_none_is_spared(self) -> None:
        backup_id = self.commit(self.begin()).backup_id
        self.catalog.update_backup(
            backup_id, status=model.BackupStatus.DELETING
        )
        run = self.register('delete', backup_id=backup_id)
        self.catalog.spare_backup(
            run.run_id, backup_id, model.BackupStatus.AVAILABLE
        )
        self.assertEqual(
            model.BackupStatus.AVAILABLE,
            self.catalog.backup(backup_id).status,
        )
        self.catalog.update_backup(
            backup_id, status=model.BackupStatus.DELETING
        )
        self.catalog.abort_run(run.run_id)
        with self.assertRaises(errors.RunAborted):
            self.catalog.spare_backup(
                run.run_id, backup_id, model.BackupStatus.AVAILABLE
            )
        self.assertEqual(
            model.BackupStatus.DELETING,
            self.catalog.backup(backup_id).status,
        )
