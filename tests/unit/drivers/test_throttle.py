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

"""Tests of the wrapper that keeps to a rate."""

from collections.abc import Callable
import unittest

from backupkit.drivers.wrappers import throttle
from backupkit.drivers.wrappers import waiting
from backupkit import errors
from backupkit.testing.memory import store as memory
from backupkit.testing import suite
from tests.unit.drivers import clock as clock_


class ThrottleTest(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = clock_.Clock()
        self.medium = memory.Medium()
        self.bucket = throttle.TokenBucket(1000)
        self.store = self.open(medium=self.medium)

    def open(
        self,
        check: Callable[[], None] = lambda: None,
        medium: memory.Medium | None = None,
    ) -> throttle.Throttle:
        return throttle.Throttle(
            memory.MemoryStore(medium or memory.Medium()),
            self.bucket,
            waiting.Waiter(
                check, clock=self.clock.now, sleep=self.clock.sleep
            ),
        )

    def test_put_when_many_bytes_flow_then_rate_holds(self) -> None:
        began = self.clock.seconds
        for number in range(20):
            self.store.put(f'n{number}', [bytes(500), bytes(500)])
        # One second's worth was in the bucket, and the last is not waited
        # for.
        self.assertAlmostEqual(18.0, self.clock.seconds - began)

    def test_put_when_it_waits_long_then_the_log_tells(self) -> None:
        with self.assertNoLogs(throttle.LOG):
            self.store.put('small', [bytes(5_000)])
        with self.assertLogs(throttle.LOG, 'INFO') as logs:
            self.store.put('large', [bytes(20_000)])
        self.assertIn('holds 20000 bytes back for 20 seconds', logs.output[0])
        with self.assertNoLogs(throttle.LOG):
            self.store.put('last', [b'x'])

    def test_put_when_one_is_large_then_it_waits_before(self) -> None:
        began = self.clock.seconds
        self.store.put('large', [bytes(20_000)])
        # One second's worth was in the bucket, and another is owed.
        self.assertAlmostEqual(18.0, self.clock.seconds - began)
        self.store.put('small', [b'x'])
        self.assertAlmostEqual(19.0, self.clock.seconds - began)
        self.store.put('next', [bytes(1000)])
        self.assertAlmostEqual(19.001, self.clock.seconds - began)

    def test_put_when_large_ones_flow_then_rate_holds(self) -> None:
        began = self.clock.seconds
        for number in range(5):
            self.store.put(f'n{number}', [bytes(4000)])
        self.assertAlmostEqual(18.0, self.clock.seconds - began)

    def test_get_when_many_bytes_flow_then_rate_holds(self) -> None:
        self.store.put('a', [bytes(1000)])
        began = self.clock.seconds
        for _ in range(5):
            self.store.get('a', 0, 1000)
            self.store.get('a')
            self.store.get_into('a', 0, [bytearray(400), bytearray(600)])
        self.assertAlmostEqual(14.0, self.clock.seconds - began)

    def test_put_when_bucket_rested_then_burst_is_bounded(self) -> None:
        self.clock.seconds += 3600.0
        began = self.clock.seconds
        for number in range(5):
            self.store.put(f'n{number}', [bytes(1000)])
        self.assertAlmostEqual(3.0, self.clock.seconds - began)

    def test_put_when_stores_share_a_bucket_then_rate_holds(self) -> None:
        other = self.open()
        began = self.clock.seconds
        for number in range(10):
            self.store.put(f'n{number}', [bytes(1000)])
            other.put(f'n{number}', [bytes(1000)])
        self.assertAlmostEqual(18.0, self.clock.seconds - began)

    def stopping(self) -> throttle.Throttle:
        """Return a store of a run that is stopped after five seconds."""
        end = self.clock.seconds + 5.0

        def check() -> None:
            if self.clock.seconds > end:
                raise errors.Cancelled('stop')

        return self.open(check, self.medium)

    def test_put_when_the_run_stops_then_the_wait_ends(self) -> None:
        opened = self.stopping()
        with self.assertRaises(errors.Cancelled):
            opened.put('large', [bytes(1_000_000)])
        self.assertLess(self.clock.seconds, 1006.0)
        # What has not flowed is nobody's debt: not that of what undoes it.
        stopped = self.clock.seconds
        self.store.put('small', [bytes(1000)])
        self.assertEqual(stopped, self.clock.seconds)

    def test_get_when_the_run_stops_behind_it_then_it_is_paid(self) -> None:
        self.store.put('large', [bytes(20_000)])
        with self.assertRaises(errors.Cancelled):
            self.stopping().get('large')
        began = self.clock.seconds
        self.store.put('small', [b'x'])
        # 20 seconds' worth has flowed, and five and a half are over.
        self.assertAlmostEqual(15.5, self.clock.seconds - began)

    def test_reserve_when_threads_race_then_all_is_counted(self) -> None:
        def take() -> float:
            return max(self.bucket.reserve(10, 0.0) for _ in range(100))

        waits = suite.successes(suite.together(*[take] * 8))
        self.assertAlmostEqual(7.99 - throttle.BURST_SECONDS, max(waits))
