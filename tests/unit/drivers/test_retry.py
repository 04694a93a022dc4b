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


"""Tests of the wrapper that tries again."""

from collections.abc import Iterator
import unittest
from unittest import mock

from backupkit.drivers import store as store_
from backupkit.drivers.wrappers import base
from backupkit.drivers.wrappers import retry
from backupkit.drivers.wrappers import waiting
from backupkit import errors
from backupkit.testing import faults as faults_
from backupkit.testing.memory import store as memory
from tests.unit.drivers import clock as clock_


class RetryTest(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = clock_.Clock()
        self.medium = memory.Medium()
        self.faults = faults_.Faults()
        self.inner = self.faults.wrap(memory.MemoryStore(self.medium))

    def retrying(self, deadline_seconds: float = 60.0) -> retry.Retry:
        waiter = waiting.Waiter(clock=self.clock.now, sleep=self.clock.sleep)
        return retry.Retry(self.inner, deadline_seconds, waiter)

    def assert_passes(self, fault: faults_.Fault) -> None:
        """Let each call of a whole life of an object fail once."""
        opened = self.retrying()

        def live() -> None:
            opened.put('a', [b'one', b'two'])
            buffer = bytearray(3)
            opened.get_into('a', 3, [buffer])
            self.assertEqual(b'two', buffer)
            self.assertEqual(b'onetwo', opened.get('a'))
            self.assertEqual(6, opened.stat('a').size_bytes)
            self.assertEqual(['a'], [s.name for s in opened.list()])
            opened.delete('a')
            self.assertEqual(0, opened.sweep())

        def check(raised: errors.BackupkitError | None) -> None:
            self.assertIsNone(raised)
            self.assertEqual({}, self.medium.objects)

        calls = faults_.until_it_passes(self.faults, live, check, fault=fault)
        self.assertEqual(7, calls)

    def test_call_when_it_fails_before_its_effect_then_passes(self) -> None:
        self.assert_passes(faults_.Fault.BEFORE)

    def test_call_when_it_fails_behind_its_effect_then_passes(self) -> None:
        self.assert_passes(faults_.Fault.AFTER)

    def test_put_when_it_is_torn_then_passes(self) -> None:
        self.assert_passes(faults_.Fault.TORN)

    def test_put_when_taken_at_the_first_try_then_refused(self) -> None:
        opened = self.retrying()
        opened.put('a', [b'same'])
        with self.assertRaises(errors.ObjectExists):
            opened.put('a', [b'same'])
        self.assertEqual([], self.clock.sleeps)

    def test_put_when_somebody_else_was_quicker_then_refused(self) -> None:
        for content in (b'else', b'other size', b''):
            with self.subTest(content=content):
                self.medium.objects.clear()
                self.faults.arm(1)
                opened = retry.Retry(
                    _Usurper(self.inner, self.medium, content),
                    60.0,
                    waiting.Waiter(
                        clock=self.clock.now, sleep=self.clock.sleep
                    ),
                )
                with self.assertRaises(errors.ObjectExists):
                    opened.put('a', [b'mi', b'ne'])
                self.assertEqual(content, self.medium.objects['a'])

    def test_put_when_kept_object_is_large_then_compared_wholly(self) -> None:
        content = bytearray(3 * retry.COMPARED_BYTES + 5)
        self.faults.arm(1, faults_.Fault.AFTER)
        self.retrying().put('a', [content[:7], content[7:]])
        self.assertEqual(content, self.medium.objects['a'])

    def test_call_when_error_is_final_then_raised_at_once(self) -> None:
        faults = faults_.Faults(errors.TargetFull)
        faults.arm(1, lasting=True)
        opened = retry.Retry(faults.wrap(self.inner), 60.0)
        with self.assertRaises(errors.TargetFull):
            opened.put('a', [b''])
        self.assertEqual(1, faults.calls)

    def test_call_when_it_never_passes_then_ends_at_the_deadline(self) -> None:
        self.faults.arm(1, lasting=True)
        began = self.clock.seconds
        with (
            self.assertLogs(retry.LOG, 'WARNING') as logs,
            self.assertRaises(errors.TargetUnavailable),
        ):
            self.retrying(30.0).get('a')
        self.assertEqual(began + 30.0, self.clock.seconds)
        self.assertEqual(self.faults.calls - 1, len(logs.output))
        self.assertIn('get a', logs.output[0])

    def test_call_when_it_fails_often_then_pauses_are_bounded(self) -> None:
        self.faults.arm(1, lasting=True)
        with self.assertRaises(errors.TargetUnavailable):
            self.retrying(600.0).stat('a')
        self.assertGreater(self.faults.calls, 100)
        self.assertLessEqual(max(self.clock.sleeps), waiting.SLICE_SECONDS)

    def test_call_when_the_run_stops_then_the_pause_ends(self) -> None:
        self.faults.arm(1, lasting=True)

        def check() -> None:
            if self.clock.seconds > 1010.0:
                raise errors.Cancelled('stop')

        waiter = waiting.Waiter(
            check, clock=self.clock.now, sleep=self.clock.sleep
        )
        with self.assertRaises(errors.Cancelled):
            retry.Retry(self.inner, 600.0, waiter).get('a')
        self.assertLess(self.clock.seconds, 1011.0)

    def test_list_when_it_breaks_off_then_goes_on_behind_it(self) -> None:
        names = [f'n{number}' for number in range(10)]
        for name in names:
            self.inner.put(name, [b''])
        opened = retry.Retry(
            _BrokenListing(self.inner),
            60.0,
            waiting.Waiter(clock=self.clock.now, sleep=self.clock.sleep),
        )
        self.assertEqual(names, [s.name for s in opened.list()])

    def test_list_when_it_is_very_long_then_memory_is_bounded(self) -> None:
        for number in range(30):
            self.inner.put(f'n{number:02}', [b''])
        with mock.patch.object(retry, 'LISTED_LIMIT', 20):
            opened = self.retrying()
            self.assertEqual(30, len(list(opened.list())))
            broken = retry.Retry(_BrokenListing(self.inner, 25), 60.0)
            with self.assertRaises(errors.TargetUnavailable):
                list(broken.list())

    def fail_asking(self, seconds: float) -> retry.Retry:
        """Return a store whose first call asks to be left alone."""
        opened = self.retrying()
        error = errors.TargetUnavailable('later')
        error.retry_after_seconds = seconds
        stat = self.inner.stat
        failures = [error]

        def fail_once(name: str) -> store_.ObjectStat:
            if failures:
                raise failures.pop()
            return stat(name)

        patcher = mock.patch.object(self.inner, 'stat', fail_once)
        patcher.start()
        self.addCleanup(patcher.stop)
        return opened

    def test_call_when_the_store_asks_for_a_pause_then_it_gets_it(
        self,
    ) -> None:
        self.inner.put('a', [b'one'])
        opened = self.fail_asking(20.0)
        self.assertEqual(3, opened.stat('a').size_bytes)
        self.assertGreaterEqual(sum(self.clock.sleeps), 20.0)

    def test_call_when_it_asks_for_more_than_is_left_then_fails_now(
        self,
    ) -> None:
        opened = self.fail_asking(61.0)
        with self.assertRaises(errors.TargetUnavailable):
            opened.stat('a')
        self.assertEqual([], self.clock.sleeps)

    def test_delete_many_when_it_fails_then_tried_again(self) -> None:
        self.inner.put('a', [b'one'])
        self.inner.put('b', [b'two'])
        self.faults.arm(2)
        self.retrying().delete_many(['a', 'b'])
        self.assertEqual({}, self.medium.objects)


class _Usurper(base.StoreWrapper):
    """Somebody else who puts as soon as our put has failed."""

    def __init__(
        self, inner: store_.Store, medium: memory.Medium, content: bytes
    ) -> None:
        super().__init__(inner)
        self._medium = medium
        self._content = content

    def put(self, name, parts):  # type: ignore[no-untyped-def] # a double
        try:
            super().put(name, parts)
        except errors.TargetUnavailable:
            self._medium.objects[name] = self._content
            raise


class _BrokenListing(base.StoreWrapper):
    """A store whose listings break off, each one later than before."""

    def __init__(self, inner: store_.Store, first: int = 0) -> None:
        super().__init__(inner)
        self._limit = first

    def list(self, prefix: str = '') -> Iterator[store_.ObjectStat]:
        limit, self._limit = self._limit, self._limit + 2
        for number, found in enumerate(self.inner.list(prefix)):
            if number == limit:
                raise errors.TargetUnavailable('the listing broke off')
            yield found
