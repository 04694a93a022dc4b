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

"""Runs that died in their commit, where two puts of a name can succeed."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from unittest import mock

from backupkit import catalog as catalog_
from backupkit import errors
from backupkit.flows import persistence
from backupkit import model
from backupkit.repository import layout
from backupkit.repository import target as repository_target
from tests.unit.flows import doubles
from tests.unit.flows import test_death

_KILLED = 9


class RacyDeathTestCase(test_death.DeathTestCase):
    """The process dies, and its last request may still be on its way."""

    def setUp(self) -> None:
        able = doubles.FilesTarget.capabilities
        racy = dataclasses.replace(able.store, put_if_absent=False)
        self.patch(
            doubles.FilesTarget,
            'capabilities',
            dataclasses.replace(able, store=racy),
        )
        super().setUp()

    def dies_committing(self, *, force: bool = False) -> str:
        """Die when the run said that it commits; return the backup's id."""

        def die(*unused: object) -> None:
            os._exit(_KILLED)

        self.dies(
            lambda: self.connect().create_backup('local:v', force=force),
            lambda: setattr(repository_target.RepositoryTarget, 'commit', die),
        )
        row = self.last_row()
        self.assertEqual(model.BackupStatus.COMMITTING, row.status)
        return row.backup_id

    def committing(
        self, error: Exception
    ) -> contextlib.AbstractContextManager[object]:
        """Let commits fail."""
        return mock.patch.object(
            repository_target.RepositoryTarget,
            'commit',
            autospec=True,
            side_effect=error,
        )

    def assert_committed(self, backup_id: str) -> None:
        row = self.catalog.backup(backup_id)
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertTrue(self.kit.verify_backup(backup_id, full=True).good)
        self.assert_cleared()

    def test_when_it_died_committing_then_a_doctor_commits(self) -> None:
        backup_id = self.dies_committing()
        with self.assertLogs('backupkit.flows', 'WARNING') as logs:
            self.kit.doctor(clear=True)
        self.assertIn('had begun to commit', ''.join(logs.output))
        self.assert_committed(backup_id)

    def test_when_it_died_committing_then_an_abort_commits(self) -> None:
        backup_id = self.dies_committing()
        run = self.kit.abort_run(self.only_run().run_id)
        self.assertEqual(catalog_.RunState.DONE, run.state)
        self.assert_committed(backup_id)

    def test_when_suspended_committing_then_an_abort_commits(self) -> None:
        away = errors.TargetUnavailable('no answer')
        with (
            self.committing(away),
            self.assertRaises(errors.Suspended),
        ):
            self.back_up()
        run = self.kit.abort_run(self.only_run().run_id)
        self.assertEqual(catalog_.RunState.DONE, run.state)
        self.assert_committed(self.last_row().backup_id)

    def test_when_its_put_comes_late_then_nothing_changes(self) -> None:
        backup_id = self.dies_committing()
        with mock.patch.object(
            repository_target.RepositoryTarget,
            'commit',
            autospec=True,
            side_effect=repository_target.RepositoryTarget.commit,
        ) as commit:
            self.kit.doctor(clear=True)
        path = self.objects.root / layout.manifest(backup_id)
        kept = path.read_bytes()
        path.unlink()
        self.objects.commit(commit.call_args.args[1])
        self.assertEqual(kept, path.read_bytes())
        self.assert_committed(backup_id)

    def test_when_its_flow_is_lost_then_it_is_undone(self) -> None:
        backup_id = self.dies_committing()
        backend = persistence.open_backend(self.catalog)
        persistence.forget(backend, self.only_run().run_id)
        self.kit.doctor(clear=True)
        row = self.catalog.backup(backup_id)
        self.assertEqual(model.BackupStatus.ERROR, row.status)
        self.assertEqual(self.good_packs, sorted(self.objects.packs()))
        self.assert_cleared()

    def test_when_its_name_was_taken_then_it_is_undone(self) -> None:
        backup_id = self.dies_committing()
        self.assertTrue(self.objects.abort(backup_id))
        self.kit.doctor(clear=True)
        row = self.catalog.backup(backup_id)
        self.assertEqual(model.BackupStatus.ERROR, row.status)
        self.assert_cleared()

    def test_when_the_target_is_away_then_it_waits(self) -> None:
        backup_id = self.dies_committing()
        away = errors.TargetUnavailable('no answer')
        with self.committing(away):
            self.kit.doctor(clear=True)
            self.assertEqual(backup_id, self.only_run().backup_id)
        self.kit.doctor(clear=True)
        self.assert_committed(backup_id)

    def test_when_the_source_had_changed_then_that_is_told(self) -> None:
        numbers = itertools.count()
        self.patch(
            doubles.FilesDriver,
            'capabilities',
            dataclasses.replace(
                doubles.FilesDriver.capabilities,
                snapshots=False,
                fingerprint=True,
            ),
        )
        self.patch(
            doubles.FilesDriver,
            'fingerprint',
            lambda *unused: str(next(numbers)),
        )
        backup_id = self.dies_committing(force=True)
        self.kit.doctor(clear=True)
        self.assert_committed(backup_id)
        self.assertFalse(self.catalog.backup(backup_id).consistent)
