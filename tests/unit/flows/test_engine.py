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


"""The engine: what TaskFlow does with errors, and what is kept of a flow."""

from __future__ import annotations

from collections.abc import Callable
import functools
import subprocess
import sys
from typing import Any
import unittest
from unittest import mock

from alembic import config
from alembic import script
from taskflow import engines
from taskflow import exceptions
from taskflow.patterns import linear_flow
from taskflow.persistence.backends import impl_sqlalchemy
from taskflow import states
from taskflow import task

from backupkit.api import runs
from backupkit import catalog
from backupkit.catalog import liveness
from backupkit import errors
from backupkit.flows import backup
from backupkit.flows import engine
from backupkit.flows import environment
from backupkit.flows import persistence
from backupkit.flows.tasks import step
from backupkit import model
from tests.unit.flows import base
from tests.unit.flows import test_revert

RUN_ID = 'a0000000-0000-4000-8000-00000000000a'

#: What the tasks of the test's flow did, in order.
DONE: list[str] = []
#: By the name of a task: what it raises.
RAISED: dict[str, BaseException] = {}


class Recording(task.Task):  # type: ignore[misc]  # TaskFlow has no types
    """Notes what is done with it, and fails where it is told to."""

    def execute(self, given: str) -> str:
        DONE.append(self.name)
        if self.name in RAISED:
            raise RAISED[self.name]
        return f'{self.name} of {given}'

    def revert(self, given: str, result: Any, flow_failures: Any) -> None:
        DONE.append(f'not {self.name}')


def recording() -> linear_flow.Flow:
    """Return three tasks in a row."""
    flow = linear_flow.Flow('recording')
    flow.add(*[Recording(name, provides=name * 2) for name in 'abc'])
    return flow


WORK = engine.Work(recording, {}, {'given': 'x'})


class EngineTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        DONE.clear()
        RAISED.clear()

    def run_flow(self) -> engine.Outcome:
        return engine.run(self.environment(), RUN_ID, WORK)

    def load(self) -> Any:
        """Load the flow that is kept, as another process would."""
        backend = persistence.open_backend(self.catalog)
        with persistence.connected(backend) as connection:
            (detail,) = connection.get_logbook(RUN_ID)
        with environment.using(self.environment()):
            return engines.load_from_detail(detail, backend=backend)

    def test_when_it_succeeds_then_its_results_are_there(self) -> None:
        outcome = self.run_flow()
        self.assertIsNone(outcome.error)
        self.assertEqual('', outcome.reason)
        self.assertEqual('b of x', outcome.results['bb'])
        self.assertEqual(0, self.rows_of_flows())

    def test_when_a_task_fails_then_all_before_are_reverted(self) -> None:
        RAISED['b'] = errors.SourceError('broken')
        outcome = self.run_flow()
        self.assertIs(RAISED['b'], outcome.error)
        self.assertEqual('b failed: broken', outcome.reason)
        self.assertTrue(outcome.reverted)
        self.assertEqual(['a', 'b', 'not b', 'not a'], DONE)
        self.assertEqual(0, self.rows_of_flows())

    def test_when_a_foreign_error_comes_then_it_is_one_of_ours(self) -> None:
        RAISED['b'] = ZeroDivisionError('by nothing')
        outcome = self.run_flow()
        self.assertIs(errors.BackupkitError, type(outcome.error))
        self.assertIn('ZeroDivisionError: by nothing', str(outcome.error))

    def test_when_the_process_shall_end_then_nothing_is_reverted(self) -> None:
        for error in (
            errors.Suspended('for now'),
            KeyboardInterrupt(),
            SystemExit(3),
            GeneratorExit(),
        ):
            with self.subTest(error=error):
                DONE.clear()
                RAISED['b'] = error
                with self.assertRaises(type(error)) as raised:
                    self.run_flow()
                self.assertIs(error, raised.exception)
                self.assertEqual(['a', 'b'], DONE)
                loaded = self.load()
                self.assertEqual(
                    states.RUNNING, loaded.storage.get_flow_state()
                )
                persistence.forget(
                    persistence.open_backend(self.catalog), RUN_ID
                )
                self.assertEqual(0, self.rows_of_flows())

    def test_when_it_was_suspended_then_it_can_be_gone_on_with(self) -> None:
        RAISED['b'] = errors.Suspended('for now')
        with self.assertRaises(errors.Suspended):
            self.run_flow()
        RAISED.clear()
        loaded = self.load()
        loaded.run()
        self.assertEqual(['a', 'b', 'b', 'c'], DONE)
        self.assertEqual('c of x', loaded.storage.fetch('cc'))

    def test_when_a_result_is_kept_then_only_twice_a_task(self) -> None:
        written: list[Any] = []
        update = persistence._Connection.update_atom_details
        inner: Any = None

        def count(connection: Any, atom: Any) -> Any:
            nonlocal inner
            inner = connection._inner
            before = connection._written.get(atom.uuid)
            result = update(connection, atom)
            if connection._written.get(atom.uuid) is not before:
                written.append((atom.name, atom.state))
            return result

        self.patch(persistence._Connection, 'update_atom_details', count)
        self.run_flow()
        for name in 'abc':
            self.assertEqual(
                [states.RUNNING, states.SUCCESS],
                [state for atom, state in written if atom == name],
            )

    def test_without_an_environment_then_a_factory_says_so(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, 'environment'):
            backup.flow('b', 't', snapshot=True, compare=False)


class ResumedTestCase(base.KitTestCase):
    """A task that was killed when its deed was done is executed again."""

    def setUp(self) -> None:
        super().setUp()
        # As if the process had been killed: nobody says what it left.
        self.patch(catalog.Catalog, 'suspend_run', lambda *unused: None)
        self.patch(runs, 'KEEPING', frozenset(catalog.RunKind))

    def resume_after(self, name: str, call: Callable[[], Any]) -> None:
        """Kill a flow when a step has done its deed, and go on with it."""
        post_execute = step.Step.post_execute

        def killed(task_: step.Step) -> None:
            post_execute(task_)
            if task_.name == name:
                raise errors.Suspended('killed')

        with (
            mock.patch.object(step.Step, 'post_execute', killed),
            self.assertRaises(errors.Suspended),
        ):
            call()
        run_id = self.kit.list_runs(everything=True)[-1].run_id
        backend = persistence.open_backend(self.catalog)
        with persistence.connected(backend) as connection:
            (detail,) = connection.get_logbook(run_id)
        with environment.using(self.environment()):
            engines.load_from_detail(detail, backend=backend).run()
        persistence.forget(backend, run_id)
        liveness.discard(self.session.state_path, run_id)

    def back_up_each(self, names: tuple[str, ...]) -> None:
        self.make_volume()
        for number, name in enumerate(names):
            with self.subTest(step=name):
                self.write(b'%d' % number * 9999)
                self.resume_after(
                    name, lambda: self.kit.create_backup('local:v')
                )
                self.assert_nothing_left()
                row = self.last_row()
                self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
                self.kit.restore_backup(row.backup_id, new=f'local:{name}')
                self.assertEqual(self.read('v'), self.read(name))

    def test_when_a_step_runs_twice_then_the_backup_is_good(self) -> None:
        self.back_up_each(test_revert.WITH_CHECKPOINT)

    def test_when_no_checkpoint_is_kept_then_likewise(self) -> None:
        self.without('changed_extents')
        self.back_up_each(test_revert.WITH_SNAPSHOT)

    def test_when_it_does_without_snapshot_then_likewise(self) -> None:
        self.without('snapshots')
        self.back_up_each(test_revert.WITHOUT)

    def test_when_a_step_runs_twice_then_the_restore_is_good(self) -> None:
        self.make_volume()
        backup_id = self.kit.create_backup('local:v').backup_id
        for name in test_revert.RESTORE:
            with self.subTest(step=name):
                self.resume_after(
                    name,
                    functools.partial(
                        self.kit.restore_backup,
                        backup_id,
                        new=f'local:{name}',
                    ),
                )
                self.assert_nothing_left()
                self.assertEqual([], self.catalog.destinations())
                self.assertEqual(self.read('v'), self.read(name))

    def test_when_a_step_runs_twice_then_the_delete_is_done(self) -> None:
        self.make_volume()
        for name in ('begin', 'delete', 'record'):
            with self.subTest(step=name):
                row = self.kit.create_backup('local:v')
                self.resume_after(
                    name,
                    functools.partial(self.kit.delete_backup, row.backup_id),
                )
                self.assert_nothing_left()
                self.assertEqual(
                    model.BackupStatus.DELETED,
                    self.catalog.backup(row.backup_id).status,
                )


class PersistenceTestCase(unittest.TestCase):
    def test_when_imported_then_alembic_is_not(self) -> None:
        code = (
            'import sys\n'
            'from backupkit.flows import engine, persistence\n'
            'from backupkit import catalog\n'
            'persistence.open_backend(catalog.open("sqlite:///" + '
            'sys.argv[1]))\n'
            'print([m for m in ("alembic", "eventlet") '
            'if sys.modules.get(m)])\n'
        )
        path = base.scratch(self) / 'catalog.sqlite'
        done = subprocess.run(
            [sys.executable, '-c', code, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual('[]\n', done.stdout)

    def test_when_heads_are_read_then_they_are_those_of_alembic(self) -> None:
        settings = config.Config()
        settings.set_main_option(
            'script_location',
            'taskflow:persistence/backends/sqlalchemy/alembic',
        )
        directory = script.ScriptDirectory.from_config(settings)
        self.assertEqual(set(directory.get_heads()), persistence.heads())


class ServerTestCase(base.KitTestCase):
    """What differs on databases for which TaskFlow has migrations."""

    def setUp(self) -> None:
        super().setUp()
        self.engine = self.catalog.engine
        self.patch(self.engine.dialect, 'name', 'postgresql')
        self.upgraded: list[str] = []

    def has_revision(self, revision: str) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(
                'CREATE TABLE alembic_version (version_num TEXT)'
            )
            connection.exec_driver_sql(
                f"INSERT INTO alembic_version VALUES ('{revision}')"
            )

    def open(self, failure: Exception | None = None) -> None:
        """Open TaskFlow's backend, whose upgrade only notes its call."""

        def upgrade(connection: object) -> None:
            self.upgraded.append('upgraded')
            if failure:
                raise failure

        with mock.patch.object(impl_sqlalchemy.Connection, 'upgrade', upgrade):
            persistence.open_backend(self.catalog)

    def test_when_there_are_no_tables_then_they_are_made(self) -> None:
        self.open()
        self.assertEqual(['upgraded'], self.upgraded)

    def test_when_the_tables_are_old_then_they_are_upgraded(self) -> None:
        self.has_revision('1cea328f0f65')
        self.open()
        self.assertEqual(['upgraded'], self.upgraded)

    def test_when_they_are_at_head_then_alembic_is_not_asked(self) -> None:
        (head,) = persistence.heads()
        self.has_revision(head)
        self.open()
        self.assertEqual([], self.upgraded)

    def test_when_another_process_upgrades_then_that_is_fine(self) -> None:
        (head,) = persistence.heads()
        at_head = persistence._at_head
        answers = [False]
        self.patch(
            persistence,
            '_at_head',
            lambda engine: answers.pop() if answers else at_head(engine),
        )
        self.has_revision(head)
        self.open(exceptions.StorageFailure('the table is there'))
        self.assertEqual(['upgraded'], self.upgraded)

    def test_when_the_upgrade_fails_then_the_catalog_is_named(self) -> None:
        with self.assertRaises(errors.CatalogError):
            self.open(exceptions.StorageFailure('no permission'))
