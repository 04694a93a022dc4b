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

from collections.abc import Iterator
import ctypes
import errno
import io
import json
import os
import runpy
import socket
import subprocess
import sys
from unittest import mock

from backupkit.privileged import login
from backupkit.privileged import programs
from tests.unit.privileged import stage

SECRET = 'pa,ss\udcff"'
WISH = {
    'source': '//server/share',
    'path': '/mnt',
    'options': 'vers=3,hard,nosuid,nodev,noexec',
    'username': 'backup',
    'password': SECRET,
    'unknown': 'x',
}
FD, TREE = 7, 8


class FakeLibrary:
    """Stands for the C library; notes what the kernel is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        #: By number of the call, what it fails with, one after the other.
        self.failures: dict[int, list[int]] = {}
        self.syscall = mock.Mock(side_effect=self._syscall)

    def _syscall(self, *words: object) -> int:
        plain = tuple(
            word.value if isinstance(word, ctypes.c_long) else word
            for word in words
        )
        self.asked.append(plain)
        number = plain[0]
        assert isinstance(number, int)
        if self.failures.get(number):
            ctypes.set_errno(self.failures[number].pop(0))
            return -1
        return {430: FD, 432: TREE}.get(number, 0)


class LoginTest(stage.StageTest):
    def setUp(self) -> None:
        super().setUp()
        self.library = FakeLibrary()
        self.replace(ctypes, 'CDLL', mock.Mock(return_value=self.library))
        self.addresses = ['192.0.2.1']
        self.replace(socket, 'getaddrinfo', self.resolve)
        self.words = io.StringIO()
        self.replace(sys, 'stderr', self.words)

    def resolve(self, host: str, port: int, **_more: object) -> list[object]:
        self.assertEqual(('server', 445), (host, port))
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, 'Name unknown')
        return [(2, 1, 6, '', (each, 445)) for each in self.addresses]

    def main(self) -> int:
        self.replace(sys, 'stdin', io.StringIO(json.dumps(WISH)))
        return login.main()

    def test_when_all_is_well_then_each_option_goes_by_itself(self) -> None:
        self.assertEqual(0, self.main())
        settings = [
            (b'vers', b'3'),
            (b'username', b'backup'),
            (b'password', b'pa,ss\xff"'),
            (b'source', b'//server/share'),
            (b'ip', b'192.0.2.1'),
        ]
        self.assertEqual(
            [
                (430, b'cifs', 1),
                *((431, FD, 1, *pair, 0) for pair in settings),
                (431, FD, 0, b'hard', None, 0),
                (431, FD, 6, None, None, 0),
                (432, FD, 1, 2 | 4 | 8),
                (429, TREE, b'', -100, b'/mnt', 4),
            ],
            self.library.asked,
        )
        self.assertEqual('', self.words.getvalue())

    def test_when_a_call_fails_then_it_is_told_without_the_secret(
        self,
    ) -> None:
        for number, told in (
            (430, 'no cifs: No such device'),
            (431, 'bad option vers: No such device'),
            (432, '//server/share: No such device'),
            (429, '/mnt: No such device'),
        ):
            self.words.truncate(0)
            self.library.failures = {number: [errno.ENODEV]}
            self.assertEqual(32, self.main())
            self.assertIn(told, self.words.getvalue())
            self.assertNotIn('pa,ss', self.words.getvalue())

    def test_when_an_address_is_away_then_the_next_is_tried(self) -> None:
        self.addresses = ['192.0.2.1', '192.0.2.2']
        # Five settings and a flag before it connects.
        for code, asked in ((errno.EHOSTDOWN, 2), (errno.EACCES, 1)):
            self.library.asked.clear()
            calls = iter([0] * 6 + [code])

            def fail(*words: object, calls: Iterator[int] = calls) -> int:
                done = self.library._syscall(*words)
                number = self.library.asked[-1][0]
                failed = next(calls, 0) if number == 431 else 0
                ctypes.set_errno(failed)
                return -1 if failed else done

            self.library.syscall = mock.Mock(side_effect=fail)
            self.assertEqual(0 if asked == 2 else 32, self.main())
            tried = [w for w in self.library.asked if w[:1] == (430,)]
            self.assertEqual(asked, len(tried))

    def test_when_all_are_away_then_the_first_error_is_told(self) -> None:
        self.addresses = ['192.0.2.1', '192.0.2.2']
        self.library.failures = {430: [errno.ECONNREFUSED, errno.EHOSTUNREACH]}
        self.assertEqual(32, self.main())
        self.assertIn('Connection refused', self.words.getvalue())

    def test_when_the_name_is_unknown_then_that_is_told(self) -> None:
        self.addresses = []
        self.assertEqual(32, self.main())
        self.assertIn('failed to resolve server', self.words.getvalue())

    def test_when_it_is_run_as_a_program_then_it_reads_its_wish(self) -> None:
        self.addresses = []
        self.replace(sys, 'stdin', io.StringIO(json.dumps(WISH)))
        with self.assertRaises(SystemExit) as caught:
            runpy.run_path(login.__file__, run_name='__main__')
        self.assertEqual(32, caught.exception.code)


class ProgramTest(stage.StageTest):
    def test_when_the_line_runs_then_it_needs_nothing_of_ours(self) -> None:
        # No name at all is no server, and no other machine is asked for it.
        wish = {**WISH, 'source': '///share', 'options': 'x=1'}
        done = subprocess.run(
            programs.LOG_IN,
            input=json.dumps(wish),
            env={},
            cwd='/',
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(32, done.returncode, done.stderr)
        self.assertNotIn('Traceback', done.stderr)
        self.assertNotIn('pa,ss', done.stderr)

    def test_when_the_line_is_read_then_only_its_file_is_named(self) -> None:
        program, *options, file = programs.LOG_IN
        self.assertEqual(os.readlink('/proc/self/exe'), program)
        self.assertEqual((['-I', '-S'], login.__file__), (options, file))
