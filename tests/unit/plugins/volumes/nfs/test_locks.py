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

"""Who may work on a volume, and when somebody else may."""

from __future__ import annotations

import fcntl
import os
import threading

from backupkit import errors
from backupkit_plugins.volumes.nfs import locks
from tests.unit.plugins.volumes.nfs import case

_F_OFD_SETLK = 37


class LocksTest(case.NfsCase):
    def setUp(self) -> None:
        super().setUp()
        self.driver().create('v', case.SIZE)
        self.lock = self.directory / 'volume-v.lock'

    def hold(self) -> None:
        """Lock a volume, as another host does that is dead or alive."""
        fd = os.open(self.lock, os.O_RDWR)
        self.addCleanup(os.close, fd)
        asked = locks.FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        fcntl.fcntl(fd, _F_OFD_SETLK, asked)

    def test_when_somebody_has_it_then_told_who(self) -> None:
        self.hold()
        with self.assertRaisesRegex(errors.Conflict, f'process {os.getpid()}'):
            self.driver().snapshot('v', 'one')
        self.assertEqual([], list(self.driver().snapshots('v')))

    def test_when_it_is_let_go_then_who_waits_goes_on(self) -> None:
        fd = os.open(self.lock, os.O_RDWR)
        asked = locks.FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        fcntl.fcntl(fd, _F_OFD_SETLK, asked)
        timer = threading.Timer(0.2, os.close, [fd])
        timer.start()
        self.driver(lock_timeout_seconds=60).snapshot('v', 'one')
        timer.join()
        taken = self.driver().snapshots('v')
        self.assertEqual(['one'], [s.name for s in taken])

    def test_when_its_host_is_dead_then_file_can_be_removed(self) -> None:
        self.hold()
        self.lock.unlink()
        self.driver().snapshot('v', 'one')
        self.assertTrue(self.lock.exists())

    def test_when_volume_is_shown_then_nobody_waits(self) -> None:
        self.hold()
        self.assertEqual(case.SIZE, self.driver().show('v').size_bytes)
        self.assertEqual(1, len(list(self.driver().list())))

    def test_when_there_is_no_volume_then_no_file_is_made(self) -> None:
        with self.assertRaises(errors.VolumeNotFound):
            self.driver().snapshot('w', 'one')
        self.assertFalse((self.directory / 'volume-w.lock').exists())

    def test_when_volume_is_deleted_then_no_file_stays(self) -> None:
        self.driver().delete('v')
        names = set(os.listdir(self.directory))
        self.assertEqual({'.backupkit-storage'}, names)

    def test_when_threads_work_on_one_volume_then_in_turn(self) -> None:
        failures: list[BaseException] = []

        def work(name: str) -> None:
            try:
                self.driver(lock_timeout_seconds=60).snapshot('v', name)
            except BaseException as exc:  # noqa: BLE001 - told below
                failures.append(exc)

        threads = [
            threading.Thread(target=work, args=[f's{n}']) for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        self.assertEqual(7, len(self.driver().chain('v')))
