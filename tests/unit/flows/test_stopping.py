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


"""Cancelling, suspending and aborting runs."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

from taskflow.persistence import models

from backupkit.api import aftermath
from backupkit import catalog
from backupkit.copy import control as control_
from backupkit import errors
from backupkit.flows import persistence
from backupkit import model
from backupkit.repository import target as repository_target
from tests.unit.flows import base
from tests.unit.flows import test_revert


def stopping(name: str, how: str) -> control_.Control:
    """Return a control that asks to stop as soon as a step has begun."""
    control = control_.Control(
        lambda progress: (
            getattr(control, how)() if progress.step == name else None
        )
    )
    return control


class CancelTestCase(test_revert.BackupTestCase):
    def test_when_cancelled_in_any_step_then_all_is_undone(self) -> None:
        # In the last step it comes too late.
        for name in test_revert.WITH_CHECKPOINT[:-1]:
            with self.subTest(step=name):
                control = stopping(name, 'cancel')
                with self.assertRaises(errors.Cancelled):
                    self.kit.create_backup('local:v', control=control)
                run = self.kit.list_runs(everything=True)[-1]
                self.assertEqual(catalog.RunState.ABORTED, run.state)
                self.assert_failed('cancelled in step')
        self.assert_next_works()

    def test_when_cancelled_in_the_commit_then_it_is_done(self) -> None:
        control = stopping('record', 'cancel')
        row = self.kit.create_backup('local:v', control=control)
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)

    def test_when_cancelled_before_then_nothing_is_made(self) -> None:
        control = control_.Control()
        control.cancel()
        with self.assertRaises(errors.Cancelled):
            self.kit.create_backup('local:v', control=control)
        self.assert_failed('cancelled in step snapshot')

    def test_when_a_delete_has_begun_then_it_goes_forward(self) -> None:
        control = stopping('begin', 'cancel')
        row = self.kit.delete_backup(self.good.backup_id, control=control)
        self.assertEqual(model.BackupStatus.DELETED, row.status)


class SuspendTestCase(test_revert.BackupTestCase):
    def suspend_at(self, name: str) -> catalog.Run:
        """Suspend a backup in a step, and return its run."""
        with self.assertRaises(errors.Suspended):
            self.kit.create_backup(
                'local:v', control=stopping(name, 'suspend')
            )
        return self.only_run()

    def test_when_suspended_while_copying_then_all_stays(self) -> None:
        run = self.suspend_at('copy')
        self.assertEqual(catalog.RunState.SUSPENDED, run.state)
        self.assertEqual(1, len(self.array.snapshots))
        self.assertEqual(1, len(self.array.opened))
        self.assertEqual(2, len(self.temporary()))
        self.assertLess(0, self.rows_of_flows())
        self.assertEqual(model.BackupStatus.CREATING, self.last_row().status)

    def test_when_suspended_in_any_step_then_an_abort_clears(self) -> None:
        for name in test_revert.WITH_CHECKPOINT[:-1]:
            with self.subTest(step=name):
                run = self.suspend_at(name)
                self.kit.abort_run(str(run.number))
                self.assert_failed('aborted by the operator')
        self.assert_next_works()

    def test_when_suspended_then_the_next_goes_on_first(self) -> None:
        for name in test_revert.WITH_CHECKPOINT[:-1]:
            with self.subTest(step=name):
                run = self.suspend_at(name)
                left = self.last_row().backup_id
                row = self.kit.create_backup('local:v')
                self.assertEqual(left, row.parent_id)
                ended = self.catalog.run(run.run_id)
                self.assertEqual(catalog.RunState.DONE, ended.state)
                self.assertEqual('', ended.reason)
                self.assert_nothing_left()

    def test_when_suspended_then_it_can_be_resumed(self) -> None:
        for name in test_revert.WITH_CHECKPOINT[:-1]:
            with self.subTest(step=name):
                run = self.suspend_at(name)
                self.assertEqual('gone', self.kit.run_process(run))
                ended = self.kit.resume_run(str(run.number))
                self.assertEqual(catalog.RunState.DONE, ended.state)
                self.assertEqual('', self.kit.run_process(ended))
                self.assert_nothing_left()

    def test_when_resumed_in_vain_then_it_is_suspended_again(self) -> None:
        run = self.suspend_at('copy')
        with self.assertRaises(errors.Suspended):
            self.kit.resume_run(
                run.run_id, control=stopping('detach', 'suspend')
            )
        self.assertEqual(catalog.RunState.SUSPENDED, self.only_run().state)
        self.kit.resume_run(run.run_id)
        self.assert_nothing_left()

    def test_when_resumed_and_cancelled_then_all_is_undone(self) -> None:
        run = self.suspend_at('copy')
        with self.assertRaises(errors.Cancelled):
            self.kit.resume_run(run.run_id, control=stopping('copy', 'cancel'))
        self.assert_failed('cancelled in step')

    def test_when_suspended_then_a_doctor_shows_and_keeps_it(self) -> None:
        run = self.suspend_at('copy')
        found = self.kit.doctor(clear=True)
        self.assertEqual(
            [
                (
                    'warning',
                    f'backupkit run resume {run.number}, or '
                    f'backupkit run abort {run.number}',
                )
            ],
            [(one.state, one.cure) for one in found if one.area == 'run'],
        )
        self.assertEqual(run, self.only_run())
        self.assertEqual(1, len(self.array.snapshots))

    def test_when_the_target_stays_away_then_it_is_suspended(self) -> None:
        away = errors.TargetUnavailable('it does not answer')
        for method in ('backup', 'commit'):
            with self.subTest(method=method):
                with (
                    self.breaking(method, away),
                    self.assertRaisesRegex(errors.Suspended, 'stayed away'),
                ):
                    self.kit.create_backup('local:v')
                run = self.only_run()
                self.assertEqual(catalog.RunState.SUSPENDED, run.state)
                self.assertIn('it does not answer', run.reason)
                self.kit.abort_run(run.run_id)
                self.assert_failed('aborted by the operator')

    def test_when_it_is_away_after_the_commit_then_abort_finds_it(
        self,
    ) -> None:
        away = errors.TargetUnavailable('it does not answer')
        with (
            self.breaking('commit', away, after=True),
            self.assertRaises(errors.Suspended),
        ):
            self.kit.create_backup('local:v')
        run = self.kit.abort_run(self.only_run().run_id)
        self.assertEqual(catalog.RunState.DONE, run.state)
        self.assertEqual(model.BackupStatus.AVAILABLE, self.last_row().status)
        self.assert_nothing_left()

    def test_when_a_restore_is_suspended_then_an_abort_clears(self) -> None:
        with self.assertRaises(errors.Suspended):
            self.kit.restore_backup(
                self.good.backup_id,
                new='local:w',
                control=stopping('write', 'suspend'),
            )
        self.assertIn('w', self.array.volumes)
        self.kit.abort_run(self.only_run().run_id)
        self.assertNotIn('w', self.array.volumes)
        self.assert_nothing_left()
        self.assertEqual([], self.catalog.destinations())

    def test_when_nothing_is_kept_then_the_run_just_ends(self) -> None:
        calls: dict[str, Callable[[control_.Control], object]] = {
            'verify': lambda control: self.kit.verify_backup(
                self.good.backup_id, control=control
            ),
            'check': lambda control: self.kit.check_repository(
                control=control
            ),
            'gc': lambda control: self.kit.collect_garbage(control=control),
        }
        for step, call in calls.items():
            with self.subTest(step=step):
                with self.assertRaises(errors.Suspended):
                    call(stopping(step, 'suspend'))
                run = self.kit.list_runs(everything=True)[-1]
                self.assertEqual(catalog.RunState.ABORTED, run.state)
                self.assert_nothing_left()


class AbortTestCase(test_revert.BackupTestCase):
    def test_when_a_living_run_is_aborted_then_it_undoes_itself(self) -> None:
        backup = repository_target.RepositoryTarget.backup
        other = self.connect()

        def aborted(*args: object, **kwargs: object) -> object:
            prepared = backup(*args, **kwargs)  # type: ignore[arg-type]  # passed on
            run = other.abort_run(self.only_run().run_id)
            self.assertEqual(catalog.RunState.ABORTED, run.state)
            self.assertTrue(run.live)
            self.assertEqual(1, len(self.array.snapshots))
            return prepared

        with (
            mock.patch.object(
                repository_target.RepositoryTarget, 'backup', aborted
            ),
            self.assertRaises(errors.RunAborted),
        ):
            self.kit.create_backup('local:v')
        self.assert_failed('record failed')

    def test_when_a_living_restore_is_aborted_then_it_is_undone(self) -> None:
        restore = repository_target.RepositoryTarget.restore
        other = self.connect()

        def aborted(*args: object, **kwargs: object) -> object:
            summary = restore(*args, **kwargs)  # type: ignore[arg-type]  # passed on
            other.abort_run(self.only_run().run_id)
            return summary

        with (
            mock.patch.object(
                repository_target.RepositoryTarget, 'restore', aborted
            ),
            self.assertRaises(errors.RunAborted),
        ):
            self.kit.restore_backup(self.good.backup_id, new='local:w')
        self.assertEqual(['v'], list(self.array.volumes))
        self.assert_nothing_left()

    def test_when_a_run_has_ended_then_it_cannot_be_aborted(self) -> None:
        run = self.kit.list_runs(everything=True)[0]
        with self.assertRaisesRegex(errors.Conflict, 'it is done'):
            self.kit.abort_run(str(run.number))

    def test_when_there_is_no_such_run_then_that_is_told(self) -> None:
        for name in ('77', 'ffffffff'):
            with self.assertRaises(errors.NotFound):
                self.kit.abort_run(name)


class ConflictTestCase(base.KitTestCase):
    def test_when_two_runs_want_a_volume_then_one_is_refused(self) -> None:
        self.make_volume()
        backup = repository_target.RepositoryTarget.backup
        other = self.connect()
        refused: list[errors.Conflict] = []

        def meanwhile(*args: object, **kwargs: object) -> object:
            with self.assertRaises(errors.Conflict) as raised:
                other.create_backup('local:v')
            refused.append(raised.exception)
            with self.assertRaises(errors.Conflict):
                other.delete_volume('local:v')
            return backup(*args, **kwargs)  # type: ignore[arg-type]  # passed on

        with mock.patch.object(
            repository_target.RepositoryTarget, 'backup', meanwhile
        ):
            row = self.kit.create_backup('local:v')
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertIn('backupkit run abort', str(refused[0]))
        self.assertEqual(1, len(self.catalog.backups()))
        self.assert_nothing_left()


class MeanwhileTestCase(base.KitTestCase):
    """A run that begins while somebody clears is not cleared away."""

    def setUp(self) -> None:
        super().setUp()
        self.began: list[str] = []

    def begin(self) -> None:
        """Register a run that makes a snapshot and keeps a flow."""
        volume_id = f'v{len(self.began)}'
        self.make_volume(volume_id)
        run = self.catalog.register_run(
            'backup', backend='local', volume_id=volume_id
        )
        name = f'backupkit-{volume_id}'
        self.catalog.ledger_add(
            run.run_id,
            'snapshot',
            name,
            {'backend': 'local', 'volume_id': volume_id},
        )
        self.driver.snapshot(volume_id, name)
        backend = persistence.open_backend(self.catalog)
        with persistence.connected(backend) as connection:
            connection.save_logbook(models.LogBook('run', uuid=run.run_id))
        self.began.append(name)

    def assert_kept_by(self, clear: Callable[[], object]) -> None:
        runs = catalog.Catalog.runs

        def begun(kit_catalog: catalog.Catalog, **how: bool) -> object:
            found = runs(kit_catalog, **how)
            self.begin()
            return found

        with mock.patch.object(catalog.Catalog, 'runs', begun):
            clear()
        self.assertEqual(self.began, list(self.array.snapshots))
        self.assertEqual(len(self.began), len(self.catalog.ledger()))
        self.assertEqual(len(self.began), self.rows_of_flows())

    def test_when_a_doctor_clears_then_new_runs_keep_theirs(self) -> None:
        self.assert_kept_by(lambda: self.kit.doctor(clear=True))

    def test_when_gc_sweeps_then_new_runs_keep_theirs(self) -> None:
        self.assert_kept_by(lambda: aftermath.sweep(self.session))
