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


"""Whether somebody has a volume open, and what that forbids."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import struct
from unittest import mock

from backupkit import errors
from tests.unit.plugins.volumes.file import base

_FORK = multiprocessing.get_context('fork')
_FLOCK = struct.Struct('hhqqi4x')


class InUseTest(base.DriverTestCase):
    def _open(self, volume_id: str, flags: int) -> int:
        fd = os.open(self.path(volume_id), flags)
        self.addCleanup(os.close, fd)
        return fd

    def test_when_nobody_has_it_open_then_it_is_not_in_use(self) -> None:
        self.write('x')
        self.assertIs(False, self.driver.show('x').in_use)

    def test_when_open_for_reading_then_it_is_not_in_use(self) -> None:
        self.write('x')
        self._open('x', os.O_RDONLY)
        self.assertIs(False, self.driver.show('x').in_use)

    def test_when_open_for_writing_then_it_is_in_use(self) -> None:
        self.write('x')
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
            fd = os.open(self.path('x'), flags)
            self.assertIs(True, self.driver.show('x').in_use)
            os.close(fd)
            self.assertIs(False, self.driver.show('x').in_use)

    def test_when_open_under_another_name_then_it_is_in_use(self) -> None:
        os.link(self.write('x'), self.path('y'))
        self._open('y', os.O_RDWR)
        self.assertIs(True, self.driver.show('x').in_use)

    def test_when_in_use_then_it_can_be_read(self) -> None:
        self.write('x')
        self._open('x', os.O_RDWR)
        self.assertEqual(4, self.driver.attach('x', None).size_bytes)

    def test_when_open_for_writing_then_it_is_not_overwritten(self) -> None:
        self.write('x')
        self._open('x', os.O_WRONLY)
        with self.assertRaises(errors.InUse):
            self.driver.attach_volume('x')
        with self.assertRaises(errors.InUse):
            self.driver.delete('x')
        self.assertTrue(os.path.exists(self.path('x')))

    def test_when_open_for_reading_then_it_is_not_overwritten(self) -> None:
        self.write('x')
        self._open('x', os.O_RDONLY)
        with self.assertRaises(errors.InUse):
            self.driver.attach_volume('x')
        with self.assertRaises(errors.InUse):
            self.driver.delete('x')

    def test_when_attached_then_no_lease_is_left(self) -> None:
        self.write('x')
        self.driver.show('x')
        self.driver.attach_volume('x')
        # With a lease left this would have to wait for it.
        self._open('x', os.O_RDWR | os.O_NONBLOCK)

    def test_when_opened_during_the_test_then_nobody_is_killed(self) -> None:
        # The kernel tells the holder of a lease by a signal, which by
        # default ends the process.
        path = self.write('x')

        def open_and_close() -> None:
            for _ in range(20_000):
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                except BlockingIOError:
                    continue

        def ask() -> None:
            for _ in range(20_000):
                self.driver.show('x')

        processes = [_FORK.Process(target=w) for w in (open_and_close, ask)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        self.assertEqual([0, 0], [p.exitcode for p in processes])


class NoLeaseTest(base.DriverTestCase):
    """The file belongs to another user, so that no lease is granted."""

    def setUp(self) -> None:
        super().setUp()
        real = fcntl.fcntl

        def refuse(fd: int, command: int, argument: int | bytes = 0) -> object:
            if command == fcntl.F_SETLEASE:
                raise PermissionError(13, 'Permission denied')
            return real(fd, command, argument)

        patch = mock.patch('fcntl.fcntl', refuse)
        patch.start()
        self.addCleanup(patch.stop)

    def _lock(self, volume_id: str, start: int) -> None:
        """Lock a byte as QEMU does, whose locks are shared ones."""
        fd = os.open(self.path(volume_id), os.O_RDWR)
        self.addCleanup(os.close, fd)
        lock = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, start, 1, 0)
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)

    def test_when_nothing_tells_then_it_is_not_known(self) -> None:
        self.write('x')
        self.assertIsNone(self.driver.show('x').in_use)

    def test_when_qemu_may_write_then_it_is_in_use(self) -> None:
        self.write('x')
        self._lock('x', 101)
        self.assertIs(True, self.driver.show('x').in_use)
        with self.assertRaises(errors.InUse):
            self.driver.attach_volume('x')

    def test_when_qemu_only_reads_then_it_is_not_known(self) -> None:
        self.write('x')
        self._lock('x', 100)
        self.assertIsNone(self.driver.show('x').in_use)
