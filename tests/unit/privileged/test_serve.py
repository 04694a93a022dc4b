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

import ctypes
import os
import runpy
import sys
from unittest import mock
import warnings

from backupkit import privileged
from backupkit.privileged import serve
from tests.unit.privileged import stage

# After ours, which keeps eventlet out of it.
from oslo_privsep import daemon
from oslo_privsep import priv_context

LINE = [
    *('--config-file', '/etc/backupkit.conf'),
    *('--privsep_context', 'backupkit.privileged.context'),
    *('--privsep_sock_path', '/tmp/tmpabcdefgh/privsep.sock'),
]


class ServeTest(stage.StageTest):
    def setUp(self) -> None:
        super().setUp()
        self.replace(sys, 'argv', ['serve'])
        # clear() would take the environment of the whole test run.
        self.replace(os, 'environ', {'OS_X': 'y'})
        patch = mock.patch.object(daemon, 'helper_main', autospec=True)
        self.helper = patch.start()
        self.addCleanup(patch.stop)

    def test_when_the_line_is_right_then_the_daemon_is_started(self) -> None:
        (self.top / 'etc/two.conf').write_text('')
        (self.top / 'etc/two.conf').chmod(0o600)
        for more in ([], ['--config-file', '/etc/two.conf']):
            self.helper.reset_mock()
            serve.main([*more, *LINE])
            self.helper.assert_called_once_with()
            self.assertEqual(['serve', *more, *LINE], sys.argv)
            self.assertEqual({}, os.environ)

    def test_when_the_line_is_another_then_it_is_refused(self) -> None:
        context = ['--privsep_context', 'os.path', *LINE[4:]]
        for line in (
            [],
            LINE[2:],
            LINE[:4],
            [*LINE[:2], *context],
            [*LINE, '--config-file', '/etc/backupkit.conf'],
            [*LINE, '--user', 'x'],
            [*LINE, ''],
            ['--config-dir', '/etc', *LINE],
            ['--debug', *LINE],
            ['--config-file=/etc/backupkit.conf', *LINE[2:]],
            ['--config-file', '', *LINE[2:]],
            [*LINE[:5], 'relative'],
            [*LINE[2:], *LINE[:2]],
            [*LINE[:2], *LINE[2:4], *LINE[2:]],
            [*LINE, *LINE],
        ):
            with (
                self.subTest(line=line),
                self.assertRaisesRegex(SystemExit, 'usage'),
            ):
                serve.main(line)
        self.helper.assert_not_called()

    def test_when_the_configuration_is_not_roots_then_it_is_refused(
        self,
    ) -> None:
        (self.top / 'etc/evil.conf').write_text('[DEFAULT]\n')
        (self.top / 'etc/evil.conf').chmod(0o666)
        for path in ('/etc/evil.conf', '/etc/none.conf', 'etc/x', '/etc/../x'):
            for line in (
                ['--config-file', path, *LINE],
                [*LINE[:2], '--config-file', path, *LINE[2:]],
            ):
                with self.subTest(line=line):
                    with self.assertRaises(SystemExit) as caught:
                        serve.main(line)
                    self.assertIsInstance(caught.exception.code, str)
        self.helper.assert_not_called()

    def test_when_it_is_run_as_a_program_then_it_reads_its_line(self) -> None:
        with (
            warnings.catch_warnings(action='ignore'),
            self.assertRaisesRegex(SystemExit, 'usage'),
        ):
            runpy.run_module('backupkit.privileged.serve', run_name='__main__')


class ContextTest(stage.StageTest):
    def test_when_the_helper_is_started_then_the_line_is_pinned(self) -> None:
        context = privileged.context
        self.replace(context, 'command', ('sudo', 'helper'))
        self.assertEqual(
            ['sudo', 'helper', *LINE[2:]], context.helper_command(LINE[-1])
        )

    def test_when_the_daemon_begins_then_it_is_closed(self) -> None:
        path = [*sys.meta_path]
        with (
            mock.patch.object(sys, 'meta_path', path),
            mock.patch.object(ctypes, 'CDLL', mock.Mock()) as library,
        ):
            library().prctl.return_value = 0
            privileged.context.set_client_mode(False)
            self.addCleanup(
                priv_context.PrivContext.set_client_mode,
                privileged.context,
                True,
            )
        self.assertEqual([], path)
        library().prctl.assert_called_once_with(38, 1, 0, 0, 0)

    def test_when_it_cannot_be_closed_then_it_does_not_begin(self) -> None:
        with (
            mock.patch.object(sys, 'meta_path', []),
            mock.patch.object(ctypes, 'CDLL', mock.Mock()) as library,
        ):
            library().prctl.return_value = -1
            with self.assertRaises(OSError):
                privileged.context.set_client_mode(False)
        self.assertTrue(privileged.context.client_mode)

    def test_when_we_are_a_client_then_nothing_is_closed(self) -> None:
        before = [*sys.meta_path]
        privileged.context.set_client_mode(True)
        self.assertEqual(before, sys.meta_path)

    def test_when_the_options_are_listed_then_they_are_privseps(self) -> None:
        ((section, options),) = privileged.list_opts()
        self.assertEqual('privsep_mounts', section)
        self.assertIn('helper_command', {option.name for option in options})
