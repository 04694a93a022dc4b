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

"""Signals that reach a run."""

import os
import signal
import unittest
from unittest import mock

from backupkit.cli import signals
from backupkit.copy import control as control_
from backupkit import errors
from tests import signals as signals_

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalsTest(unittest.TestCase):
    def setUp(self) -> None:
        signals_.reset_here(self)
        self.control = control_.Control()
        self.before = [signal.getsignal(number) for number in _SIGNALS]
        said = mock.patch.object(os, 'write', autospec=True)
        self.said = said.start()
        self.addCleanup(said.stop)

    def test_when_interrupted_once_then_the_run_is_cancelled(self) -> None:
        with signals.reaching(self.control):
            signal.raise_signal(signal.SIGINT)
            with self.assertRaises(errors.Cancelled):
                self.control.check()
        self.assertIn(b'undoing', self.said.call_args.args[1])

    def test_when_interrupted_twice_then_the_process_ends(self) -> None:
        with (
            signals.reaching(self.control),
            mock.patch.object(
                os, '_exit', autospec=True, side_effect=SystemExit
            ) as leave,
        ):
            signal.raise_signal(signal.SIGINT)
            with self.assertRaises(SystemExit):
                signal.raise_signal(signal.SIGINT)
        leave.assert_called_once_with(130)

    def test_when_told_to_end_then_the_run_is_suspended(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            control = control_.Control()
            with signals.reaching(control):
                signal.raise_signal(number)
                with self.assertRaises(errors.Suspended):
                    control.check()

    def test_when_the_run_ends_then_signals_are_as_before(self) -> None:
        with signals.reaching(self.control):
            during = [signal.getsignal(number) for number in _SIGNALS]
        after = [signal.getsignal(number) for number in _SIGNALS]
        self.assertEqual(self.before, after)
        for one, other in zip(during, after):
            self.assertNotEqual(one, other)

    def test_when_a_signal_is_ignored_then_it_stays_so(self) -> None:
        old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, old)
        with signals.reaching(self.control):
            signal.raise_signal(signal.SIGHUP)
        self.assertFalse(self.control.stopped)
        self.assertEqual(signal.SIG_IGN, signal.getsignal(signal.SIGHUP))

    def test_when_nobody_listens_then_the_signal_counts(self) -> None:
        self.said.side_effect = BrokenPipeError
        with signals.reaching(self.control):
            signal.raise_signal(signal.SIGINT)
        self.assertTrue(self.control.stopped)
