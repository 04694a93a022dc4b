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


"""Tests of the wrappers of a store, and of who gets which."""

from collections.abc import Callable
import logging
from typing import Any
import unittest

from backupkit.drivers import store as store_
from backupkit.drivers.wrappers import base
from backupkit.drivers.wrappers import log
from backupkit.drivers.wrappers import names
from backupkit.drivers.wrappers import read_only
from backupkit import errors
from backupkit.testing import faults
from backupkit.testing.memory import store as memory
from backupkit.testing.memory import target as memory_target
from backupkit.testing import sections
from backupkit.testing import store


class ReadOnlyTest(unittest.TestCase):
    def setUp(self) -> None:
        inner = memory.MemoryStore(memory.Medium())
        inner.put('a', [b'data'])
        self.store = read_only.ReadOnly(inner, 'repo')

    def test_change_when_read_only_then_refused(self) -> None:
        changes: list[Callable[[], None]] = [
            lambda: self.store.put('b', [b'']),
            lambda: self.store.delete('a'),
            lambda: self.store.delete('absent'),
        ]
        for change in changes:
            with self.assertRaisesRegex(errors.TargetReadOnly, 'repo.*true'):
                change()

    def test_read_when_read_only_then_works(self) -> None:
        buffer = bytearray(2)
        self.store.get_into('a', 1, [buffer])
        self.assertEqual(b'at', buffer)
        self.assertEqual(b'data', self.store.get('a'))
        self.assertEqual(4, self.store.stat('a').size_bytes)
        self.assertEqual(['a'], [s.name for s in self.store.list()])
        self.assertEqual(0, self.store.sweep())


class LoggingTest(unittest.TestCase):
    def test_calls_when_logged_then_show_names_and_no_data(self) -> None:
        opened = log.Logging(memory.MemoryStore(memory.Medium()), 'repo')
        with self.assertLogs(log.LOG, 'DEBUG') as logs:
            opened.put('a', [b'SECRET'])
            opened.get('a', 1, 2)
            opened.get_into('a', 0, [bytearray(6)])
            opened.stat('a')
            list(opened.list())
            opened.delete('a')
            opened.sweep()
        self.assertEqual(7, len(logs.records))
        text = '\n'.join(logs.output)
        self.assertIn('put a, 6 bytes', text)
        self.assertIn('get a, 2 bytes from 1', text)
        self.assertNotIn('SECRET', text)


class CheckedNamesTest(unittest.TestCase):
    #: Each of them was, somewhere, the way out of a repository.
    BAD = (
        '',
        '/',
        '/etc/passwd',
        '..',
        '../up',
        'a/../b',
        'a//b',
        'a/',
        '.hidden',
        'a/.hidden',
        '-option',
        'A',
        'a b',
        'a\nb',
        'a\n',
        'a\0b',
        'a\\b',
        'a%2fb',
        'ä',
        'a' * (store_.NAME_LIMIT + 1),
    )

    def setUp(self) -> None:
        self.inner = faults.Faults()
        self.store = names.CheckedNames(
            self.inner.wrap(memory.MemoryStore(memory.Medium()))
        )

    def test_call_when_name_is_illegal_then_driver_is_not_asked(self) -> None:
        calls: list[Callable[[str], object]] = [
            lambda name: self.store.put(name, [b'']),
            self.store.get,
            lambda name: self.store.get_into(name, 0, []),
            self.store.stat,
            self.store.delete,
        ]
        for name in self.BAD:
            for call in calls:
                with self.subTest(name=name[:20]):
                    self.assertRaises(errors.FormatError, call, name)
        self.assertEqual(0, self.inner.calls)

    def test_list_when_prefix_is_illegal_then_refused(self) -> None:
        for prefix in {*self.BAD, 'a'} - {'', 'a/'}:
            with self.subTest(prefix=prefix[:20]):
                self.assertRaises(errors.FormatError, self.store.list, prefix)
        self.assertEqual(0, self.inner.calls)


class WrappedStoreTest(
    store.StoreSuite, store.FullStoreSuite, unittest.TestCase
):
    """All wrappers but ReadOnly, one over the other, change nothing."""

    def setUp(self) -> None:
        self.addCleanup(memory.discard, self.id())
        logger = logging.getLogger('backupkit.drivers.wrappers')
        self.addCleanup(logger.setLevel, logger.level)
        logger.setLevel(logging.DEBUG)
        target = sections.load_target(
            'memory', medium=self.id(), max_bytes_per_second=1 << 40
        )
        assert isinstance(target, memory_target.MemoryTarget)
        self.target = target
        super().setUp()

    def make_store(self) -> store_.Store:
        return self.target.store_wrapper(self.target.open())

    def make_small_store(self, room_bytes: int) -> store_.Store:
        self.target.open()
        memory.medium(self.id()).limit_bytes = room_bytes
        return self.make_store()


class WrappingTest(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(memory.discard, self.id())

    def wrapped(self, **options: Any) -> list[str]:
        target = sections.load_target('memory', medium=self.id(), **options)
        assert isinstance(target, memory_target.MemoryTarget)
        with target.opened() as opened:
            found = [type(opened).__name__]
            while isinstance(opened, base.StoreWrapper):
                opened = opened.inner
                found.append(type(opened).__name__)
        return found

    def test_open_when_nothing_is_asked_for_then_retries(self) -> None:
        self.assertEqual(
            ['Retry', 'CheckedNames', 'MemoryStore'], self.wrapped()
        )

    def test_open_when_all_is_asked_for_then_in_order(self) -> None:
        self.assertEqual(
            ['ReadOnly', 'Retry', 'Throttle', 'CheckedNames', 'MemoryStore'],
            self.wrapped(read_only=True, max_bytes_per_second=10_000),
        )

    def test_open_when_deadline_is_zero_then_no_retries(self) -> None:
        self.assertEqual(
            ['CheckedNames', 'MemoryStore'],
            self.wrapped(retry_deadline_seconds=0),
        )

    def test_open_when_debugging_then_logs(self) -> None:
        with self.assertLogs('backupkit.drivers.wrappers', 'DEBUG') as logs:
            self.assertEqual('Logging', self.wrapped()[0])
            log.LOG.debug('assertLogs wants one')
        self.assertEqual(1, len(logs.records))
