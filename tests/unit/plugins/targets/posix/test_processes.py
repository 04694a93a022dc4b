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


"""Several processes at one store, and some of them are killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import itertools
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

from backupkit import errors
from backupkit_plugins.targets.posix import store as store_
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base

_FORK = multiprocessing.get_context('fork')
_DATA = os.urandom(20_000)


class _ProcessesTestCase(base.StoreTestCase):
    def run_processes(self, works: Sequence[Callable[[], None]]) -> list[int]:
        """Run each work in a process of its own; return how they exit."""
        processes = [_FORK.Process(target=work) for work in works]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return [process.exitcode or 0 for process in processes]


class ConcurrentTest(_ProcessesTestCase):
    def test_when_processes_put_one_name_then_one_of_them_wins(self) -> None:
        barrier = _FORK.Barrier(4)
        winners = _FORK.Queue()

        def work(number: int) -> None:
            with store_.PosixStore(self.root) as store:
                for turn in range(25):
                    name = f'd{turn // 5}/x{turn}'
                    data = bytes([number]) * 9000
                    barrier.wait()
                    try:
                        store.put(name, [data[:1], data[1:]])
                    except errors.ObjectExists:
                        continue
                    winners.put((name, number))
            winners.put(None)

        works = [lambda number=n: work(number) for n in range(4)]
        processes = [_FORK.Process(target=work) for work in works]
        for process in processes:
            process.start()
        won: dict[str, int] = {}
        ended = 0
        while ended < len(processes):
            found = winners.get(timeout=120)
            if found is None:
                ended += 1
                continue
            self.assertNotIn(found[0], won)
            won[found[0]] = found[1]
        for process in processes:
            process.join()
        self.assertEqual(25, len(won))
        for name, number in won.items():
            self.assertEqual(bytes([number]) * 9000, self.store.get(name))
        self.assertEqual([], self.leftovers())

    def test_when_others_delete_beside_then_puts_are_kept(self) -> None:
        # Deletes prune the directories under the puts again and again.
        def work(number: int) -> None:
            with store_.PosixStore(self.root) as store:
                for turn in range(40):
                    name = f'a/b/c/x{number}-{turn}'
                    store.put(name, [_DATA])
                    assert store.get(name) == _DATA
                    assert store.stat(name).size_bytes == len(_DATA)
                    assert name in {found.name for found in store.list('a/')}
                    store.delete(name)
                    assert name not in {found.name for found in store.list()}
                store.put(f'a/b/c/y{number}', [_DATA])

        works = [lambda number=n: work(number) for n in range(3)]
        self.assertEqual([0, 0, 0], self.run_processes(works))
        self.assertEqual(['a/b/c/y0', 'a/b/c/y1', 'a/b/c/y2'], self.names())
        self.assertEqual([], self.leftovers())

    def test_when_others_sweep_beside_then_puts_are_kept(self) -> None:
        def put() -> None:
            with store_.PosixStore(self.root) as store:
                for turn in range(60):
                    store.put(f'a/x{turn}', [_DATA])

        def sweep() -> None:
            with store_.PosixStore(self.root) as store:
                for _ in range(300):
                    store.sweep()

        self.assertEqual([0, 0], self.run_processes([put, sweep]))
        self.assertEqual(60, len(self.names()))


class KilledTest(_ProcessesTestCase):
    def _kill_at(self, number: int, action: Callable[[], None]) -> bool:
        """Kill a process at its Nth call; tell whether it got so far."""

        def kill(name: str, real: Callable[[], Any]) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

        def work() -> None:
            with base.at_call(number, kill):
                action()

        exits = self.run_processes([work])
        self.assertIn(exits[0], (0, -signal.SIGKILL))
        return exits[0] != 0

    def _age_directories(self) -> None:
        """Make all look as if nothing happened there for a day."""
        day_ago = time.time() - 86_400
        for path, _, _ in os.walk(self.root):
            os.utime(path, (day_ago, day_ago))

    def test_when_a_put_is_killed_then_nothing_is_torn(self) -> None:
        def put() -> None:
            with store_.PosixStore(self.root) as store:
                store.put(base.PACK, [_DATA])

        swept = 0
        for number in itertools.count(1):
            killed = self._kill_at(number, put)
            names = self.names()
            leftovers = len(self.leftovers())
            self.assertEqual(leftovers, self.store.sweep())
            swept += leftovers
            if names:
                self.assertEqual([base.PACK], names)
                self.assertEqual(_DATA, self.store.get(base.PACK))
                self.store.delete(base.PACK)
            if not killed:
                break
            if os.path.exists(self.root):
                self._age_directories()
                self.store.sweep()
                self.assertEqual([], os.listdir(self.root))
        self.assertGreater(swept, 3)

    def test_when_a_delete_is_killed_then_it_can_be_repeated(self) -> None:
        def delete() -> None:
            with store_.PosixStore(self.root) as store:
                store.delete(base.PACK)

        for number in itertools.count(1):
            if not self.names():
                self.store.put(base.PACK, [_DATA])
            killed = self._kill_at(number, delete)
            if not killed:
                break
            self.assertIn(self.names(), ([], [base.PACK]))
        self.assertEqual([], self.names())

    def test_when_a_sweep_is_killed_then_objects_stay(self) -> None:
        self.store.put(base.PACK, [_DATA])

        def sweep() -> None:
            with store_.PosixStore(self.root) as store:
                store.sweep()

        for number in itertools.count(1):
            for name in ('.tmp-1', 'backups/.tmp-2'):
                with open(self.path(name), 'wb'):
                    pass
            killed = self._kill_at(number, sweep)
            self.assertEqual(_DATA, self.store.get(base.PACK))
            if not killed:
                break
        self.assertEqual([], self.leftovers())


class SweepTest(base.StoreTestCase):
    def test_when_a_put_is_under_way_then_sweep_spares_it(self) -> None:
        swept: list[int] = []
        other = self.open_store()

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name == 'fsync' and self.leftovers() and not swept:
                swept.append(-1)
                swept[0] = other.sweep()
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self.store.put(base.PACK, [_DATA])
        self.assertEqual([0], swept)
        self.assertEqual(_DATA, self.store.get(base.PACK))

    def test_when_swept_before_it_is_locked_then_put_starts_again(
        self,
    ) -> None:
        swept: list[int] = []
        other = self.open_store()

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            if name == 'fchmod' and self.leftovers() and not swept:
                swept.append(-1)
                swept[0] = other.sweep()
            return real(*args, **kwargs)

        with seam.intercepted(intercept):
            self.store.put(base.PACK, [_DATA])
        self.assertEqual([1], swept)
        self.assertEqual(_DATA, self.store.get(base.PACK))

    def test_when_threads_use_one_store_then_all_is_kept(self) -> None:
        failures = []

        def work(number: int) -> None:
            try:
                for turn in range(30):
                    name = f'a/b{turn % 3}/x{number}-{turn}'
                    self.store.put(name, [_DATA])
                    assert self.store.get(name) == _DATA
                    if turn % 2:
                        self.store.delete(name)
                    if turn % 10 == 0:
                        self.store.sweep()
            except Exception as exc:  # noqa: BLE001 - told by the test
                failures.append(exc)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        self.assertEqual(45, len(self.names()))
