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


"""Names and ranges: what is no object, and what leaves one."""

from __future__ import annotations

import os

from backupkit.drivers import store as store_
from backupkit import errors
from tests.unit.plugins.targets.posix import base


_HOSTILE = (
    '',
    '/',
    '/etc/passwd',
    '..',
    '../x',
    'a/../../x',
    'a/./b',
    'a//b',
    'a/',
    '/a',
    '.tmp-0123456789abcdef',
    'a/.hidden',
    'A',
    'a\0b',
    'a\nb',
    'a b',
    'a\\b',
    '-rf',
    '%2e%2e/x',
    'ä',
    '\udcff',
    'a' * 201,
)


class NamesTest(base.StoreTestCase):
    def test_when_name_is_hostile_then_nothing_is_touched(self) -> None:
        os.mkdir(self.root)
        calls = []
        for name in _HOSTILE:
            for call in (
                lambda name: self.store.put(name, [b'data']),
                self.store.get,
                self.store.stat,
                self.store.delete,
                lambda name: self.store.get_into(name, 0, [bytearray(1)]),
            ):
                with self.assertRaises(errors.FormatError):
                    call(name)
                calls.append(name)
        self.assertEqual(5 * len(_HOSTILE), len(calls))
        self.assertEqual([], os.listdir(self.root))
        self.assertEqual(['repository'], os.listdir(self.base))

    def test_when_prefix_is_hostile_then_nothing_is_listed(self) -> None:
        self.store.put('x', [b'data'])
        for prefix in ('/', '../', 'a/../', './', '.hidden/', 'x', 'a//'):
            with self.assertRaises(errors.FormatError):
                next(self.store.list(prefix), None)

    def test_when_other_things_lie_there_then_list_hides_them(self) -> None:
        self.store.put('a/x', [b'data'])
        os.mkdir(self.path('lost+found'))
        os.mkdir(self.path('.snapshot'))
        os.mkdir(self.path('a/d'))
        os.mkfifo(self.path('a/fifo'))
        os.symlink(self.path('a/x'), self.path('a/link'))
        os.symlink(self.path('a'), self.path('linked'))
        for name in (
            'a/.tmp-1',
            '.backupkit-storage',
            'README',
            '.snapshot/x',
        ):
            with open(self.path(name), 'wb'):
                pass
        self.assertEqual(['a/x'], self.names())

    def test_when_root_holds_closed_lost_and_found_then_list_works(
        self,
    ) -> None:
        self.store.put('x', [b'data'])
        os.mkdir(self.path('lost+found'), 0o000)
        self.assertEqual(['x'], self.names())

    def test_when_name_is_a_directory_then_there_is_no_object(self) -> None:
        self.store.put('a/b/x', [b'data'])
        with self.assertRaises(errors.ObjectNotFound):
            self.store.get('a/b')
        with self.assertRaises(errors.ObjectNotFound):
            self.store.stat('a')
        with self.assertRaises(errors.TargetError):
            self.store.put('a/b', [b'data'])
        with self.assertRaises(errors.TargetError):
            self.store.delete('a')
        self.assertEqual(['a/b/x'], self.names())

    def test_when_name_goes_through_an_object_then_there_is_none(
        self,
    ) -> None:
        self.store.put('a', [b'data'])
        for name in ('a/b', 'a/b/c'):
            with self.assertRaises(errors.ObjectNotFound):
                self.store.get(name)
            with self.assertRaises(errors.ObjectNotFound):
                self.store.stat(name)
            with self.assertRaises(errors.TargetError):
                self.store.put(name, [b'data'])
            self.store.delete(name)
            self.assertEqual([], [*self.store.list('a/')])
        self.assertEqual(b'data', self.store.get('a'))


class RangesTest(base.StoreTestCase):
    def test_when_parts_are_many_then_all_are_kept(self) -> None:
        parts = [os.urandom(number % 7) for number in range(5000)]
        self.store.put('x', parts)
        self.assertEqual(b''.join(parts), self.store.get('x'))

    def test_when_parts_are_large_then_all_are_kept(self) -> None:
        parts: list[store_.Buffer] = [
            os.urandom(9_000_000),
            bytearray(os.urandom(8 << 20)),
            memoryview(os.urandom(3)),
        ]
        self.store.put('x', parts)
        self.assertEqual(b''.join(parts), self.store.get('x'))

    def test_when_object_is_empty_then_it_is_kept(self) -> None:
        empty: list[list[store_.Buffer]] = [[], [b''], [b'', bytearray()]]
        for number, parts in enumerate(empty):
            self.store.put(f'x{number}', parts)
            self.assertEqual(b'', self.store.get(f'x{number}'))
            self.assertEqual(0, self.store.stat(f'x{number}').size_bytes)

    def test_when_range_leaves_the_object_then_it_is_damaged(self) -> None:
        self.store.put('x', [b'0123456789'])
        ranges = [(0, 11), (9, 2), (11, 0), (11, None), (1 << 62, 1), (-1, 1)]
        for offset, length in ranges:
            with self.assertRaises(errors.Damaged):
                self.store.get('x', offset, length)
        with self.assertRaises(errors.Damaged):
            self.store.get_into('x', 5, [bytearray(3), bytearray(3)])

    def test_when_range_ends_with_the_object_then_it_is_read(self) -> None:
        self.store.put('x', [b'0123456789'])
        self.assertEqual(b'89', self.store.get('x', 8))
        self.assertEqual(b'', self.store.get('x', 10, 0))

    def test_when_buffers_are_many_then_each_is_filled(self) -> None:
        data = os.urandom(3000)
        self.store.put('x', [data])
        buffers = [bytearray(1) for _ in range(2990)]
        self.store.get_into('x', 10, buffers)
        self.assertEqual(data[10:], b''.join(buffers))
