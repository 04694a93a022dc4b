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


"""What is left after a step has failed: nothing but a record of it."""

from __future__ import annotations

from backupkit import catalog
from backupkit import errors
from backupkit import model
from tests.unit.flows import base

WITH_SNAPSHOT = (
    'snapshot',
    'attach',
    'copy',
    'detach',
    'delete-snapshot',
    'record',
)
WITH_CHECKPOINT = (
    'snapshot',
    'attach',
    'copy',
    'detach',
    'keep-checkpoint',
    'record',
)
WITHOUT = (
    'keep-checkpoint',
    'attach',
    'fingerprint',
    'copy',
    'compare',
    'detach',
    'record',
)
RESTORE = ('create-volume', 'attach', 'begin', 'write', 'detach', 'record')


class BackupTestCase(base.KitTestCase):
    """Of a volume that has a good backup already."""

    def setUp(self) -> None:
        super().setUp()
        self.make_volume()
        self.good = self.kit.create_backup('local:v')
        self.good_packs = sorted(self.packs())
        self.write(b'changed' * 20_000)

    def assert_failed(self, told: str) -> None:
        """Assert that a failed backup is recorded, and is nowhere else."""
        row = self.last_row()
        self.assertNotEqual(self.good.backup_id, row.backup_id)
        self.assertEqual(model.BackupStatus.ERROR, row.status)
        self.assertIn(told, row.fail_reason)
        self.assert_nothing_left()
        self.assertEqual(self.good_packs, sorted(self.packs()))
        with self.assertRaises(errors.NotFound):
            self.target.show(row.backup_id)
        self.assertTrue(self.kit.verify_backup(self.good.backup_id).good)

    def assert_next_works(self) -> None:
        row = self.kit.create_backup('local:v')
        self.kit.restore_backup(row.backup_id, new='local:next')
        self.assertEqual(self.read('v'), self.read('next'))


class FailureTestCase(BackupTestCase):
    def _fail_at_each(self, names: tuple[str, ...]) -> None:
        for name in names:
            with self.subTest(step=name):
                with (
                    self.stopping_at(name, base.FAULT),
                    self.assertRaises(errors.SourceError) as raised,
                ):
                    self.kit.create_backup('local:v')
                self.assertIs(base.FAULT, raised.exception)
                self.assert_failed(f'{name} failed: a fault was injected')
        self.assert_next_works()

    def test_when_a_step_fails_then_all_before_it_is_undone(self) -> None:
        self._fail_at_each(WITH_CHECKPOINT)

    def test_when_a_step_fails_without_checkpoint_then_all_is_undone(
        self,
    ) -> None:
        self.without('changed_extents')
        self._fail_at_each(WITH_SNAPSHOT)

    def test_when_it_fails_without_snapshot_then_all_is_undone(self) -> None:
        self.without('snapshots')
        self._fail_at_each(WITHOUT)

    def test_when_a_call_fails_after_its_deed_then_it_is_undone(self) -> None:
        calls = {
            'snapshot': 'snapshot',
            'backup': 'copy',
        }
        for method, name in calls.items():
            with self.subTest(method=method):
                with (
                    self.breaking(method, after=True),
                    self.assertRaises(errors.SourceError),
                ):
                    self.kit.create_backup('local:v')
                self.assert_failed(f'{name} failed: a fault was injected')

    def test_when_the_commit_fails_after_all_then_it_is_good(self) -> None:
        with self.breaking('commit', errors.TargetError('late'), after=True):
            row = self.kit.create_backup('local:v')
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertEqual('', row.fail_reason)
        self.assert_nothing_left()
        self.assertTrue(self.kit.verify_backup(row.backup_id, full=True).good)

    def test_when_the_commit_fails_before_then_it_is_undone(self) -> None:
        with (
            self.breaking('commit', errors.TargetError('early')),
            self.assertRaisesRegex(errors.TargetError, 'early'),
        ):
            self.kit.create_backup('local:v')
        self.assert_failed('record failed: early')

    def test_when_aborted_before_the_commit_then_it_is_undone(self) -> None:
        begin_commit = catalog.Catalog.begin_commit

        def aborted(self: catalog.Catalog, run_id: str) -> None:
            self.abort_run(run_id)
            begin_commit(self, run_id)

        self.patch(catalog.Catalog, 'begin_commit', aborted)
        with self.assertRaises(errors.RunAborted):
            self.kit.create_backup('local:v')
        self.assert_failed('record failed')

    def test_when_a_driver_breaks_the_contract_then_it_is_named(self) -> None:
        for fault in (KeyError('x'), OSError(5, 'EIO'), SystemExit(3)):
            with self.subTest(fault=fault):
                with (
                    self.breaking('attach', fault),
                    self.assertRaisesRegex(
                        errors.SourceError,
                        'backend local: fault in its driver '
                        r'.*MemoryVolumeDriver of backupkit [\d.a-z]+: '
                        f'{type(fault).__name__}',
                    ),
                ):
                    self.kit.create_backup('local:v')
                self.assert_failed('attach failed: backend local: fault')

    def test_when_a_target_breaks_it_then_that_is_named(self) -> None:
        with (
            self.breaking('backup', ZeroDivisionError('x')),
            self.assertRaisesRegex(
                errors.TargetError, 'target repo: fault in its driver'
            ),
        ):
            self.kit.create_backup('local:v')
        self.assert_failed('copy failed: target repo: fault')

    def test_when_interrupted_without_handler_then_it_is_undone(self) -> None:
        for error in (KeyboardInterrupt(), SystemExit(1)):
            for name in WITH_CHECKPOINT:
                with self.subTest(step=name, error=error):
                    with (
                        self.stopping_at(name, error),
                        self.assertRaises(type(error)),
                    ):
                        self.kit.create_backup('local:v')
                    self.assert_failed('')


class UndoFailureTestCase(BackupTestCase):
    def test_when_detach_fails_then_the_backup_stays_good(self) -> None:
        with (
            self.breaking('detach'),
            self.assertLogs('backupkit.flows', 'WARNING') as logs,
        ):
            row = self.kit.create_backup('local:v')
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertIn('cannot detach', logs.output[0])
        (entry,) = self.temporary()
        self.assertEqual(catalog.LedgerKind.ATTACHMENT, entry.kind)
        self.assertEqual(f'backupkit-{row.backup_id}', entry.name)
        self.kit.doctor(clear=True)
        self.assert_nothing_left()

    def test_when_the_snapshot_stays_then_the_backup_is_good(self) -> None:
        self.without('changed_extents')
        with self.breaking('delete_snapshot'), self.assertLogs():
            row = self.kit.create_backup('local:v')
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        (entry,) = self.temporary()
        self.assertEqual(catalog.LedgerKind.SNAPSHOT, entry.kind)
        self.assertEqual([entry.name], list(self.array.snapshots))
        self.kit.doctor(clear=True)
        self.assert_nothing_left()

    def test_when_undoing_fails_too_then_the_record_names_it(self) -> None:
        with (
            self.stopping_at('copy', base.FAULT),
            self.breaking('delete_snapshot', KeyError('broken')),
            self.assertLogs('backupkit.flows', 'WARNING'),
            self.assertRaisesRegex(errors.SourceError, 'a fault'),
        ):
            self.kit.create_backup('local:v')
        row = self.last_row()
        self.assertRegex(
            row.fail_reason,
            'copy failed: a fault was injected; left behind: '
            f'snapshot backupkit-{row.backup_id}',
        )
        self.assertEqual({}, self.array.opened)
        self.kit.doctor(clear=True)
        self.assert_nothing_left()

    def test_when_abort_fails_then_gc_removes_what_it_wrote(self) -> None:
        with (
            self.stopping_at('detach', base.FAULT),
            self.breaking('abort', errors.TargetError('away')),
            self.assertLogs('backupkit.flows', 'WARNING'),
            self.assertRaisesRegex(errors.SourceError, 'a fault'),
        ):
            self.kit.create_backup('local:v')
        row = self.last_row()
        self.assertEqual(model.BackupStatus.ERROR, row.status)
        self.assertNotEqual(self.good_packs, sorted(self.packs()))
        self.kit.collect_garbage()
        self.kit.collect_garbage()
        self.assertEqual(self.good_packs, sorted(self.packs()))
        self.assert_nothing_left()

    def test_when_abort_of_a_commit_fails_then_it_stays_live(self) -> None:
        with (
            self.breaking('commit', errors.TargetError('gone')),
            self.breaking('abort', errors.TargetError('away')),
            self.assertLogs('backupkit', 'WARNING'),
            self.assertRaisesRegex(errors.TargetError, 'gone') as raised,
        ):
            self.kit.create_backup('local:v')
        row = self.last_row()
        self.assertIn('record failed: gone', row.fail_reason)
        for told in (str(raised.exception), row.fail_reason):
            self.assertIn(f'backup {row.backup_id} exists is not', told)
            self.assertIn('backupkit doctor --clear', told)
        run = self.only_run()
        self.assertEqual(catalog.RunState.ABORTED, run.state)
        # Its process is this one, and holds no lock any more.
        self.kit.abort_run(str(run.number))
        self.assert_failed('')
        self.assert_next_works()

    def test_when_its_end_is_not_known_then_doctor_finds_it_out(self) -> None:
        for after, status in ((True, 'available'), (False, 'error')):
            with (
                self.subTest(after=after),
                self.assertLogs('backupkit', 'WARNING'),
            ):
                with (
                    self.breaking(
                        'commit', errors.TargetError('late'), after=after
                    ),
                    self.breaking('abort', errors.TargetError('away')),
                    self.assertRaisesRegex(errors.TargetError, 'doctor'),
                ):
                    self.kit.create_backup('local:v')
                self.kit.doctor(clear=True)
                self.assertEqual(status, self.last_row().status)
                self.assert_nothing_left()


class CatalogFailureTestCase(BackupTestCase):
    def test_when_flows_cannot_be_kept_then_the_catalog_is_named(self) -> None:
        with self.catalog.engine.begin() as connection:
            connection.exec_driver_sql('DROP TABLE atomdetails')
            connection.exec_driver_sql('CREATE TABLE atomdetails (x TEXT)')
        with self.assertRaises(errors.CatalogError):
            self.kit.create_backup('local:v')
        with self.catalog.engine.begin() as connection:
            connection.exec_driver_sql('DROP TABLE atomdetails')
        self.assert_next_works()
        self.assert_nothing_left()

    def test_when_recording_fails_then_the_next_run_settles_it(self) -> None:
        full = errors.CatalogFull('no space')
        self.patch_catalog('finish_backup', full)
        self.patch_catalog('abort_run', full)
        with (
            self.assertLogs('backupkit', 'WARNING'),
            self.assertRaises(errors.CatalogFull),
        ):
            self.kit.create_backup('local:v')
        late = self.last_row()
        self.doCleanups_of_catalog()
        self.assertEqual(model.BackupStatus.COMMITTING, late.status)
        with self.assertLogs('backupkit', 'WARNING'):
            self.kit.create_backup('local:v')
        self.assertEqual(
            model.BackupStatus.AVAILABLE,
            self.catalog.backup(late.backup_id).status,
        )
        self.assert_nothing_left()

    def setUp(self) -> None:
        super().setUp()
        self._broken: list[str] = []

    def patch_catalog(self, name: str, error: Exception) -> None:
        def fail(*args: object, **kwargs: object) -> None:
            raise error

        # On the object, so that taking it away needs no original.
        setattr(self.catalog, name, fail)
        self._broken.append(name)

    def doCleanups_of_catalog(self) -> None:
        while self._broken:
            delattr(self.catalog, self._broken.pop())


class RestoreTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()
        self.backup_id = self.kit.create_backup('local:v').backup_id

    def test_when_a_step_fails_then_the_new_volume_is_gone(self) -> None:
        for name in RESTORE:
            with self.subTest(step=name):
                with (
                    self.stopping_at(name, base.FAULT),
                    self.assertRaisesRegex(errors.SourceError, 'a fault'),
                ):
                    self.kit.restore_backup(self.backup_id, new='local:w')
                self.assertEqual(['v'], list(self.array.volumes))
                self.assertEqual([], self.catalog.destinations())
                self.assert_nothing_left()
                run = self.kit.list_runs(everything=True)[-1]
                self.assertEqual(catalog.RunState.FAILED, run.state)
                self.assertIn(f'{name} failed: a fault', run.reason)

    def test_when_an_old_one_fails_then_it_is_incomplete(self) -> None:
        self.make_volume('w')
        with (
            self.stopping_at('write', base.FAULT),
            self.assertRaises(errors.SourceError),
        ):
            self.kit.restore_backup(
                self.backup_id, to='local:w', overwrite=True
            )
        self.assert_nothing_left()
        self.assertEqual(
            self.backup_id, self.kit.show_volume('local:w').incomplete
        )
        with self.assertRaisesRegex(errors.SourceError, 'is incomplete'):
            self.kit.create_backup('local:w')
        self.assertFalse(
            self.kit.create_backup('local:w', force=True).consistent
        )
        self.kit.restore_backup(self.backup_id, to='local:w', overwrite=True)
        self.assertEqual('', self.kit.show_volume('local:w').incomplete)
        self.assertEqual(self.read('v'), self.read('w'))

    def test_when_somebody_takes_the_name_then_theirs_stays(self) -> None:
        create = type(self.driver).create

        def taken(driver: object, volume_id: str, size_bytes: int) -> object:
            create(self.driver, volume_id, size_bytes)
            return create(self.driver, volume_id, size_bytes)

        self.patch(type(self.driver), 'create', taken)
        with self.assertRaises(errors.VolumeExists):
            self.kit.restore_backup(self.backup_id, new='local:w')
        self.assertEqual({'v', 'w'}, set(self.array.volumes))
        self.assert_nothing_left()

    def test_when_detach_fails_then_the_restore_is_done(self) -> None:
        with self.breaking('detach'), self.assertLogs():
            self.kit.restore_backup(self.backup_id, new='local:w')
        self.kit.doctor(clear=True)
        self.assert_nothing_left()
        self.assertEqual(self.read('v'), self.read('w'))

    def test_when_data_is_damaged_then_nothing_wrong_is_written(self) -> None:
        for name in self.packs():
            data = bytearray(self.medium.objects[name])
            data[len(data) // 3] ^= 1
            self.medium.objects[name] = bytes(data)
        with self.assertRaises(errors.IntegrityError):
            self.kit.restore_backup(self.backup_id, new='local:w')
        self.assertEqual(['v'], list(self.array.volumes))
        self.assert_nothing_left()
