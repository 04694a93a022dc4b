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


"""Calls that do not come back are given up, and nothing waits for them."""

from __future__ import annotations

from collections.abc import Callable
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

from backupkit.copy import control as control_
from backupkit.drivers import patience
from backupkit import errors
from backupkit.testing import suite

#: Long enough for a call that does nothing, on a busy host.
LONG = 60.0
#: Short enough to be waited for.
SHORT = 0.2


class Hanging:
    """A call that hangs until it is let go."""

    def __init__(self, case: unittest.TestCase) -> None:
        self.began = threading.Event()
        self.over = threading.Event()
        self._go = threading.Event()
        case.addCleanup(self.let_go)

    def __call__(self) -> str:
        self.began.set()
        self._go.wait(suite.PATIENCE_SECONDS)
        self.over.set()
        return 'late'

    def let_go(self) -> None:
        self._go.set()


class PatienceTest(unittest.TestCase):
    def setUp(self) -> None:
        self.short = patience.Patience('nas', SHORT)
        self.long = patience.Patience('nas', LONG)
        self.hanging = Hanging(self)

    def hang(self) -> None:
        """Give one call up."""
        with self.assertRaises(errors.TargetStalled):
            self.short.call('get b', self.hanging)

    def test_call_when_it_returns_then_result(self) -> None:
        self.assertEqual('x', self.long.call('get a', lambda: 'x'))

    def test_call_when_it_raises_then_raised(self) -> None:
        def fail() -> None:
            raise errors.ObjectNotFound('a')

        with self.assertRaises(errors.ObjectNotFound):
            self.long.call('get a', fail)

    def test_call_when_it_raises_no_exception_then_raised(self) -> None:
        def leave() -> None:
            raise SystemExit(3)

        with self.assertRaises(SystemExit):
            self.long.call('get a', leave)

    def test_call_when_without_limit_then_in_the_callers_thread(self) -> None:
        self.assertIs(
            threading.current_thread(),
            patience.ENDLESS.call('get a', threading.current_thread),
        )

    def test_call_when_within_another_then_in_its_thread(self) -> None:
        def inner() -> bool:
            ours = threading.current_thread()
            return ours is self.long.call('b', threading.current_thread)

        self.assertTrue(self.long.call('a', inner))

    def test_call_when_repeated_then_the_thread_is_the_same(self) -> None:
        found = {
            self.long.call('get a', threading.current_thread)
            for _ in range(100)
        }
        self.assertEqual(1, len(found))

    def test_call_when_it_hangs_then_named_in_time(self) -> None:
        began = time.monotonic()
        with self.assertRaisesRegex(
            errors.TargetUnavailable, 'target nas does not answer: get b '
        ):
            self.short.call('get b', self.hanging)
        self.assertLess(time.monotonic() - began, LONG)

    def test_call_when_it_hangs_long_then_a_warning_comes_before(self) -> None:
        with self.assertLogs(patience.LOG, 'WARNING') as logs:
            self.hang()
        self.assertEqual(1, len(logs.output))
        self.assertIn('get b; waiting for', logs.output[0])

    def test_call_when_another_hangs_then_has_a_short_time(self) -> None:
        self.addCleanup(setattr, patience, 'SHORT_SECONDS', 5.0)
        patience.SHORT_SECONDS = SHORT
        stop = errors.Cancelled('stop')
        with self.assertRaises(errors.Cancelled):
            self.long.call('get b', self.hanging, check=_raising(stop))
        began = time.monotonic()
        other = Hanging(self)
        with self.assertRaises(errors.TargetStalled):
            self.long.call('get c', other)
        self.assertLess(time.monotonic() - began, LONG)
        self.assertEqual('x', self.long.call('get d', lambda: 'x'))

    def test_call_when_those_given_up_are_back_then_has_its_time(self) -> None:
        back = threading.Event()
        with self.assertRaises(errors.TargetStalled):
            self.short.call(
                'get b', self.hanging, discard=lambda _: back.set()
            )
        self.assertEqual(1, self.short.given_up)
        self.hanging.let_go()
        self.assertTrue(back.wait(suite.PATIENCE_SECONDS))
        self.assertEqual(0, self.short.given_up)

    def test_call_when_the_run_stops_then_that_error_leaves(self) -> None:
        for stop in (errors.Cancelled('stop'), errors.Suspended('later')):
            self.addCleanup(setattr, patience, 'SHORT_SECONDS', 5.0)
            patience.SHORT_SECONDS = SHORT
            with self.subTest(stop), self.assertRaises(type(stop)):
                self.long.call('put', Hanging(self), check=_raising(stop))

    def test_call_when_the_heeded_run_stops_then_that_error_leaves(
        self,
    ) -> None:
        self.addCleanup(setattr, patience, 'SHORT_SECONDS', 5.0)
        patience.SHORT_SECONDS = SHORT
        control = control_.Control()

        def stop() -> None:
            self.hanging.began.wait(suite.PATIENCE_SECONDS)
            control.cancel()

        stopper = threading.Thread(target=stop)
        stopper.start()
        self.addCleanup(stopper.join)
        with control.heeded(), self.assertRaises(errors.Cancelled):
            self.long.call('commit', self.hanging)

    def test_call_when_the_heeded_run_had_stopped_then_it_undoes(
        self,
    ) -> None:
        control = control_.Control()
        control.cancel()
        with control.heeded():
            began = self.short.call('abort', lambda: 'undone')
        self.assertEqual('undone', began)
        with control.heeded(), self.assertRaises(errors.TargetStalled):
            self.short.call('abort', self.hanging)

    def test_call_when_the_run_stops_then_a_short_call_ends(self) -> None:
        check = _raising(errors.Cancelled('stop'))
        wait = threading.Event()

        def slow() -> str:
            wait.wait(2 * patience.SLICE_SECONDS)
            return 'done'

        self.assertEqual('done', self.long.call('put', slow, check=check))

    def test_call_when_the_target_lives_then_a_long_one_goes_on(self) -> None:
        signs = []

        def alive() -> None:
            signs.append(1)
            if len(signs) == 3:
                self.hanging.let_go()

        self.assertEqual(
            'late', self.short.call('sweep', self.hanging, alive=alive)
        )
        self.assertEqual(3, len(signs))

    def test_call_when_the_target_is_silent_then_given_up(self) -> None:
        with self.assertRaisesRegex(errors.TargetStalled, 'sweep'):
            self.short.call('sweep', self.hanging, alive=Hanging(self))

    def test_call_when_it_comes_late_then_the_result_is_discarded(
        self,
    ) -> None:
        discarded = threading.Event()
        found: list[str] = []

        def discard(result: str) -> None:
            found.append(result)
            discarded.set()

        with self.assertRaises(errors.TargetStalled):
            self.short.call('open', self.hanging, discard=discard)
        self.assertEqual([], found)
        self.hanging.let_go()
        self.assertTrue(discarded.wait(suite.PATIENCE_SECONDS))
        self.assertEqual(['late'], found)

    def test_call_when_threads_race_then_each_gets_its_own(self) -> None:
        def one(number: int) -> Callable[[], list[int]]:
            return lambda: [
                self.long.call('get', lambda: number) for _ in range(200)
            ]

        results = suite.together(*[one(n) for n in range(8)])
        self.assertEqual([[n] * 200 for n in range(8)], results)

    def test_call_when_in_a_forked_child_then_works(self) -> None:
        self.long.call('get a', lambda: 'a thread is there now')
        child = os.fork()
        if not child:
            os._exit(self.long.call('get b', lambda: 7))
        self.assertEqual(7, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _raising(error: BaseException) -> Callable[[], None]:
    def check() -> None:
        raise error

    return check


#: A program one of whose calls hangs in the kernel, in a read of a pipe.
PROGRAM = """
import os, signal, sys
from backupkit.drivers import patience
from backupkit import errors
signal.signal(signal.SIGINT, signal.default_int_handler)
limit = patience.Patience('nas', float(sys.argv[1]))
reader, writer = os.pipe()
try:
    print('begins', flush=True)
    limit.call('get a', lambda: os.read(reader, 1))
except errors.TargetStalled as error:
    print(error)
except KeyboardInterrupt:
    print('interrupted')
"""


class ProcessTest(unittest.TestCase):
    """What a process does one of whose threads hangs in the kernel."""

    def start(self, seconds: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-c', PROGRAM, str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.assertEqual('begins\n', process.stdout.readline())
        return process

    def test_process_when_a_call_hangs_then_reports_and_ends(self) -> None:
        process = self.start(SHORT)
        out, _ = process.communicate(timeout=suite.PATIENCE_SECONDS)
        self.assertIn('does not answer: get a', out)
        self.assertEqual(0, process.returncode)

    def test_process_when_interrupted_in_a_call_then_ends_at_once(
        self,
    ) -> None:
        process = self.start(suite.PATIENCE_SECONDS * 10)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=suite.PATIENCE_SECONDS)
        self.assertEqual('interrupted\n', out)
        self.assertEqual(0, process.returncode)
