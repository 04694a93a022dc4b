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
import pathlib
import shutil
import sys
import tempfile
import unittest
from unittest import mock

from backupkit import conf as conf_
from backupkit import errors
from backupkit import mounts
from backupkit.mounts import calls
from backupkit.mounts import command
from backupkit import privileged
from backupkit.privileged import mounts as entry_points

_ROOT = pathlib.Path(__file__).resolve().parents[3]
#: The Python of the examples for administrators.
_EXECUTABLE = '/opt/backupkit/bin/python3'

SERVE = (sys.executable, '-I', '-m', 'backupkit.privileged.serve')


class CommandTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top)
        patch = mock.patch.object(command, '_configuration', None)
        patch.start()
        self.addCleanup(patch.stop)

    def configure(self, text: str) -> str:
        path = self.top / 'backupkit.conf'
        path.write_text(text)
        mounts.configure(conf_.load([str(path)]))
        return str(path)

    def helper(self, uid: int) -> tuple[str, ...]:
        with mock.patch.object(os, 'geteuid', return_value=uid, autospec=True):
            return command.helper()

    def test_when_nothing_is_said_then_the_usual_file_is_read(self) -> None:
        file = ('--config-file', '/etc/backupkit/backupkit.conf')
        self.assertEqual((*SERVE, *file), self.helper(0))
        self.assertEqual(('sudo', '-n', *SERVE, *file), self.helper(1000))

    def test_when_a_configuration_is_named_then_its_files_are_read(
        self,
    ) -> None:
        path = self.configure('[DEFAULT]\n')
        self.assertEqual((*SERVE, '--config-file', path), self.helper(0))

    def test_when_the_command_is_configured_then_it_is_used(self) -> None:
        self.configure(
            "[privsep_mounts]\nhelper_command = doas /x/helper 'a b'\n"
        )
        self.assertEqual(('doas', '/x/helper', 'a b'), self.helper(1000))

    def test_when_an_example_names_the_command_then_it_is_that_one(
        self,
    ) -> None:
        patch = mock.patch.object(sys, 'executable', _EXECUTABLE)
        with patch:
            line = self.helper(1000)
        guide = (_ROOT / 'doc/source/admin/privileges.rst').read_text()
        self.assertIn(f'   helper_command = {" ".join(line)}\n', guide)
        context = privileged.context
        with mock.patch.object(context, 'command', line[2:]):
            pinned = context.helper_command('/tmp/tmp????????/privsep.sock')
        rules = (_ROOT / 'etc/backupkit/sudoers.example').read_text()
        self.assertTrue(
            rules.endswith(
                f'\nbackupkit ALL=(root) NOPASSWD: {" ".join(pinned)}\n'
            )
        )


class CallTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.object(command, '_configuration', None)
        patch.start()
        self.addCleanup(patch.stop)

    def test_when_a_call_is_served_then_its_result_is_returned(self) -> None:
        with (
            mock.patch.object(
                entry_points, 'mount', return_value='/x', autospec=True
            ) as one,
            mock.patch.object(
                entry_points, 'unmount', return_value=0, autospec=True
            ) as two,
        ):
            self.assertEqual('/x', calls.mount('target:a', '3'))
            self.assertIs(False, calls.unmount('target:a'))
        one.assert_called_once_with('target:a', '3')
        two.assert_called_once_with('target:a')

    def test_when_the_helper_fails_then_its_command_line_is_told(self) -> None:
        for failure in privileged.FAILURES:
            with (
                mock.patch.object(
                    entry_points,
                    'mount',
                    side_effect=failure('why'),
                    autospec=True,
                ),
                self.assertRaisesRegex(
                    errors.PrivilegeError, r'why.*privileged\.serve'
                ),
            ):
                calls.mount('target:a', '')

    def test_when_the_call_fails_then_that_is_told_as_it_is(self) -> None:
        with (
            mock.patch.object(
                entry_points,
                'mount',
                side_effect=errors.TargetMissing('gone'),
                autospec=True,
            ),
            self.assertRaisesRegex(errors.TargetMissing, '^gone$'),
        ):
            calls.mount('target:a', '')
