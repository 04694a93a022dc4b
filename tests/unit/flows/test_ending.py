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

"""An abort and a commit that meet in the worst moments."""

from __future__ import annotations

import random
from unittest import mock
import uuid

from backupkit import catalog
from backupkit.copy import control
from backupkit.drivers import target
from backupkit import errors
from backupkit.flows import ending
from backupkit import model
from backupkit.repository import manifest
from backupkit.repository import target as repository_target
from tests.unit.catalog import base
from tests.unit.flows import base as flows_base
from tests.unit.repository import case

DATA = random.Random(1).randbytes(8 * case.CHUNK)


class MeetingTestCase(base.CatalogTestCase, case.RepositoryCase):
    """The real catalog, and a repository in memory."""

    def setUp(self) -> None:
        base.CatalogTestCase.setUp(self)
        case.RepositoryCase.setUp(self)
        self.asked = self.catalog.coordinator()
        self.repository_id = self.target.prepare_repository(self.asked)

    def write(self) -> tuple[catalog.Run, target.Prepared]:
        """Write a backup up to its commit."""
        backup_id = str(uuid.uuid4())
        run = self.register(
            backup_id=backup_id,
            target='memory',
            repository_id=self.repository_id,
        )
        self.catalog.add_backup(
            catalog.BackupRow(
                backup_id,
                run.backend,
                run.volume_id,
                target='memory',
                repository_id=self.repository_id,
                created_at='2026-11-21T09:00:00+00:00',
                run_number=run.number,
            )
        )
        request = model.BackupRequest(
            backup_id,
            run.number,
            run.backend,
            model.Volume(run.volume_id, len(DATA)),
        )
        prepared = self.target.backup(
            request,
            lambda since: case.BytesReader(DATA),
            self.asked,
            control.Control(),
        )
        return run, prepared

    def commit_run(self, run: catalog.Run, prepared: target.Prepared) -> None:
        """Commit it, from begin to end."""
        self.catalog.begin_commit(run.run_id)
        self.target.commit(prepared)
        self.catalog.finish_backup(run.run_id, prepared.summary)

    def collect_here(self) -> None:
        """Run gc with the real catalog."""
        self.target.collect(self.asked, control.Control())

    def test_when_an_aborter_wakes_late_then_others_keep_their_packs(
        self,
    ) -> None:
        run, prepared = self.write()
        backup_id = prepared.summary.backup_id
        self.catalog.begin_commit(run.run_id)
        self.target.commit(prepared)
        # The aborter says aborted, and sleeps at the gate of the target.
        slept = _SleepingTarget(self, run, prepared)

        self.assertFalse(
            ending.abandon(
                self.catalog,
                slept,  # type: ignore[arg-type] # it has all that is called
                run.run_id,
                backup_id,
            )
        )

        self.assertEqual(DATA, self.restore(slept.second))

    def test_when_a_writer_wakes_late_then_nothing_comes_of_it(self) -> None:
        run, prepared = self.write()
        backup_id = prepared.summary.backup_id
        self.catalog.begin_commit(run.run_id)
        self.assertTrue(
            ending.abandon(self.catalog, self.target, run.run_id, backup_id)
        )
        self.catalog.finish_run(run.run_id, 'aborted', 'by the operator')
        self.collect_here()

        with self.assertRaises(errors.RunAborted):
            self.target.commit(prepared)
        with self.assertRaises(errors.RunAborted):
            self.catalog.finish_backup(run.run_id, prepared.summary)

        self.assertEqual('error', self.catalog.backup(backup_id).status)

    def test_when_it_never_began_to_commit_then_gc_leaves_nothing(
        self,
    ) -> None:
        run, prepared = self.write()
        backup_id = prepared.summary.backup_id
        ending.abandon(self.catalog, self.target, run.run_id, backup_id)
        self.catalog.finish_run(run.run_id, 'aborted', 'by the operator')

        self.collect_here()

        left = [name for name in self.medium.objects if backup_id in name]
        self.assertEqual([], left)

    def test_when_the_target_is_read_only_then_the_run_ends_all_the_same(
        self,
    ) -> None:
        run, prepared = self.write()
        backup_id = prepared.summary.backup_id
        refusing = self.make_target(read_only=True)

        self.assertTrue(
            ending.abandon(self.catalog, refusing, run.run_id, backup_id)
        )
        self.catalog.finish_run(run.run_id, 'aborted', 'read-only')

        self.collect_here()
        left = [name for name in self.medium.objects if backup_id in name]
        self.assertEqual([], left)


class SpareTest(flows_base.KitTestCase):
    """A delete that the target refuses."""

    def setUp(self) -> None:
        super().setUp()
        self.kit.create_volume('local:v', flows_base.MIB)
        self.row = self.kit.create_backup('local:v')

    def refused(
        self, error: Exception, *, after: bool = False
    ) -> model.BackupStatus:
        """Return what a backup is after a delete that fails so."""
        with (
            self.breaking('delete', error, after=after),
            self.assertRaises(type(error)),
        ):
            self.kit.delete_backup(self.row.backup_id)
        self.assertEqual([], self.kit.list_runs())
        return self.catalog.backup(self.row.backup_id).status

    def test_when_it_is_refused_then_the_backup_is_what_it_was(self) -> None:
        for former in ('damaged', 'available'):
            self.catalog.update_backup(self.row.backup_id, status=former)
            for error in (
                errors.TargetReadOnly('read-only'),
                errors.TargetError('not yours'),
                errors.FormatTooNew('version 9'),
            ):
                with self.subTest(former=former, error=error):
                    self.assertEqual(former, self.refused(error))
        self.kit.restore_backup(self.row.backup_id, new='local:w')
        self.kit.delete_backup(self.row.backup_id)

    def test_when_it_may_come_through_late_then_it_goes_forward(self) -> None:
        away = errors.TargetUnavailable('no answer')
        self.assertEqual('deleting', self.refused(away))
        # Not even a refusal tells of a delete that somebody else may do.
        refusal = errors.TargetReadOnly('read-only')
        self.assertEqual('deleting', self.refused(refusal))
        self.kit.delete_backup(self.row.backup_id)

    def test_when_it_is_gone_then_it_goes_forward(self) -> None:
        error = errors.TargetError('the directory was not synced')
        self.assertEqual('deleting', self.refused(error, after=True))
        row = self.kit.delete_backup(self.row.backup_id)
        self.assertEqual('deleted', row.status)

    def test_when_the_target_is_away_then_nothing_is_begun(self) -> None:
        with (
            mock.patch.object(
                repository_target.RepositoryTarget,
                'show',
                autospec=True,
                side_effect=errors.TargetMissing('not mounted'),
            ),
            self.assertRaises(errors.TargetMissing),
        ):
            self.kit.delete_backup(self.row.backup_id)
        row = self.catalog.backup(self.row.backup_id)
        self.assertEqual('available', row.status)


class _SleepingTarget:
    """Lets the world go on between an aborter's word and its deed."""

    def __init__(
        self,
        test: MeetingTestCase,
        run: catalog.Run,
        prepared: target.Prepared,
    ) -> None:
        self._test, self._run, self._prepared = test, run, prepared
        self.name = 'memory'
        self.second = ''

    def __getattr__(self, name: str) -> object:
        return getattr(self._test.target, name)

    def abort(self, backup_id: str, confirm: object = None) -> bool:
        """Sleep; then do as the real one does."""
        test = self._test
        test.catalog.finish_backup(self._run.run_id, self._prepared.summary)
        run, prepared = test.write()
        test.assertEqual(
            {backup_id}, {pack.split('/')[3] for pack in _packs(prepared)}
        )
        test.commit_run(run, prepared)
        self.second = prepared.summary.backup_id
        test.target.delete(backup_id)
        return test.target.abort(backup_id, confirm)  # type: ignore[arg-type] # as given


def _packs(prepared: target.Prepared) -> list[str]:
    """Name the owners of the packs of a backup, as paths."""
    found = manifest.load(
        prepared.document.encode(), prepared.summary.backup_id
    )
    return [pack.name for pack in found.packs]
