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


"""Tests of calls that are made at the same time."""

from __future__ import annotations

import functools

from backupkit import errors
from backupkit.testing.store import case
from backupkit.testing import suite

RACERS = 8
ROUNDS = 10


class RaceTests(case.StoreCase):
    """Tests with several threads."""

    def test_put_when_several_race_then_one_wins(self) -> None:
        """Guards: store 7, store 2, StoreCapabilities.put_if_absent."""
        stores = [self.open_again() for _ in range(RACERS)]
        for number in range(ROUNDS):
            name = f'raced/{number}'
            contents = [bytes([n]) * 50_000 for n in range(RACERS)]
            results = suite.together(
                *(
                    functools.partial(opened.put, name, [content])
                    for opened, content in zip(stores, contents)
                )
            )
            kept = self.store.get(name)
            owners = [n for n, one in enumerate(contents) if one == kept]
            self.assertEqual(1, len(owners), f"{name} is nobody's")
            winners = [n for n in range(RACERS) if results[n] is None]
            self.assertGreaterEqual(len(winners), 1)
            for result in results:
                if result is not None:
                    self.assertIsInstance(result, errors.ObjectExists)
            if self.promised.put_if_absent:
                self.assertEqual(owners, winners)

    def test_put_when_it_is_watched_then_never_seen_in_part(self) -> None:
        """Guards: store 2."""
        data = self.random.randbytes(8 * 1024 * 1024)
        parts = [memoryview(data)[n::8].tobytes() for n in range(8)]
        whole = b''.join(parts)
        other = self.open_again()

        def watch() -> int:
            for _ in range(10_000):
                try:
                    size = other.stat('watched').size_bytes
                    self.assertEqual(len(whole), size)
                    self.assert_bytes(whole, other.get('watched'), 'watched')
                except errors.ObjectNotFound:
                    listed = {s.name for s in self.store.list()}
                    self.assertLessEqual(listed, {'watched'})
                    continue
                return size
            return 0

        results = suite.together(
            lambda: self.store.put('watched', parts), watch
        )
        suite.successes(results)
        self.assert_holds('watched', whole)

    def test_store_when_threads_share_it_then_all_is_right(self) -> None:
        """Guards: Store.put, Store.get, Store.delete, Store.stat."""

        def work(number: int) -> None:
            for turn in range(ROUNDS):
                name = f'shared/{number}/{turn}'
                content = bytes([number]) * (1000 * turn)
                self.store.put(name, [content])
                self.assert_bytes(content, self.store.get(name), name)
                self.assertEqual(
                    len(content), self.store.stat(name).size_bytes
                )
                if turn % 2:
                    self.store.delete(name)

        calls = [functools.partial(work, number) for number in range(RACERS)]
        suite.successes(suite.together(*calls))
        for number in range(RACERS):
            for turn in range(0, ROUNDS, 2):
                self.assert_holds(
                    f'shared/{number}/{turn}', bytes([number]) * (1000 * turn)
                )

    def test_delete_when_several_race_then_all_succeed(self) -> None:
        """Guards: store 6."""
        stores = [self.open_again() for _ in range(RACERS)]
        for number in range(ROUNDS):
            name = f'gone/{number}'
            self.store.put(name, [b'x'])
            suite.successes(
                suite.together(
                    *(functools.partial(s.delete, name) for s in stores)
                )
            )
            self.assert_absent(name)

    def test_sweep_when_puts_are_under_way_then_they_succeed(self) -> None:
        """Guards: Store.sweep."""
        other = self.open_again()

        def put() -> None:
            for number in range(3 * ROUNDS):
                self.store.put(f'swept/{number}', [b's' * 300_000])

        def sweep() -> None:
            for _ in range(10 * ROUNDS):
                self.assertGreaterEqual(other.sweep(), 0)

        suite.successes(suite.together(put, sweep))
        for number in range(3 * ROUNDS):
            self.assert_holds(f'swept/{number}', b's' * 300_000)
