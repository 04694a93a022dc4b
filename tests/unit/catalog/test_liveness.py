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

"""Proving that the process of a run has ended."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import stat
import unittest
from unittest import mock

from backupkit import catalog
from backupkit.catalog import liveness
from backupkit import errors
from tests.unit.catalog import base
from tests.unit.catalog import processes


class LivenessTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.state_path = os.path.join(base.scratch(self), 'state')
        here = liveness.this_process()
        self.run_here = catalog.Run(
            'run-1',
            1,
            catalog.RunKind.BACKUP,
            catalog.RunState.RUNNING,
            host=here.host,
            boot_id=here.boot_id,
            pid=here.pid,
        )
        self.lock = os.path.join(self.state_path, 'runs', 'run-1.lock')

    def _is_dead(self, **fields: object) -> bool:
        return liveness.is_dead(
            self.state_path,
            dataclasses.replace(self.run_here, **fields),  # type: ignore[arg-type] # a table of fields
        )

    def _is_alive(self, **fields: object) -> bool:
        return liveness.is_alive(
            self.state_path,
            dataclasses.replace(self.run_here, **fields),  # type: ignore[arg-type] # a table of fields
        )

    def test_when_held_then_it_is_alive(self) -> None:
        with liveness.hold(self.state_path, 'run-1'):
            self.assertFalse(self._is_dead())
            self.assertFalse(processes.apart(self._is_dead))
            self.assertTrue(self._is_alive())
            self.assertTrue(processes.apart(self._is_alive))

    def test_when_held_under_another_name_then_nothing_is_proved(
        self,
    ) -> None:
        with liveness.hold(self.state_path, 'run-1'):
            self.assertFalse(self._is_alive(host='other'))
            self.assertFalse(self._is_alive(boot_id='another boot'))

    def test_when_the_holder_was_killed_then_it_is_dead(self) -> None:
        def work(acknowledge: object) -> None:
            with liveness.hold(self.state_path, 'run-1'):
                assert callable(acknowledge)
                acknowledge(self._is_dead())
                # Waits to be killed.
                os.read(os.pipe()[0], 1)

        seen = processes.killed_after(1, work)

        self.assertEqual([False], seen)
        self.assertTrue(self._is_dead())
        self.assertFalse(self._is_alive())

    def test_when_let_go_then_it_is_dead(self) -> None:
        with liveness.hold(self.state_path, 'run-1'):
            pass

        self.assertTrue(self._is_dead())

    def test_when_no_file_was_ever_held_then_nothing_is_proved(self) -> None:
        self.assertFalse(self._is_dead())
        self.assertFalse(self._is_alive())
        self.assertFalse(os.path.exists(self.state_path))

    def test_when_the_host_has_booted_since_then_it_is_dead(self) -> None:
        self.assertTrue(self._is_dead(boot_id='another boot'))

    def test_when_it_is_another_host_then_nothing_is_proved(self) -> None:
        with liveness.hold(self.state_path, 'run-1'):
            pass

        self.assertFalse(self._is_dead(host='other', boot_id='another boot'))
        self.assertFalse(self._is_dead(host='other'))

    def test_when_hosts_have_no_names_then_a_boot_proves_nothing(
        self,
    ) -> None:
        with mock.patch(
            'socket.gethostname', autospec=True, return_value='localhost'
        ):
            other = {'host': 'localhost', 'boot_id': 'another boot'}
            self.assertFalse(self._is_dead(**other))
            with liveness.hold(self.state_path, 'run-1'):
                self.assertFalse(self._is_dead(**other))
            self.assertTrue(self._is_dead(**other))

    def test_when_held_twice_then_the_second_is_refused(self) -> None:
        with liveness.hold(self.state_path, 'run-1'):
            second = liveness.hold(self.state_path, 'run-1')
            with self.assertRaisesRegex(errors.Conflict, 'run-1'), second:
                self.fail('held twice')

        with liveness.hold(self.state_path, 'run-1'):
            self.assertFalse(self._is_dead())

    def test_when_two_look_at_once_then_neither_is_taken_for_it(
        self,
    ) -> None:
        with liveness.hold(self.state_path, 'run-1'):
            pass
        descriptor = os.open(self.lock, os.O_RDWR)
        self.addCleanup(os.close, descriptor)
        # As another process does that looks at this moment.
        fcntl.flock(descriptor, fcntl.LOCK_SH)

        self.assertTrue(self._is_dead())
        self.assertFalse(self._is_alive())

    def test_when_the_file_is_swept_while_taken_then_it_is_taken_anew(
        self,
    ) -> None:
        lock = fcntl.flock
        swept: list[int] = []

        def sweep_first(descriptor: int, operation: int) -> None:
            if not swept:
                swept.append(descriptor)
                liveness.sweep(self.state_path, [])
            lock(descriptor, operation)

        with mock.patch('fcntl.flock', autospec=True) as flock:
            flock.side_effect = sweep_first
            with liveness.hold(self.state_path, 'run-1'):
                self.assertTrue(os.path.exists(self.lock))
                self.assertTrue(self._is_alive())

    def test_when_discarded_then_only_a_free_file_goes(self) -> None:
        liveness.discard(self.state_path, 'run-1')
        with liveness.hold(self.state_path, 'run-1'):
            liveness.discard(self.state_path, 'run-1')
            self.assertTrue(os.path.exists(self.lock))

        liveness.discard(self.state_path, 'run-1')

        self.assertFalse(os.path.exists(self.lock))

    def test_when_swept_then_live_and_held_and_other_files_stay(
        self,
    ) -> None:
        liveness.sweep(self.state_path, [])
        for run_id in ('run-1', 'run-2'):
            with liveness.hold(self.state_path, run_id):
                pass
        other = os.path.join(self.state_path, 'runs', 'notes')
        os.close(os.open(other, os.O_CREAT | os.O_WRONLY))

        with liveness.hold(self.state_path, 'run-3'):
            liveness.sweep(self.state_path, {'run-1'})

        self.assertEqual(
            ['notes', 'run-1.lock', 'run-3.lock'],
            sorted(os.listdir(os.path.dirname(self.lock))),
        )

    def test_when_an_id_has_slashes_then_it_stays_in_its_directory(
        self,
    ) -> None:
        with liveness.hold(self.state_path, '../../escaped'):
            self.assertEqual(
                ['escaped.lock'], os.listdir(os.path.dirname(self.lock))
            )

    def test_when_files_are_made_then_no_umask_changes_their_modes(
        self,
    ) -> None:
        for umask in (0o000, 0o022, 0o077):
            with self.subTest(umask=oct(umask)):
                state_path = f'{self.state_path}{umask}'
                before = os.umask(umask)
                try:
                    with liveness.hold(state_path, 'run-1'):
                        pass
                finally:
                    os.umask(before)
                modes = [
                    stat.S_IMODE(os.stat(os.path.join(state_path, *p)).st_mode)
                    for p in ((), ('runs',), ('runs', 'run-1.lock'))
                ]
                self.assertEqual([0o770, 0o770, 0o660], modes)

    def test_when_the_directory_cannot_be_made_then_the_error_says_so(
        self,
    ) -> None:
        with open(self.state_path, 'wb'):
            pass

        with (
            self.assertRaisesRegex(errors.CatalogError, 'state_path'),
            liveness.hold(self.state_path, 'run-1'),
        ):
            self.fail('held without a file')
