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

"""Runs that another process goes on with, from wherever they were left."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
import pathlib
import random
import socket
from typing import Any
from unittest import mock

from backupkit import api
from backupkit import catalog as catalog_
from backupkit.catalog import liveness
from backupkit.copy import raw
from backupkit import errors
from backupkit.flows import ledger
from backupkit.flows import progress
from backupkit.flows.tasks import step
from backupkit import model
from tests.unit.flows import base
from tests.unit.flows import doubles
from tests.unit.flows import dying
from tests.unit.flows import test_revert
from tests.unit.flows import test_stopping

#: Larger than the packs of the tests' target by much.
SIZE = 24 * base.MIB
_PACK = base.MIB


class ResumeTestCase(dying.DyingTestCase):
    """Volumes and repository are files, and survive the processes."""

    def only(self) -> str:
        return self.only_run().run_id

    def resume(self) -> catalog_.Run:
        run = self.connect().resume_run(self.only())
        self.assertEqual(catalog_.RunState.DONE, run.state)
        self.assert_cleared()
        self.assertEqual('', self.catalog.journal(run.run_id))
        return run

    def content(self, volume_id: str = 'v') -> bytes:
        return (self.files.volumes / volume_id).read_bytes()

    def assert_good(self, expected: bytes) -> None:
        """Check the backup that was made last, by restoring it."""
        row = self.last_row()
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.kit.restore_backup(row.backup_id, new='local:check')
        self.assertEqual(expected, self.content('check'))
        self.kit.delete_volume('local:check')

    def journals(self) -> list[str]:
        return [
            stat.name
            for stat in self.objects.open().list()
            if '/journal/' in stat.name
        ]


class BackupTestCase(ResumeTestCase):
    def resume_each(self, names: tuple[str, ...], *, after: bool) -> None:
        for number, name in enumerate(names):
            with self.subTest(step=name):
                self.fill(b'%d' % number)
                expected = self.content()
                self.dies_at(name, self.back_up, after=after)
                # What is written now is not of that backup.
                if name != names[0] and names is test_revert.WITH_SNAPSHOT:
                    self.fill(b'later')
                before = len(self.kit.list_backups())
                self.resume()
                self.assertEqual(before, len(self.kit.list_backups()))
                self.assert_good(expected)

    def test_when_it_died_before_a_step_then_it_goes_on(self) -> None:
        self.resume_each(test_revert.WITH_SNAPSHOT, after=False)

    def test_when_it_died_after_a_step_then_that_runs_twice(self) -> None:
        self.resume_each(test_revert.WITH_SNAPSHOT[:-1], after=True)

    def test_when_there_was_no_snapshot_then_it_goes_on(self) -> None:
        self.without('snapshots')
        names = ('attach', 'copy', 'detach', 'record')
        self.resume_each(names, after=False)
        self.resume_each(names[:-1], after=True)

    def test_when_the_volume_is_backed_up_then_it_goes_on_first(self) -> None:
        expected = self.content()
        self.dies_at('copy', self.back_up, after=False)
        left = self.last_row().backup_id
        self.fill(b'later')
        with self.assertLogs('backupkit.api', 'WARNING'):
            row = self.kit.create_backup('local:v')
        self.assert_cleared()
        self.assertEqual(
            [model.BackupStatus.AVAILABLE] * 2,
            [self.catalog.backup(one).status for one in (left, row.backup_id)],
        )
        self.assertEqual(left, row.parent_id)
        self.kit.restore_backup(left, new='local:left')
        self.assertEqual(expected, self.content('left'))

    def test_when_gc_and_others_come_then_it_stays(self) -> None:
        self.dies_at('detach', self.back_up, after=False)
        run = self.only_run()
        result = self.kit.collect_garbage()
        self.assertEqual(run, self.only_run())
        self.assertIn(run.backup_id, (*result.waiting_for, run.backup_id))
        self.resume()

    def test_when_it_is_resumed_twice_then_it_has_ended(self) -> None:
        self.dies_at('copy', self.back_up, after=True)
        run = self.resume()
        with self.assertRaisesRegex(errors.Conflict, 'has ended'):
            self.kit.resume_run(run.run_id)

    def test_when_nothing_is_kept_then_it_cannot_be_resumed(self) -> None:
        self.dies(
            self.back_up,
            lambda: setattr(
                catalog_.Catalog,
                'add_backup',
                lambda *unused: os._exit(dying.KILLED),
            ),
        )
        with self.assertRaisesRegex(errors.Conflict, 'run abort'):
            self.kit.resume_run(self.only())
        # It is in nobody's way.
        self.kit.create_backup('local:v')
        self.assert_cleared()

    def test_when_a_delete_died_then_it_can_be_resumed(self) -> None:
        for name in ('begin', 'delete', 'record'):
            with self.subTest(step=name):
                row = self.kit.create_backup('local:v')
                self.dies_at(
                    name,
                    lambda row=row: self.connect().delete_backup(  # type: ignore[misc]  # a default for the loop
                        row.backup_id
                    ),
                    after=True,
                )
                if name == 'record':
                    self.kit.collect_garbage()
                    continue
                self.resume()
                self.assertEqual(
                    model.BackupStatus.DELETED,
                    self.catalog.backup(row.backup_id).status,
                )


class RestoreTestCase(ResumeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.expected = b'one' * 100_000
        self.expected += bytes(base.MIB - len(self.expected))

    def restore(self) -> None:
        self.connect().restore_backup(self.good.backup_id, new='local:w')

    def restore_over(self) -> None:
        self.connect().restore_backup(
            self.good.backup_id, to='local:w', overwrite=True
        )

    def assert_restored(self) -> None:
        self.assertEqual(self.expected, self.content('w'))
        self.assertEqual([], self.catalog.destinations())

    def test_when_it_died_at_a_step_then_it_goes_on(self) -> None:
        for after in (False, True):
            for name in test_revert.RESTORE[: -1 if after else None]:
                with self.subTest(step=name, after=after):
                    self.dies_at(name, self.restore, after=after)
                    self.resume()
                    self.assert_restored()
                    self.kit.delete_volume('local:w')

    def dies_before_it_is_described(self) -> None:
        """Die when the new volume is made, and the ledger does not say so."""

        def prepare() -> None:
            mock.patch.object(
                ledger.Ledger,
                'describe',
                lambda *unused: os._exit(dying.KILLED),
            ).start()

        self.dies(self.restore, prepare)
        self.assertTrue((self.files.volumes / 'w').exists())

    def test_when_it_died_right_after_a_create_then_it_goes_on(self) -> None:
        self.patch(doubles.FilesDriver, 'tells_allocation', True)
        self.dies_before_it_is_described()
        self.resume()
        self.assert_restored()

    def test_when_the_new_volume_is_somebody_elses_then_it_stays(self) -> None:
        self.patch(doubles.FilesDriver, 'tells_allocation', True)
        self.dies_before_it_is_described()
        run_id = self.only()
        theirs = self.files.volumes / 'w'
        theirs.write_bytes(b'theirs' * 1000)
        with self.assertRaisesRegex(errors.Conflict, 'volume delete local:w'):
            self.kit.resume_run(run_id)
        self.assertEqual(b'theirs' * 1000, theirs.read_bytes())
        self.assertEqual([], self.kit.list_runs())
        self.assertEqual([], self.catalog.ledger())

    def test_when_it_died_over_a_volume_then_it_goes_on(self) -> None:
        self.kit.create_volume('local:w', base.MIB)
        for name in test_revert.RESTORE[1:]:
            with self.subTest(step=name):
                (self.files.volumes / 'w').write_bytes(b'\xff' * base.MIB)
                self.dies_at(name, self.restore_over, after=False)
                self.resume()
                self.assert_restored()

    def test_when_it_is_begun_again_then_it_goes_on(self) -> None:
        self.dies_at('write', self.restore, after=False)
        with self.assertLogs('backupkit.api', 'WARNING'):
            found = self.kit.restore_backup(self.good.backup_id, new='local:w')
        self.assertTrue(found.created)
        self.assertEqual(base.MIB, found.volume_size_bytes)
        self.assert_restored()
        self.assert_cleared()
        done = [
            run.state
            for run in self.kit.list_runs(everything=True)
            if run.kind == catalog_.RunKind.RESTORE
        ]
        self.assertEqual([catalog_.RunState.DONE], done)

    def test_when_another_backup_comes_then_it_is_undone(self) -> None:
        self.kit.create_volume('local:w', base.MIB)
        other = self.kit.create_backup('local:v').backup_id
        self.dies_at('write', self.restore_over, after=False)
        left = self.only()
        self.kit.restore_backup(other, to='local:w', overwrite=True)
        self.assertEqual(self.content('v'), self.content('w'))
        self.assertEqual(
            catalog_.RunState.ABORTED, self.catalog.run(left).state
        )
        self.assert_cleared()


class AgreementTestCase(ResumeTestCase):
    """What does not fit any more is told, and the run is undone."""

    def refused(self, told: str) -> None:
        run = self.only_run()
        with (
            self.assertLogs('backupkit', 'WARNING'),
            self.assertRaisesRegex(errors.BackupkitError, told),
        ):
            self.kit.resume_run(run.run_id)
        self.assert_cleared()
        self.assertIn(
            self.catalog.run(run.run_id).state,
            (catalog_.RunState.ABORTED, catalog_.RunState.FAILED),
        )
        self.assertEqual(model.BackupStatus.ERROR, self.last_row().status)

    def test_when_the_volume_was_replaced_then_it_is_undone(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        path = self.files.volumes / 'v'
        path.rename(path.with_name('aside'))
        path.write_bytes(bytes(base.MIB))
        self.refused('volume local:v is another one now')

    def test_when_the_volume_is_gone_then_it_is_undone(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        (self.files.volumes / 'v').unlink()
        self.refused('there is no volume v')

    def test_when_the_snapshot_is_gone_then_it_is_undone(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        (snapshot,) = self.files.taken.iterdir()
        snapshot.unlink()
        self.refused('there is no .*/snapshots/')
        self.assertIn('attach failed', self.last_row().fail_reason)

    def test_when_the_repository_is_another_then_it_is_undone(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        self.objects.root.rename(self.objects.root.with_name('aside'))
        self.patch(catalog_.Catalog, 'known_repository', lambda *unused: None)
        self.refused('holds repository')

    def test_when_the_driver_is_another_then_it_is_undone(self) -> None:
        self.dies_at('copy', self.back_up, after=False)

        class Other(doubles.FilesDriver):
            pass

        self.session._volume_drivers['local'] = Other('local', self.directory)
        self.refused('backend local has another driver now')

    def test_when_the_backup_is_gone_then_a_restore_is_undone(self) -> None:
        self.dies_at(
            'write',
            lambda: self.connect().restore_backup(
                self.good.backup_id, new='local:w'
            ),
            after=False,
        )
        self.objects.delete(self.good.backup_id)
        with (
            self.assertLogs('backupkit', 'WARNING'),
            self.assertRaisesRegex(errors.Conflict, 'holds no backup'),
        ):
            self.kit.resume_run(self.only())
        self.assertFalse((self.files.volumes / 'w').exists())
        self.assert_cleared()

    def test_when_the_new_volume_is_another_then_it_stays(self) -> None:
        self.dies_at(
            'write',
            lambda: self.connect().restore_backup(
                self.good.backup_id, new='local:w'
            ),
            after=False,
        )
        path = self.files.volumes / 'w'
        path.rename(path.with_name('aside'))
        path.write_bytes(b'precious')
        with (
            self.assertLogs('backupkit', 'WARNING'),
            self.assertRaisesRegex(errors.Conflict, 'is another one now'),
        ):
            self.kit.resume_run(self.only())
        self.assertEqual(b'precious', path.read_bytes())
        self.assert_cleared()

    def test_when_the_target_stays_away_then_the_run_stays(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        away = errors.TargetUnavailable('it does not answer')
        with (
            mock.patch.object(
                doubles.FilesTarget, 'open', autospec=True, side_effect=away
            ),
            self.assertRaisesRegex(errors.Suspended, 'run resume'),
        ):
            self.kit.resume_run(self.only())
        self.assertEqual(catalog_.RunState.SUSPENDED, self.only_run().state)
        self.resume()

    def test_when_the_backend_is_not_enabled_then_the_run_stays(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        run = self.only_run()
        self.session._volume_drivers.clear()
        self.session.conf.set_override('enabled_backends', [])
        with self.assertRaisesRegex(errors.NotFound, 'is not enabled'):
            self.kit.resume_run(run.run_id)
        self.assertEqual(run, self.only_run())


class ClaimTestCase(ResumeTestCase):
    """Whose a run is."""

    def test_when_two_resume_it_then_one_is_refused(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        seen = self.only_run()
        other = catalog_.open(self.session.conf.catalog.connection)
        self.addCleanup(other.close)
        self.catalog.claim_run(seen)
        with self.assertRaisesRegex(errors.Conflict, 'resumed meanwhile'):
            other.claim_run(seen)

    def test_when_it_is_at_work_then_it_is_refused(self) -> None:
        told: list[str] = []

        def meanwhile(task: step.Step) -> None:
            if task.name == 'copy':
                with self.assertRaises(errors.Conflict) as raised:
                    self.connect().resume_run(self.only())
                told.append(str(raised.exception))

        with mock.patch.object(step.Step, 'pre_execute', meanwhile):
            self.kit.create_backup('local:v')
        self.assertIn('is at work', told[0])

    def test_when_it_is_on_another_host_then_it_is_refused(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        with (
            mock.patch.object(socket, 'gethostname', lambda: 'elsewhere'),
            self.assertRaisesRegex(errors.Conflict, 'cannot be told here'),
        ):
            self.connect().resume_run(self.only())
        self.resume()

    def test_when_it_was_suspended_then_any_host_resumes_it(self) -> None:
        with self.assertRaises(errors.Suspended):
            self.kit.create_backup(
                'local:v', control=test_stopping.stopping('copy', 'suspend')
            )
        expected = self.content()
        (attached,) = self.files.attachments.iterdir()
        with mock.patch.object(socket, 'gethostname', lambda: 'elsewhere'):
            run = self.connect().resume_run(self.only())
        self.assertEqual(catalog_.RunState.DONE, run.state)
        # What is attached on the first host is left to it.
        (entry,) = self.catalog.ledger()
        self.assertNotEqual('elsewhere', entry.host)
        self.assertEqual([attached], list(self.files.attachments.iterdir()))
        self.kit.doctor(clear=True)
        self.assert_cleared()
        self.assert_good(expected)

    def test_when_it_was_taken_over_then_it_does_nothing_more(self) -> None:
        """A process that was thought dead wakes before its commit."""
        expected = self.content()
        taken: list[catalog_.Run] = []

        def meanwhile(task: step.Step) -> None:
            if task.name == 'record' and not taken:
                taken.append(self.only_run())
                with (
                    mock.patch.object(
                        step.Step, 'pre_execute', lambda unused: None
                    ),
                    mock.patch.object(
                        liveness,
                        'hold',
                        lambda *unused: contextlib.nullcontext(),
                    ),
                    mock.patch.object(
                        liveness, 'is_dead', lambda *unused: True
                    ),
                ):
                    other = self.connect()
                    taken.append(other.resume_run(taken[0].run_id))

        with (
            mock.patch.object(step.Step, 'pre_execute', meanwhile),
            self.assertLogs('backupkit', 'WARNING'),
        ):
            # The backup is there: what the sleeper wanted is done.
            self.kit.create_backup('local:v')
        self.assertEqual(catalog_.RunState.DONE, taken[1].state)
        self.assert_good(expected)

    def test_when_taken_over_meanwhile_then_a_sleeper_spoils_nothing(
        self,
    ) -> None:
        """Its resumer is still at work when it wakes, fails and reverts."""
        claimed: list[catalog_.Run] = []
        other = catalog_.open(self.session.conf.catalog.connection)
        self.addCleanup(other.close)

        def meanwhile(task: step.Step) -> None:
            if task.name == 'detach' and not claimed:
                claimed.append(other.claim_run(self.only_run()))
                raise errors.SourceError('the sleeper wakes')

        packs = len(self.objects.packs())
        with (
            mock.patch.object(step.Step, 'pre_execute', meanwhile),
            self.assertLogs('backupkit', 'WARNING'),
            self.assertRaises(errors.SourceError),
        ):
            self.kit.create_backup('local:v')
        run = self.only_run()
        self.assertEqual(claimed, [run])
        self.assertLess(packs, len(self.objects.packs()))
        self.assertEqual(2, len(self.catalog.ledger()))
        self.assertEqual(1, len(list(self.files.taken.iterdir())))
        self.assertLess(0, self.rows_of_flows())


class AbortTestCase(ResumeTestCase):
    """An abort reverts from any state, also after a crash."""

    def assert_aborted(self) -> None:
        self.kit.abort_run(self.only())
        self.assert_cleared()
        self.assertEqual(self.good_packs, sorted(self.objects.packs()))
        self.assertEqual([], self.journals())
        self.assertEqual(model.BackupStatus.ERROR, self.last_row().status)

    def test_when_it_died_at_any_step_then_an_abort_undoes(self) -> None:
        for after in (False, True):
            for name in test_revert.WITH_SNAPSHOT[: -1 if after else None]:
                with self.subTest(step=name, after=after):
                    self.dies_at(name, self.back_up, after=after)
                    self.assert_aborted()

    def dies_reverting(self, failing: str, reverting: str) -> None:
        def prepare() -> None:
            def fail(task: step.Step) -> None:
                if task.name == failing:
                    raise errors.SourceError('it fails')

            def die(task: step.Step) -> None:
                if task.name == reverting:
                    os._exit(dying.KILLED)

            mock.patch.object(step.Step, 'pre_execute', fail).start()
            mock.patch.object(step.Step, 'pre_revert', die).start()

        self.dies(self.back_up, prepare)

    def test_when_it_died_while_reverting_then_an_abort_ends_it(self) -> None:
        for reverting in ('copy', 'attach', 'snapshot'):
            with self.subTest(step=reverting):
                self.dies_reverting('detach', reverting)
                self.assert_aborted()

    def test_when_it_died_while_reverting_then_a_resume_goes_on_so(
        self,
    ) -> None:
        self.dies_reverting('detach', 'copy')
        with self.assertRaisesRegex(errors.BackupkitError, 'it fails'):
            self.connect().resume_run(self.only())
        self.assert_cleared()
        self.assertEqual(self.good_packs, sorted(self.objects.packs()))

    def test_when_it_died_when_aborted_then_only_an_abort_helps(self) -> None:
        self.dies_reverting('detach', 'attach')
        with self.assertRaisesRegex(errors.Conflict, 'run abort'):
            self.connect().resume_run(self.only())
        self.assert_aborted()
        self.dies_reverting('detach', 'attach')
        # Whoever wants the volume does so too.
        self.kit.create_backup('local:v')
        self.assert_cleared()

    def test_when_its_resumer_died_too_then_an_abort_undoes(self) -> None:
        self.dies_at('copy', self.back_up, after=False)
        run_id = self.only()
        self.dies_at(
            'detach', lambda: self.connect().resume_run(run_id), after=False
        )
        self.assert_aborted()

    def test_when_its_resumer_died_too_then_a_third_goes_on(self) -> None:
        expected = self.content()
        self.dies_at('copy', self.back_up, after=False)
        run_id = self.only()
        for name, after in (('copy', True), ('record', False)):
            self.dies_at(
                name, lambda: self.connect().resume_run(run_id), after=after
            )
        self.resume()
        self.assert_good(expected)


class JournalTestCase(ResumeTestCase):
    """What was copied before is not copied again."""

    def setUp(self) -> None:
        super().setUp()
        self.kit.create_volume('local:big', SIZE)
        self.image = self.files.volumes / 'big'
        data = random.Random(1).randbytes(SIZE - 2 * base.MIB)
        # A hole, and a part that comes twice.
        self.image.write_bytes(data[: SIZE // 2])
        with self.image.open('r+b') as file:
            file.seek(SIZE // 2 + base.MIB)
            file.write(data[SIZE // 2 :])
            file.write(data[: base.MIB])
        self.read_bytes = self.put_bytes = 0

    def back_up(self) -> None:
        self.connect().create_backup('local:big')

    def dies_after_packs(self, call: Callable[[], Any], packs: int) -> None:
        self.dies_after(call, '/packs/', packs)

    def dies_after(
        self, call: Callable[[], Any], kind: str, count: int
    ) -> None:
        """Die when so many objects of a kind were put."""
        put = doubles.FilesStore.put
        left = [count]

        def counted(store: doubles.FilesStore, name: str, parts: Any) -> None:
            put(store, name, parts)
            if kind in name:
                left[0] -= 1
                if not left[0]:
                    os._exit(dying.KILLED)

        self.dies(call, lambda: setattr(doubles.FilesStore, 'put', counted))

    def resume_counting(self) -> None:
        """Resume the run, and count what is read and put meanwhile."""
        put = doubles.FilesStore.put
        read = raw.RawReader.read_into

        def counted(store: doubles.FilesStore, name: str, parts: Any) -> None:
            if '/packs/' in name:
                self.put_bytes += sum(len(part) for part in parts)
            put(store, name, parts)

        def reading(reader: raw.RawReader, offset: int, buffers: Any) -> None:
            self.read_bytes += sum(len(buffer) for buffer in buffers)
            read(reader, offset, buffers)

        with (
            mock.patch.object(doubles.FilesStore, 'put', counted),
            mock.patch.object(raw.RawReader, 'read_into', reading),
        ):
            self.resume()

    def test_when_it_died_while_copying_then_the_rest_is_copied(self) -> None:
        for packs in (1, 4, 12, 20):
            with self.subTest(packs=packs):
                expected = self.image.read_bytes()
                self.dies_after_packs(self.back_up, packs)
                self.read_bytes = self.put_bytes = 0
                self.resume_counting()
                self.assertEqual([], self.journals())
                row = self.last_row()
                self.assertEqual(SIZE, row.read_bytes)
                # Packs in memory: those that are filled, put, and wait.
                lost = 5 * _PACK
                todo = SIZE - packs * _PACK
                self.assertLess(self.put_bytes, todo + lost)
                self.assertLess(self.read_bytes, todo + lost)
                self.kit.restore_backup(row.backup_id, new='local:check')
                self.assertEqual(expected, self.content('check'))
                self.kit.delete_volume('local:check')
                self.assertTrue(self.kit.check_repository().good)
                # So that all of it is new again.
                self.kit.delete_backup(row.backup_id)
                self.kit.collect_garbage()

    def test_when_each_resumer_dies_too_then_all_adds_up(self) -> None:
        expected = self.image.read_bytes()
        self.dies_after(self.back_up, '/journal/', 5)
        run_id = self.only()
        for _ in range(2):
            self.dies_after(
                lambda: self.connect().resume_run(run_id), '/journal/', 5
            )
        self.resume_counting()
        self.assertLess(self.read_bytes, SIZE - 9 * _PACK)
        self.assert_same(expected)

    def assert_same(self, expected: bytes) -> None:
        row = self.last_row()
        self.kit.restore_backup(row.backup_id, new='local:check')
        self.assertEqual(expected, self.content('check'))
        self.assertTrue(self.kit.check_repository(read_data=True).good)

    def test_when_there_was_no_snapshot_then_it_is_read_again(self) -> None:
        self.without('snapshots')
        self.dies_after_packs(self.back_up, 12)
        with self.image.open('r+b') as file:
            file.write(b'changed since')
        expected = self.image.read_bytes()
        self.resume_counting()
        self.assertEqual(SIZE, self.read_bytes)
        # Storing is what the packs of the first attempt save.
        self.assertLess(self.put_bytes, SIZE - 8 * _PACK)
        self.assert_same(expected)

    def test_when_the_journal_is_damaged_then_it_is_read_again(self) -> None:
        expected = self.image.read_bytes()
        self.dies_after_packs(self.back_up, 12)
        names = self.journals()
        self.assertLess(0, len(names))
        for number, name in enumerate(names):
            path = pathlib.Path(self.objects.root, name)
            data = bytearray(path.read_bytes())
            if number % 2 == 0:
                data[len(data) // 2] ^= 1
                path.write_bytes(data)
            else:
                path.write_bytes(data[:-50])
        with self.assertLogs('backupkit.repository', 'WARNING'):
            self.resume_counting()
        self.assertEqual(SIZE, self.read_bytes)
        self.assert_same(expected)

    def test_when_packs_are_gone_then_they_are_copied_again(self) -> None:
        """A journal never stands for what is not there."""
        expected = self.image.read_bytes()
        before = set(self.objects.packs())
        self.dies_after_packs(self.back_up, 12)
        own = sorted(set(self.objects.packs()) - before)
        for name in own[::2]:
            pathlib.Path(self.objects.root, name).unlink()
        path = pathlib.Path(self.objects.root, own[1])
        path.write_bytes(path.read_bytes()[:-9])
        self.resume_counting()
        self.assertLess(4 * _PACK, self.read_bytes)
        self.assertLess(self.read_bytes, SIZE - 2 * _PACK)
        # The pack that was cut short is nobody's.
        self.kit.collect_garbage()
        self.assert_same(expected)

    def test_when_a_run_is_aborted_then_its_journal_goes(self) -> None:
        self.dies_after_packs(self.back_up, 12)
        self.assertLess(0, len(self.journals()))
        self.kit.abort_run(self.only())
        self.assertEqual([], self.journals())

    def test_when_a_journal_stays_behind_then_gc_removes_it(self) -> None:
        with mock.patch.object(
            doubles.FilesStore, 'delete_many', lambda *unused: None
        ):
            self.back_up()
        self.assertLess(0, len(self.journals()))
        self.assertTrue(self.kit.check_repository().good)
        self.kit.collect_garbage()
        self.assertEqual([], self.journals())

    def test_when_a_journal_is_of_a_live_run_then_gc_keeps_it(self) -> None:
        self.dies_after_packs(self.back_up, 12)
        names = self.journals()
        self.kit.collect_garbage()
        self.assertEqual(names, self.journals())
        self.resume()

    def test_when_a_restore_died_then_the_rest_is_written(self) -> None:
        self.back_up()
        row = self.last_row()
        expected = self.image.read_bytes()
        self.patch(progress, 'STEP_BYTES', base.MIB)
        for over in (False, True):
            with self.subTest(over=over):
                self.restore_dying(row.backup_id, over=over)
                written = self.write_counting()
                self.assertLess(written, SIZE - 8 * base.MIB)
                self.assertEqual(expected, self.content('w'))
                self.assertEqual([], self.catalog.destinations())

    def restore_dying(self, backup_id: str, *, over: bool) -> None:
        """Restore, and die when half is written."""
        kept: list[str] = []
        keep = catalog_.Catalog.keep_journal

        def counted(own: catalog_.Catalog, run_id: str, body: str) -> None:
            keep(own, run_id, body)
            kept.append(body)
            if len(kept) == 3:
                os._exit(dying.KILLED)

        def prepare() -> None:
            mock.patch.object(
                catalog_.Catalog, 'keep_journal', counted
            ).start()

        where = {'to': 'local:w', 'overwrite': True}
        if not over:
            where = {'new': 'local:w'}

        def call() -> None:
            kit: api.Backupkit = self.connect()
            kit.restore_backup(backup_id, **where)  # type: ignore[arg-type]  # as above

        self.dies(call, prepare)

    def write_counting(self) -> int:
        write = raw.RawWriter.write
        written: list[int] = []

        def counted(writer: raw.RawWriter, offset: int, buffers: Any) -> None:
            written.extend(len(buffer) for buffer in buffers)
            write(writer, offset, buffers)

        with mock.patch.object(raw.RawWriter, 'write', counted):
            self.resume()
        return sum(written)
