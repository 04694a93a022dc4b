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

"""Registering, committing, aborting and finishing runs."""

from __future__ import annotations

import os
import socket

from backupkit import catalog
from backupkit import errors
from backupkit import model
from tests.unit.catalog import base


class RegisterTest(base.CatalogTestCase):
    def test_when_registered_then_the_run_tells_who_and_where(self) -> None:
        run = self.catalog.register_run(
            'restore',
            backup_id='b1',
            backend='local',
            volume_id='disk.img',
            target='repo',
            repository_id=base.REPOSITORY,
            params={'overwrite': True, 'to': 'local:disk.img'},
        )

        self.assertEqual(run, self.catalog.run(run.run_id))
        self.assertEqual(catalog.RunKind.RESTORE, run.kind)
        self.assertEqual(catalog.RunState.RUNNING, run.state)
        self.assertEqual(
            (socket.gethostname(), os.getpid()), (run.host, run.pid)
        )
        self.assertEqual(
            {'overwrite': True, 'to': 'local:disk.img'}, run.params
        )
        self.assertTrue(run.live)

    def test_when_registered_then_numbers_grow(self) -> None:
        numbers = [self.register().number for _ in range(3)]

        self.assertEqual(sorted(set(numbers)), numbers)
        self.assertEqual(numbers[-1], self.catalog.last_run())

    def test_when_registered_twice_then_it_is_one_run(self) -> None:
        first = self.register(run_id='r-1', volume_id='v')

        second = self.register(run_id='r-1', volume_id='v')

        self.assertEqual(first, second)
        self.assertEqual([first], self.catalog.runs())

    def test_when_the_volume_is_held_then_the_holder_is_named(self) -> None:
        for held, wanted in (
            ('backup', 'backup'),
            ('backup', 'restore'),
            ('restore', 'backup'),
            ('restore', 'restore'),
        ):
            with self.subTest(held=held, wanted=wanted):
                holder = self.register(held, volume_id=f'{held}-{wanted}')

                with self.assertRaises(errors.Conflict) as caught:
                    self.register(wanted, volume_id=f'{held}-{wanted}')

                text = str(caught.exception)
                for part in (
                    f'local:{held}-{wanted}',
                    holder.run_id,
                    f'({held}, running, ',
                    f'host {socket.gethostname()}',
                    f'pid {os.getpid()}',
                    f'`backupkit run abort {holder.run_id}`',
                ):
                    self.assertIn(part, text)

    def test_when_states_are_live_then_they_hold_the_volume(self) -> None:
        for state, held in (
            ('running', True),
            ('committing', True),
            ('suspended', True),
            ('aborted', True),
            ('done', False),
            ('failed', False),
        ):
            with self.subTest(state=state):
                holder = self.register(volume_id=state)
                self.put_state(holder, state)
                if held:
                    with self.assertRaises(errors.Conflict):
                        self.register(volume_id=state)
                else:
                    self.register(volume_id=state)

    def test_when_an_aborted_run_is_finished_then_it_holds_no_more(
        self,
    ) -> None:
        holder = self.register(volume_id='v')
        self.catalog.abort_run(holder.run_id)
        with self.assertRaises(errors.Conflict):
            self.register(volume_id='v')

        self.catalog.finish_run(holder.run_id, 'aborted')

        self.assertNotEqual(holder, self.register(volume_id='v'))

    def test_when_volumes_differ_then_nobody_is_kept_off(self) -> None:
        self.register(backend='local', volume_id='v')

        self.register(backend='local', volume_id='V')
        self.register(backend='other', volume_id='v')

        self.assertEqual(3, len(self.catalog.runs(live_only=True)))

    def test_when_kinds_do_not_hold_volumes_then_nobody_is_kept_off(
        self,
    ) -> None:
        for kind in ('verify', 'delete', 'gc', 'check'):
            self.register(kind, volume_id='v')

        self.register('backup', volume_id='v')

        self.assertEqual(5, len(self.catalog.runs(live_only=True)))

    def test_when_a_backup_is_deleted_then_nobody_else_uses_it(self) -> None:
        clashing = {
            frozenset(pair)
            for pair in (
                ('delete', 'restore'),
                ('delete', 'verify'),
                ('delete',),
                ('delete', 'backup'),
            )
        }
        kinds = ('restore', 'verify', 'delete')
        for held in (*kinds, 'backup'):
            for wanted in kinds:
                with self.subTest(held=held, wanted=wanted):
                    same = {'backup_id': f'{held}-{wanted}'}
                    self.register(held, volume_id=f'1-{held}-{wanted}', **same)
                    if {held, wanted} in clashing:
                        with self.assertRaisesRegex(
                            errors.Conflict, f'backup {held}-{wanted} is held'
                        ):
                            self.register(
                                wanted, volume_id=f'2{held}{wanted}', **same
                            )
                    else:
                        self.register(
                            wanted, volume_id=f'2{held}{wanted}', **same
                        )

    def test_when_a_kind_is_unknown_then_it_is_refused(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, "'prune' is none of"):
            self.register('prune')

    def test_when_params_are_not_plain_then_they_are_refused(self) -> None:
        for params in ({'a': object()}, {'a': float('nan')}):
            with (
                self.subTest(params=params),
                self.assertRaisesRegex(errors.UsageError, 'plain data'),
            ):
                self.register(params=params)


class FindTest(base.CatalogTestCase):
    def test_when_no_run_has_the_id_then_it_is_not_found(self) -> None:
        self.register(run_id='11111111-aaaa')

        for run_id in ('', '1111', '11111111-b', '%', '11111111%', '________'):
            with (
                self.subTest(run_id=run_id),
                self.assertRaises(errors.NotFound),
            ):
                self.catalog.run(run_id)

    def test_when_a_beginning_is_unique_then_it_is_enough(self) -> None:
        run = self.register(run_id='11111111-aaaa')

        self.assertEqual(run, self.catalog.run('11111111'))
        self.assertEqual(run, self.catalog.run('11111111-AAAA'))

    def test_when_a_beginning_is_not_unique_then_it_is_refused(self) -> None:
        self.register(run_id='11111111-aaaa')
        self.register(run_id='11111111-aaab')

        with self.assertRaisesRegex(errors.UsageError, 'give more of the id'):
            self.catalog.run('11111111')

    def test_when_only_live_ones_are_asked_for_then_no_others(self) -> None:
        runs = [self.register() for _ in range(4)]
        self.catalog.finish_run(runs[0].run_id, 'done')
        self.catalog.finish_run(runs[1].run_id, 'failed')
        self.catalog.abort_run(runs[2].run_id)

        self.assertEqual(4, len(self.catalog.runs()))
        self.assertEqual(
            [runs[2].number, runs[3].number],
            [run.number for run in self.catalog.runs(live_only=True)],
        )


class EndTest(base.CatalogTestCase):
    def test_when_a_run_is_gone_then_no_method_makes_one(self) -> None:
        for call in (
            lambda: self.catalog.begin_commit('none'),
            lambda: self.catalog.abort_run('none'),
            lambda: self.catalog.suspend_run('none'),
            lambda: self.catalog.finish_run('none', 'done'),
        ):
            with self.assertRaises(errors.NotFound):
                call()
        self.assertEqual([], self.catalog.runs())

    def test_when_a_run_fails_then_its_backup_says_why(self) -> None:
        run = self.begin()

        self.catalog.finish_run(run.run_id, 'failed', 'no \udc80 space\0')

        ended = self.catalog.run(run.run_id)
        self.assertEqual('no \\udc80 space\\0', ended.reason)
        self.assertFalse(ended.live)
        backup = self.catalog.backup(str(run.backup_id))
        self.assertEqual(model.BackupStatus.ERROR, backup.status)
        self.assertEqual(ended.reason, backup.fail_reason)

    def test_when_a_reason_is_endless_then_its_beginning_is_kept(
        self,
    ) -> None:
        run = self.register()

        self.catalog.finish_run(run.run_id, 'failed', 'ä' * 100_000)

        self.assertEqual('ä' * 2000, self.catalog.run(run.run_id).reason)

    def test_when_other_kinds_fail_then_the_backup_stays_as_it_is(
        self,
    ) -> None:
        run = self.begin()
        self.commit(run)
        verify = self.register('verify', backup_id=run.backup_id)

        self.catalog.finish_run(verify.run_id, 'failed', 'target away')

        backup = self.catalog.backup(str(run.backup_id))
        self.assertEqual(model.BackupStatus.AVAILABLE, backup.status)

    def test_when_finished_again_then_the_first_end_stays(self) -> None:
        run = self.begin()
        self.catalog.finish_run(run.run_id, 'failed', 'first')
        first = self.catalog.run(run.run_id)

        self.catalog.finish_run(run.run_id, 'done', 'second')

        self.assertEqual(first, self.catalog.run(run.run_id))

    def test_when_an_aborted_run_is_finished_then_its_reason_comes(
        self,
    ) -> None:
        run = self.begin()
        aborted = self.catalog.abort_run(run.run_id)
        self.assertTrue(aborted.live)

        self.catalog.finish_run(run.run_id, 'failed', 'undone')

        ended = self.catalog.run(run.run_id)
        self.assertEqual(catalog.RunState.ABORTED, ended.state)
        self.assertEqual('undone', ended.reason)
        self.assertFalse(ended.live)
        self.assertEqual(
            model.BackupStatus.ERROR,
            self.catalog.backup(str(run.backup_id)).status,
        )

    def test_when_it_would_end_as_live_then_it_is_refused(self) -> None:
        run = self.register()

        for state in ('running', 'suspended', 'committing', 'over'):
            with (
                self.subTest(state=state),
                self.assertRaises(errors.UsageError),
            ):
                self.catalog.finish_run(run.run_id, state)

    def test_when_commit_begins_then_the_backup_is_committing(self) -> None:
        run = self.begin()

        self.catalog.begin_commit(run.run_id)
        self.catalog.begin_commit(run.run_id)

        self.assertEqual(
            model.BackupStatus.COMMITTING,
            self.catalog.backup(str(run.backup_id)).status,
        )

    def test_when_suspended_then_it_says_why_and_is_live(self) -> None:
        run = self.begin()

        self.catalog.suspend_run(run.run_id, 'target is away')

        suspended = self.catalog.run(run.run_id)
        self.assertEqual('target is away', suspended.reason)
        self.assertTrue(suspended.live)
