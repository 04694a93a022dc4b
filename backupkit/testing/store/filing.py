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


"""Tests of a store whose objects are files."""

from __future__ import annotations

import contextlib
import os

from backupkit import errors
from backupkit.testing.store import case

_MIB = 1 << 20
_NAME = 'a/b/file'


class FileTests(case.StoreCase):
    """Tests of ``make_file`` and ``open_file``; by capability ``files``."""

    def test_files_when_not_promised_then_are_not_supported(self) -> None:
        """Guards: StoreCapabilities.files."""
        if self.promised.files:
            return
        for lending in (self.store.make_file, self.store.open_file):
            with self.assertRaises(errors.NotSupported), lending(_NAME):
                self.fail('a file was lent')

    def test_make_file_when_given_back_then_is_an_object(self) -> None:
        """Guards: Store.make_file, Store.open_file."""
        if not self.promised.files:
            return
        data = self.random.randbytes(10_000)
        with self.store.make_file(_NAME) as fd:
            os.pwrite(fd, data[5000:], 5000)
            self.assert_absent(_NAME)
            os.pwrite(fd, data[:5000], 0)
        again = self.open_again()
        self.assert_bytes(data, again.get(_NAME), _NAME)
        self.assert_holds(_NAME, data)
        with again.open_file(_NAME) as fd:
            self.assert_bytes(data, os.pread(fd, 20_000, 0), _NAME)

    def test_make_file_when_it_has_holes_then_they_stay(self) -> None:
        """Guards: Store.make_file, Store.open_file."""
        if not self.promised.files:
            return
        with self.store.make_file(_NAME) as fd:
            os.ftruncate(fd, 64 * _MIB)
            os.pwrite(fd, b'end', 64 * _MIB - 3)
        self.assertEqual(64 * _MIB, self.store.stat(_NAME).size_bytes)
        with self.store.open_file(_NAME) as fd:
            self.assertLess(os.fstat(fd).st_blocks * 512, _MIB)
            self.assertEqual(b'\0end', os.pread(fd, 4, 64 * _MIB - 4))

    def test_make_file_when_broken_off_then_nothing_is_left(self) -> None:
        """Guards: Store.make_file raises TargetError."""
        if not self.promised.files:
            return
        before = self.names()
        for error in (errors.TargetError('no'), KeyboardInterrupt()):
            with (
                contextlib.suppress(errors.TargetError, KeyboardInterrupt),
                self.store.make_file(_NAME) as fd,
            ):
                os.write(fd, b'half')
                raise error
        self.assert_absent(_NAME)
        self.assertEqual(before, self.names())
        self.assertEqual(0, self.store.sweep())

    def test_make_file_when_the_name_is_taken_then_it_stays(self) -> None:
        """Guards: Store.make_file raises ObjectExists."""
        if not self.promised.files:
            return
        self.store.put(_NAME, [b'first'])
        with (
            self.assertRaises(errors.ObjectExists),
            self.store.make_file(_NAME) as fd,
        ):
            os.write(fd, b'second')
        self.assert_holds(_NAME, b'first')

    def test_open_file_when_absent_then_not_found(self) -> None:
        """Guards: Store.open_file raises ObjectNotFound."""
        if not self.promised.files:
            return
        with (
            self.assertRaises(errors.ObjectNotFound),
            self.store.open_file(_NAME),
        ):
            self.fail('a file was lent that is not there')
