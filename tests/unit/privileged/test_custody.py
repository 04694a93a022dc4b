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

from __future__ import annotations

import os
import stat
from unittest import mock

from backupkit import errors
from backupkit.privileged import custody
from tests.unit.privileged import hostile
from tests.unit.privileged import stage


class CustodyTest(stage.StageTest):
    def test_when_a_path_is_hostile_then_it_is_refused(self) -> None:
        for path in hostile.PATHS:
            with (
                self.subTest(path=path[:80]),
                self.assertRaises(errors.PrivilegeError),
                custody.directory(path, make=True),
            ):
                self.fail('it was opened')

    def test_when_a_directory_is_missing_then_it_is_refused(self) -> None:
        with (
            self.assertRaisesRegex(errors.PrivilegeError, 'No such file'),
            custody.directory('/run/none/here'),
        ):
            self.fail('it was opened')
        self.assertFalse((self.top / 'run/none').exists())

    def test_when_a_directory_is_to_be_made_then_all_of_it_is(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        for number, (group, mode) in enumerate(((0, 0o755), (7, 0o750))):
            path = f'/run/{number}/here'
            with (
                mock.patch.object(
                    os, 'getegid', return_value=group, autospec=True
                ),
                custody.directory(path, make=True) as fd,
            ):
                found = os.fstat(fd)
            above = os.stat(f'{self.top}/run/{number}')
            self.assertEqual(mode, stat.S_IMODE(found.st_mode))
            self.assertEqual(mode, stat.S_IMODE(above.st_mode))

    def test_when_others_may_write_to_a_part_then_it_is_refused(self) -> None:
        path = self.top / 'run/a/b/c'
        path.mkdir(parents=True)
        for part in (path, path.parent, path.parent.parent):
            for mode in (0o775, 0o757, 0o1777, 0o720):
                part.chmod(mode)
                with (
                    self.subTest(part=part.name, mode=mode),
                    self.assertRaisesRegex(
                        errors.PrivilegeError, f'{part.name} must belong'
                    ),
                    custody.directory('/run/a/b/c'),
                ):
                    self.fail('it was opened')
            part.chmod(0o755)
        with custody.directory('/run/a/b/c') as fd:
            self.assertTrue(os.path.samestat(os.fstat(fd), path.stat()))

    def test_when_a_part_belongs_to_another_then_it_is_refused(self) -> None:
        self.replace(custody, 'OWNER', os.geteuid() + 1)
        with (
            self.assertRaisesRegex(errors.PrivilegeError, 'must belong'),
            custody.directory('/run'),
        ):
            self.fail('it was opened')

    def test_when_a_part_is_a_link_then_it_is_not_followed(self) -> None:
        (self.top / 'run/link').symlink_to('.')
        (self.top / 'run/real').mkdir()
        for path in ('/run/link', '/run/link/real'):
            with (
                self.assertRaises(errors.PrivilegeError),
                custody.directory(path, make=True),
            ):
                self.fail('it was opened')

    def test_when_a_part_is_a_file_then_it_is_refused(self) -> None:
        (self.top / 'run/file').write_text('')
        for path in ('/run/file', '/run/file/here'):
            with (
                self.assertRaises(errors.PrivilegeError),
                custody.directory(path, make=True),
            ):
                self.fail('it was opened')

    def test_when_a_file_is_ours_alone_then_it_can_be_read(self) -> None:
        (self.top / 'etc/file').write_text('hello')
        (self.top / 'etc/file').chmod(0o640)
        with custody.file('/etc/file') as fd:
            self.assertEqual(b'hello', os.read(fd, 10))

    def test_when_others_may_write_to_a_file_then_it_is_refused(self) -> None:
        path = self.top / 'etc/file'
        path.write_text('hello')
        for mode in (0o660, 0o602, 0o666, 0o622):
            path.chmod(mode)
            with (
                self.assertRaisesRegex(errors.PrivilegeError, 'must belong'),
                custody.file('/etc/file'),
            ):
                self.fail('it was opened')

    def test_when_a_file_is_none_then_it_is_refused(self) -> None:
        etc = self.top / 'etc'
        (etc / 'file').write_text('hello')
        (etc / 'link').symlink_to('file')
        (etc / 'directory').mkdir(mode=0o755)
        os.mkfifo(etc / 'fifo', 0o600)
        names = ('link', 'directory', 'fifo', 'none', 'file/x', '')
        for path in (*(f'/etc/{name}' for name in names), 'file', '/file'):
            with (
                self.subTest(path=path),
                self.assertRaises(errors.PrivilegeError),
                custody.file(path),
            ):
                self.fail('it was opened')

    def test_when_all_is_done_then_no_descriptor_is_left(self) -> None:
        (self.top / 'etc/file').write_text('')
        before = os.listdir('/proc/self/fd')
        with custody.file('/etc/file'):
            pass
        with custody.directory('/run/new', make=True):
            pass
        with (
            self.assertRaises(errors.PrivilegeError),
            custody.directory('/etc/file/x'),
        ):
            self.fail('it was opened')
        self.assertEqual(before, os.listdir('/proc/self/fd'))
