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


"""Tests of the store that fails, and of the loop that makes it fail."""

from collections.abc import Callable
import unittest

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.testing import faults as faults_
from backupkit.testing.memory import store as memory


class FaultyStoreTest(unittest.TestCase):
    def setUp(self) -> None:
        self.medium = memory.Medium()
        self.faults = faults_.Faults()
        self.store = self.faults.wrap(memory.MemoryStore(self.medium))

    def arm(self, fault: faults_.Fault) -> None:
        self.faults.arm(1, fault)

    def test_put_when_it_fails_before_then_nothing_is_there(self) -> None:
        self.arm(faults_.Fault.BEFORE)
        with self.assertRaisesRegex(errors.TargetUnavailable, 'put a'):
            self.store.put('a', [b'x'])
        self.assertEqual({}, self.medium.objects)

    def test_put_when_it_fails_behind_then_all_is_there(self) -> None:
        self.arm(faults_.Fault.AFTER)
        with self.assertRaises(errors.TargetUnavailable):
            self.store.put('a', [b'x'])
        self.assertEqual({'a': b'x'}, self.medium.objects)

    def test_put_when_torn_then_store_reads_some_of_its_parts(self) -> None:
        taken: list[bytes] = []

        class Taking(memory.MemoryStore):
            def put(self, name, parts):  # type: ignore[no-untyped-def] # a double
                taken.extend(parts)

        self.store = self.faults.wrap(Taking(self.medium))
        self.arm(faults_.Fault.TORN)
        with self.assertRaises(errors.TargetUnavailable):
            self.store.put('a', [b'1', b'2', b'3'])

        class Indexing(memory.MemoryStore):
            def put(self, name, parts):  # type: ignore[no-untyped-def] # a double
                for number in range(len(parts)):
                    taken.append(parts[number])

        self.store = self.faults.wrap(Indexing(self.medium))
        self.arm(faults_.Fault.TORN)
        with self.assertRaises(errors.TargetUnavailable):
            self.store.put('a', [b'1', b'2', b'3'])
        self.assertEqual([b'1', b'2', b'1', b'2'], taken)

    def test_get_when_short_then_a_byte_is_missing(self) -> None:
        self.store.put('a', [b'abcd'])
        self.arm(faults_.Fault.SHORT)
        self.assertEqual(b'bc', self.store.get('a', 1, 3))
        self.arm(faults_.Fault.SHORT)
        buffers = [bytearray(b'??'), bytearray(b'??')]
        self.store.get_into('a', 0, buffers)
        self.assertEqual([b'ab', b'c?'], buffers)

    def test_call_when_others_are_counted_then_only_that_fails(self) -> None:
        self.faults.arm(3)
        self.store.put('a', [b'x'])
        self.store.stat('a')
        with self.assertRaises(errors.TargetUnavailable):
            self.store.get('a')
        self.assertEqual('get a', self.faults.fired)
        self.assertEqual(b'x', self.store.get('a'))

    def test_call_when_fault_lasts_then_all_behind_it_fail(self) -> None:
        self.faults.arm(2, lasting=True)
        self.store.put('a', [b'x'])
        for _ in range(3):
            with self.assertRaises(errors.TargetUnavailable):
                self.store.stat('a')
        self.faults.disarm()
        self.assertEqual(1, self.store.stat('a').size_bytes)

    def test_call_when_only_some_count_then_others_pass(self) -> None:
        faults = faults_.Faults(only=['delete'])
        opened = faults.wrap(memory.MemoryStore(self.medium))
        faults.arm(1)
        opened.put('a', [b'x'])
        with self.assertRaises(errors.TargetUnavailable):
            opened.delete('a')
        self.assertEqual(1, faults.calls)

    def test_call_when_there_is_a_delay_then_it_comes_first(self) -> None:
        delayed: list[tuple[str, str]] = []

        def delay(method: str, name: str) -> None:
            delayed.append((method, name))
            self.assertEqual({}, self.medium.objects)

        faults = faults_.Faults(delay=delay)
        faults.wrap(memory.MemoryStore(self.medium)).put('a', [b'x'])
        self.assertEqual([('put', 'a')], delayed)

    def test_every_call_when_it_fails_then_raises(self) -> None:
        self.store.put('a', [b'x'])
        calls: list[Callable[[], object]] = [
            lambda: self.store.get('a'),
            lambda: self.store.get_into('a', 0, [bytearray(1)]),
            lambda: self.store.stat('a'),
            lambda: list(self.store.list()),
            lambda: self.store.delete('absent'),
            self.store.sweep,
        ]
        for fault in (faults_.Fault.BEFORE, faults_.Fault.AFTER):
            for call in calls:
                self.arm(fault)
                self.assertRaises(errors.TargetUnavailable, call)


class UntilItPassesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.faults = faults_.Faults()
        self.store: store_.Store = self.faults.wrap(
            memory.MemoryStore(memory.Medium())
        )
        self.checked: list[errors.BackupkitError | None] = []

    def test_loop_when_there_are_calls_then_each_fails_once(self) -> None:
        fired = []

        def operate() -> None:
            try:
                for name in ('a', 'b', 'c'):
                    self.store.delete(name)
            finally:
                fired.append(self.faults.fired)

        calls = faults_.until_it_passes(
            self.faults, operate, self.checked.append
        )
        self.assertEqual(3, calls)
        self.assertEqual(['delete a', 'delete b', 'delete c', ''], fired)
        self.assertEqual(
            [True, True, True, False], [bool(one) for one in self.checked]
        )

    def test_loop_when_operation_survives_then_goes_on(self) -> None:
        def operate() -> None:
            for name in ('a', 'b'):
                try:
                    self.store.delete(name)
                except errors.TargetUnavailable:
                    self.store.delete(name)

        faults_.until_it_passes(self.faults, operate, self.checked.append)
        self.assertEqual([None] * 3, self.checked)

    def test_loop_when_check_fails_then_says_behind_what(self) -> None:
        def check(raised: errors.BackupkitError | None) -> None:
            if raised:
                raise AssertionError('something is left')

        with self.assertRaisesRegex(AssertionError, 'is left') as caught:
            faults_.until_it_passes(
                self.faults, lambda: self.store.delete('a'), check
            )
        self.assertEqual(
            ['after call 1 had failed: delete a'], caught.exception.__notes__
        )

    def test_loop_when_check_uses_the_store_then_it_works(self) -> None:
        faults_.until_it_passes(
            self.faults,
            lambda: self.store.delete('a'),
            lambda raised: self.store.delete('b'),
            lasting=True,
        )

    def test_loop_when_it_fails_by_itself_then_raises(self) -> None:
        with self.assertRaises(errors.ObjectNotFound):
            faults_.until_it_passes(
                self.faults,
                lambda: self.store.stat('absent'),
                self.checked.append,
            )

    def test_loop_when_it_never_ends_then_stops(self) -> None:
        def operate() -> None:
            for _ in range(100):
                self.store.delete('a')

        with self.assertRaisesRegex(AssertionError, 'no end'):
            faults_.until_it_passes(
                self.faults, operate, self.checked.append, limit=10
            )
