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

"""What is read ahead of those who read in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent import futures
import contextlib
import re
import threading
from typing import cast
import unittest

from backupkit import errors
from backupkit_plugins.targets.swift import ahead
from backupkit_plugins.targets.swift import container as container_

_SPAN = 64 << 10
_READ = 4 << 10
#: Reads until it is clear that they are in order: a quarter of a span.
_DOUBTS = 3
_SIZE = 4 * _SPAN


class Answer:
    def __init__(self, data: bytes, start: int, size: int) -> None:
        self._data = data
        self.status = 206
        end = start + len(data) - 1
        self.headers = {'Content-Range': f'bytes {start}-{end}/{size}'}

    def read(self, size: int | None = None) -> bytes:
        # Not more than a few at once, as from a network.
        count = 5000 if size is None else min(size, 5000)
        part, self._data = self._data[:count], self._data[count:]
        return part


class Objects:
    """A container that is there at once, and counts."""

    def __init__(self, size: int = _SIZE) -> None:
        self.data = bytes(i * 7 // 11 % 251 for i in range(size))
        self.asked: list[tuple[str, int, int]] = []
        self._lock = threading.Lock()

    def answer(self, start: int, end: int) -> Answer:
        return Answer(self.data[start:end], start, len(self.data))

    @contextlib.contextmanager
    def request(
        self,
        action: str,
        method: str,
        name: str,
        *,
        headers: Mapping[str, str],
    ) -> Iterator[Answer]:
        found = re.fullmatch(r'bytes=(\d+)-(\d+)', headers['Range'])
        assert found is not None
        start, end = int(found[1]), int(found[2]) + 1
        with self._lock:
            self.asked.append((name, start, end))
        yield self.answer(start, end)


class Changed(Objects):
    """One whose answers are not what was asked for."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self._change = change

    def answer(self, start: int, end: int) -> Answer:
        found = super().answer(start, end)
        if self._change == 'status':
            found.status = 503
        elif self._change == 'range':
            found.headers = {'Content-Range': f'bytes 0-{end}/{_SIZE}'}
        elif self._change == 'silence':
            found.headers = {}
        else:
            found._data = found._data[: _SPAN // 2]
        return found


class AheadTest(unittest.TestCase):
    def make(
        self, count: int = 8, objects: Objects | None = None
    ) -> ahead.ReadAhead:
        self.objects = objects or Objects()
        made = ahead.ReadAhead(
            cast('container_.Container', self.objects), count, _SPAN
        )
        self.addCleanup(made.close)
        return made

    def read(
        self,
        reading: ahead.ReadAhead,
        offset: int,
        name: str = 'a',
        size: int = _READ,
    ) -> bool:
        """Read in two parts; what is served must be right."""
        first, second = bytearray(size // 4), bytearray(size - size // 4)
        served = reading.read(name, offset, [first, memoryview(second)])
        if served:
            expected = self.objects.data[offset : offset + size]
            self.assertEqual(expected, bytes(first + second))
        return served

    def read_all(self, reading: ahead.ReadAhead, name: str) -> list[bool]:
        return [
            self.read(reading, offset, name)
            for offset in range(0, _SIZE, _READ)
        ]

    def test_read_when_in_order_then_few_requests(self) -> None:
        served = self.read_all(self.make(), 'a')
        self.assertEqual([False] * _DOUBTS, served[:_DOUBTS])
        self.assertEqual({True}, set(served[_DOUBTS:]))
        begin = _DOUBTS * _READ
        self.assertEqual(
            [
                ('a', start, min(start + _SPAN, _SIZE))
                for start in range(begin, _SIZE, _SPAN)
            ],
            sorted(self.objects.asked),
        )

    def test_read_when_one_was_read_in_order_then_the_next_from_its_start(
        self,
    ) -> None:
        reading = self.make(16)
        self.read_all(reading, 'a')
        self.assertEqual({True}, set(self.read_all(reading, 'b')))
        asked = [one for one in self.objects.asked if one[0] == 'b']
        self.assertEqual(4, len(asked))

    def test_read_when_here_and_there_then_nothing_is_fetched(self) -> None:
        reading = self.make()
        for _ in range(2):
            for offset in range(0, _SIZE, _SPAN):
                self.assertFalse(self.read(reading, offset + 100))
        self.assertEqual([], self.objects.asked)

    def test_read_when_there_is_no_memory_then_nothing_is_fetched(
        self,
    ) -> None:
        self.assertEqual({False}, set(self.read_all(self.make(0), 'a')))
        self.assertEqual([], self.objects.asked)

    def test_read_when_spans_are_few_then_what_is_served_is_right(
        self,
    ) -> None:
        for count in (1, 2, 3):
            reading = self.make(count, Objects())
            served = self.read_all(reading, 'a')
            self.assertIn(True, served)
            fetched = sum(end - start for _, start, end in self.objects.asked)
            self.assertLessEqual(fetched, _SIZE)

    def test_read_when_over_a_border_then_right(self) -> None:
        reading = self.make()
        size = 3 * _READ + 17
        served = [
            self.read(reading, offset, size=size)
            for offset in range(0, _SIZE - size, size)
        ]
        self.assertIs(True, served[-1])

    def test_read_when_threads_share_it_then_right(self) -> None:
        reading = self.make(4)
        offsets = range(0, _SIZE, _READ)
        with futures.ThreadPoolExecutor(4) as pool:
            served = list(
                pool.map(lambda offset: self.read(reading, offset), offsets)
            )
        self.assertIn(True, served)

    def test_read_when_a_span_fails_then_left_to_the_caller(self) -> None:
        for change in ('status', 'range', 'silence', 'short'):
            reading = self.make(objects=Changed(change))
            served = self.read_all(reading, 'a')
            self.assertIn(False, served[_DOUBTS:], change)
            if change != 'short':
                self.assertNotIn(True, served, change)
            self.assertGreater(len(self.objects.asked), 0, change)

    def test_read_when_beyond_the_end_then_left_to_the_caller(self) -> None:
        reading = self.make()
        self.read_all(reading, 'a')
        self.assertFalse(self.read(reading, _SIZE - 10))
        self.assertFalse(self.read(reading, _SIZE))

    def test_forget_when_it_was_fetched_then_fetched_again(self) -> None:
        reading = self.make()
        self.read_all(reading, 'a')
        before = len(self.objects.asked)
        reading.forget('a')
        self.objects.data = self.objects.data[::-1]
        served = [
            self.read(reading, offset)
            for offset in range(2 * _SPAN, 3 * _SPAN, _READ)
        ]
        self.assertIn(True, served)
        self.assertGreater(len(self.objects.asked), before)

    def test_close_when_called_then_nothing_is_served(self) -> None:
        reading = self.make()
        self.read_all(reading, 'a')
        reading.close()
        self.assertEqual({False}, set(self.read_all(reading, 'a')))

    def test_fetch_when_an_error_is_told_then_it_stays_inside(self) -> None:
        class Refusing(Objects):
            def answer(self, start: int, end: int) -> Answer:
                raise errors.TargetUnavailable('not now')

        reading = self.make(objects=Refusing())
        self.assertEqual({False}, set(self.read_all(reading, 'a')))
        self.assertGreater(len(self.objects.asked), 0)
