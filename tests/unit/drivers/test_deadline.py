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


"""A store whose calls hang, behind the wrapper that gives them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import threading
from typing import Any
import unittest

from backupkit.conf import opts
from backupkit.copy import control as control_
from backupkit.drivers import loader
from backupkit.drivers import patience
from backupkit.drivers import store as store_
from backupkit.drivers.wrappers import base
from backupkit.drivers.wrappers import deadline
from backupkit.drivers.wrappers import retry
from backupkit import errors
from backupkit.repository import target
from backupkit.testing.memory import store as memory
from backupkit.testing.memory import target as memory_target
from backupkit.testing import sections
from backupkit.testing import store
from backupkit.testing import suite

#: Short enough to be waited for.
SHORT = 0.3


class HangingStore(base.StoreWrapper):
    """Hangs in the calls that it is told to, until it is let go."""

    def __init__(self, inner: store_.Store, case: unittest.TestCase) -> None:
        super().__init__(inner)
        self.hanging: set[str] = set()
        self.calls: list[str] = []
        self.go = threading.Event()
        self.closed = threading.Event()
        case.addCleanup(self.go.set)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ('put', 'get', 'get_into', 'stat', 'delete', 'sweep'):
            return self.slowed(name, found)
        return found

    def slowed(self, name: str, method: Callable[..., Any]) -> Any:
        def call(*arguments: Any) -> Any:
            self.wait(name)
            return method(*arguments)

        return call

    def wait(self, name: str) -> None:
        self.calls.append(name)
        if name in self.hanging:
            self.go.wait(suite.PATIENCE_SECONDS)

    def list(self, prefix: str = '') -> Iterator[store_.ObjectStat]:
        for number, found in enumerate(self.inner.list(prefix)):
            if number == deadline.LISTED_AT_ONCE:
                self.wait('list')
            yield found

    def close(self) -> None:
        self.wait('close')
        self.closed.set()


class DeadlineSuiteTest(store.StoreSuite, unittest.TestCase):
    """The wrapper changes nothing of a store that answers."""

    def setUp(self) -> None:
        self.addCleanup(memory.discard, self.id())
        super().setUp()

    def make_store(self) -> store_.Store:
        return deadline.Deadline(
            memory.MemoryStore(memory.medium(self.id())),
            patience.Patience('nas', suite.PATIENCE_SECONDS),
        )


class DeadlineTest(unittest.TestCase):
    def setUp(self) -> None:
        self.inner = HangingStore(memory.MemoryStore(memory.Medium()), self)
        self.store = deadline.Deadline(
            self.inner, patience.Patience('nas', SHORT)
        )

    def assert_stalls(self, call: Callable[[], object], told: str) -> None:
        with self.assertRaises(errors.TargetStalled) as raised:
            call()
        self.assertIn(
            f'target nas does not answer: {told}', str(raised.exception)
        )

    def test_call_when_it_hangs_then_call_object_and_target_are_named(
        self,
    ) -> None:
        calls: dict[str, Callable[[], object]] = {
            'put': lambda: self.store.put('a/b', [b'x']),
            'get': lambda: self.store.get('a/b'),
            'get_into': lambda: self.store.get_into('a/b', 0, [bytearray(1)]),
            'stat': lambda: self.store.stat('a/b'),
            'delete': lambda: self.store.delete('a/b'),
        }
        for name, call in calls.items():
            self.inner.hanging = {name}
            with self.subTest(name):
                told = name.removesuffix('_into')
                self.assert_stalls(call, f'{told} a/b has taken')

    def test_close_when_it_hangs_then_given_up(self) -> None:
        self.inner.hanging = {'close'}
        self.assert_stalls(self.store.close, 'close')

    def test_list_when_it_hangs_in_the_middle_then_given_up(self) -> None:
        for number in range(deadline.LISTED_AT_ONCE + 1):
            self.store.put(f'a/{number}', [b''])
        self.inner.hanging = {'list'}
        listing = self.store.list('a/')
        for _ in range(deadline.LISTED_AT_ONCE):
            next(listing)
        self.assert_stalls(lambda: next(listing), r'list a/*')

    def test_sweep_when_long_then_goes_on_while_the_store_answers(
        self,
    ) -> None:
        self.inner.hanging = {'sweep'}
        threading.Timer(3 * SHORT, self.inner.go.set).start()
        self.assertEqual(0, self.store.sweep())
        self.assertIn('stat', self.inner.calls)

    def test_sweep_when_nothing_answers_then_given_up(self) -> None:
        self.inner.hanging = {'sweep', 'stat'}
        self.assert_stalls(self.store.sweep, 'sweep')

    def test_retry_when_a_call_was_given_up_then_not_tried_again(
        self,
    ) -> None:
        self.inner.hanging = {'get_into'}
        opened = retry.Retry(self.store, suite.PATIENCE_SECONDS)
        with self.assertRaises(errors.TargetStalled):
            opened.get_into('a', 0, [bytearray(1)])
        self.assertEqual(['get_into'], self.inner.calls)


class _Target(target.RepositoryTarget):
    """Opens a store that may hang, and may hang while it does."""

    inner: HangingStore

    def open(self) -> store_.Store:
        self.inner.wait('open')
        return self.inner

    def storage_identity(self) -> None:
        return None


class TargetTest(unittest.TestCase):
    """A target whose store hangs, as the loader makes it."""

    def setUp(self) -> None:
        self.addCleanup(memory.discard, self.id())
        conf = sections.configuration(
            {'target:nas': {'driver': 'memory', 'medium': self.id()}}
        )
        opts.register(conf)
        loaded = loader.load_target(conf, 'nas')
        assert isinstance(loaded, memory_target.MemoryTarget)
        self.loaded = loaded
        self.target = _Target('nas', loaded.section)
        self.target.patience = patience.Patience('nas', SHORT)
        self.inner = HangingStore(memory.MemoryStore(memory.Medium()), self)
        self.target.inner = self.inner

    def test_load_when_core_has_options_then_calls_have_a_deadline(
        self,
    ) -> None:
        with self.loaded.opened() as opened:
            found = []
            while isinstance(opened, base.StoreWrapper):
                found.append(type(opened).__name__)
                opened = opened.inner
        self.assertEqual(['Retry', 'CheckedNames', 'Deadline'], found)
        self.assertIsNot(patience.ENDLESS, self.loaded.patience)

    def test_open_when_it_hangs_then_given_up(self) -> None:
        self.inner.hanging = {'open'}
        with (
            self.assertRaisesRegex(errors.TargetStalled, 'answer: open has'),
            self.target.opened(),
        ):
            self.fail('it is not open')
        # What comes too late is closed, so that nothing stays behind.
        self.inner.go.set()
        self.assertTrue(self.inner.closed.wait(suite.PATIENCE_SECONDS))

    def test_open_when_the_run_stops_then_not_waited_for(self) -> None:
        self.addCleanup(setattr, patience, 'SHORT_SECONDS', 5.0)
        patience.SHORT_SECONDS = SHORT
        self.target.patience = patience.Patience('nas', 3600.0)
        self.inner.hanging = {'open'}
        control = control_.Control()
        control.cancel()
        with (
            self.assertRaises(errors.Cancelled),
            self.target.opened(control),
        ):
            self.fail('it is not open')

    def test_close_when_it_hangs_then_the_work_is_done_all_the_same(
        self,
    ) -> None:
        self.inner.hanging = {'close'}
        with (
            self.assertLogs('backupkit', 'WARNING') as logs,
            self.target.opened() as opened,
        ):
            opened.put('a', [b'x'])
        self.assertIn('close has taken', logs.output[-1])
