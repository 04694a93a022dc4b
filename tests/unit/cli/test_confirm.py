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

"""Asking before what cannot be taken back."""

import argparse
import io
import unittest
from unittest import mock

from backupkit.cli import confirm
from backupkit import errors


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ConfirmTest(unittest.TestCase):
    def ask(self, answer: str) -> str:
        stderr = _Terminal()
        with (
            mock.patch('sys.stdin', _Terminal(answer)),
            mock.patch('sys.stderr', stderr),
        ):
            confirm.confirm('it will be gone', yes=False)
        return stderr.getvalue()

    def test_when_the_operator_agrees_then_it_goes_on(self) -> None:
        for answer in ('y\n', 'Y\n', 'yes\n', ' YES \n'):
            self.assertEqual(
                'it will be gone. Go on? [y/N] ', self.ask(answer)
            )

    def test_when_the_operator_does_not_agree_then_it_stops(self) -> None:
        for answer in ('\n', 'n\n', 'no\n', 'ye\n', 'x\n', ''):
            with self.assertRaises(errors.Cancelled, msg=answer):
                self.ask(answer)

    def test_when_yes_was_given_then_nobody_is_asked(self) -> None:
        with mock.patch('sys.stdin', None):
            confirm.confirm('it will be gone', yes=True)

    def test_when_there_is_no_terminal_then_yes_is_needed(self) -> None:
        for stdin, stderr in (
            (io.StringIO('y\n'), _Terminal()),
            (_Terminal('y\n'), io.StringIO()),
        ):
            with (
                mock.patch('sys.stdin', stdin),
                mock.patch('sys.stderr', stderr),
                self.assertRaisesRegex(errors.UsageError, '--yes'),
            ):
                confirm.confirm('it will be gone', yes=False)
            self.assertEqual(0, stdin.tell())

    def test_when_added_then_both_forms_are_taken(self) -> None:
        parser = argparse.ArgumentParser()
        confirm.add_argument(parser)
        self.assertTrue(parser.parse_args(['--yes']).yes)
        self.assertTrue(parser.parse_args(['-y']).yes)
        self.assertFalse(parser.parse_args([]).yes)
