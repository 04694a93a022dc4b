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

"""What is handed to the packer is in packs and indexes, or it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import random
import threading
from typing import Any
import unittest
from unittest import mock
import uuid

from backupkit.copy import control
from backupkit.copy import interface
from backupkit.drivers import store as contract
from backupkit import errors
from backupkit import model
from backupkit.repository import codec
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import limits
from backupkit.repository import pack as pack_
from backupkit.repository import packer
from backupkit.repository import repository
from backupkit.repository import settings
from backupkit.repository import tree
from backupkit.testing.memory import store
from tests.unit.repository import case

CHUNK = case.CHUNK
OWNER = str(uuid.UUID(int=5 << 120))

#: A test that hangs is ended by this, and fails.
SECONDS = 60


class HookedStore(store.MemoryStore):
    """A store that lets a test do something in each put."""

    def __init__(
        self, medium: store.Medium, hook: Callable[[str], None]
    ) -> None:
        super().__init__(medium)
        self._hook = hook

    def put(self, name: str, parts: Sequence[contract.Buffer]) -> None:
        """Call the hook, then put."""
        self._hook(name)
        super().put(name, parts)


class PackerCase(unittest.TestCase):
    """A packer on a store in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.medium = store.Medium()
        self.stored: list[int] = []

    def make(
        self,
        hook: Callable[[str], None] = lambda _: None,
        *,
        pack_bytes: int = 1 << 16,
    ) -> packer.Packer:
        """Return a packer whose puts go through a hook."""
        made = settings.Settings(
            str(uuid.UUID(int=1)),
            str(uuid.UUID(int=2)),
            chunk_bytes=CHUNK,
            pack_bytes=pack_bytes,
        )
        self.repository = repository.Repository(
            HookedStore(self.medium, hook), made
        )
        one = packer.Packer(
            self.repository, OWNER, buffers=3, stored=self.stored.append
        )
        self.addCleanup(one.close)
        return one

    def append(
        self, to: packer.Packer, data: bytes, *, node: bool = False
    ) -> bytes:
        """Hand in one chunk as it is; return its digest."""
        key = self.repository.digest(data)
        to.append(key, len(data), codec.NONE, data, node=node)
        return key

    def within_time(self, work: Callable[[], object]) -> BaseException | None:
        """Do something that must not hang; return what it raised."""
        raised: list[BaseException | None] = [None]

        def run() -> None:
            try:
                work()
            except BaseException as exc:  # noqa: BLE001 - the test looks
                raised[0] = exc

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(SECONDS)
        self.assertFalse(thread.is_alive(), 'it hangs')
        return raised[0]

    def indexed(self, to: packer.Packer) -> dict[bytes, index.Place]:
        """Return all records of the index parts."""
        found: dict[bytes, index.Place] = {}
        for at in range(to.parts):
            part = layout.PartId(OWNER, to.attempt, at)
            segment = index.check_part(self.medium.objects[part.name], part)
            found.update(segment.records())
        return found


class TestPacking(PackerCase):
    def test_when_finished_then_every_chunk_is_where_the_index_says(
        self,
    ) -> None:
        to = self.make()
        made = random.Random(1)
        chunks = {}
        for at in range(100):
            data = made.randbytes(made.randint(1, CHUNK))
            chunks[self.append(to, data, node=at % 5 == 0)] = data
        to.finish()
        places = self.indexed(to)
        self.assertEqual(chunks.keys(), places.keys())
        for key, data in chunks.items():
            place = places[key]
            pack = self.medium.objects[place.pack.name]
            end = place.offset + place.stored
            self.assertEqual(data, pack[place.offset : end])
        self.assertEqual({place.pack for place in places.values()}, to.packs)
        for pack_id in to.packs:
            entries = self.repository.table(pack_id)
            told = {key for key, p in places.items() if p.pack == pack_id}
            self.assertEqual(told, {entry.digest for entry in entries})
        total = sum(map(len, self.medium.objects.values()))
        self.assertEqual(total, to.stored_bytes)

    def test_when_nodes_come_then_they_have_packs_of_their_own(self) -> None:
        to = self.make()
        nodes = {
            self.append(to, bytes([at]) * 100, node=at % 2 == 0)
            for at in range(40)
            if at % 2 == 0
        }
        for at in range(41, 80):
            self.append(to, bytes([at]) * 100)
        to.finish()
        self.assertEqual(2, len(to.packs))
        for pack_id in to.packs:
            keys = {one.digest for one in self.repository.table(pack_id)}
            self.assertIn(keys & nodes, (set(), nodes))

    def test_when_nothing_came_then_nothing_is_put(self) -> None:
        to = self.make()
        to.finish()
        self.assertEqual({}, self.medium.objects)

    def test_when_chunks_are_tiny_then_a_pack_does_not_hold_too_many(
        self,
    ) -> None:
        to = self.make(pack_bytes=16 << 20)
        count = limits.ENTRIES_LIMIT + 10
        for at in range(count):
            key = at.to_bytes(32, 'big')
            to.append(key, CHUNK, codec.ZSTD, b'tiny', node=False)
        to.finish()
        sizes = sorted(len(self.repository.table(one)) for one in to.packs)
        self.assertEqual([10, limits.ENTRIES_LIMIT], sizes)
        # Whichever pack is put first: one part, or one for each.
        self.assertIn(to.parts, (1, 2))
        self.assertEqual(count, len(self.indexed(to)))

    def test_when_packs_are_smaller_than_a_node_then_it_fits(self) -> None:
        to = self.make(pack_bytes=1 << 16)
        node = random.Random(2).randbytes(tree.NODE_BYTES)
        for at in range(3):
            self.append(to, node[at:], node=True)
        to.finish()
        self.assertEqual(3, len(to.packs))

    def test_when_there_are_many_packs_then_memory_is_used_again(
        self,
    ) -> None:
        to = self.make()
        source = random.Random(3)
        with mock.patch.object(
            pack_, 'PackBuffer', wraps=pack_.PackBuffer
        ) as made:
            for _ in range(400):
                self.append(to, source.randbytes(CHUNK))
            to.finish()
        self.assertGreater(len(to.packs), 6)
        self.assertLessEqual(made.call_count, 3)

    def test_when_threads_append_then_nothing_is_lost(self) -> None:
        to = self.make()
        expected = set()

        def work(seed: int) -> None:
            made = random.Random(seed)
            for _ in range(60):
                expected.add(self.append(to, made.randbytes(CHUNK)))

        workers = [
            threading.Thread(target=work, args=(at,)) for at in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        to.finish()
        self.assertEqual(expected, set(self.indexed(to)))
        self.assertEqual(240, len(expected))


class TestFailing(PackerCase):
    def fill(self, to: packer.Packer, count: int = 200) -> None:
        """Hand in many packs full of chunks, and finish."""
        made = random.Random(3)
        for _ in range(count):
            self.append(to, made.randbytes(CHUNK))
        to.finish()

    def test_when_a_put_fails_then_it_is_raised(self) -> None:
        """Whichever put it is: of a pack, of the last one, of an index."""
        names: list[str] = []
        self.fill(self.make(names.append))
        for failing in range(len(names)):
            with self.subTest(put=failing):
                self.setUp()
                count = iter(range(1000))

                def fail(
                    name: str, at: int = failing, count: Any = count
                ) -> None:
                    if next(count) == at:
                        raise errors.TargetUnavailable(f'put {name} failed')

                to = self.make(fail)
                raised = self.within_time(functools.partial(self.fill, to))
                self.assertIsInstance(raised, errors.TargetUnavailable)
                self.assertIsNone(self.within_time(to.close))

    def test_when_all_puts_fail_then_it_does_not_hang(self) -> None:
        def fail(name: str) -> None:
            raise errors.TargetFull(f'no room for {name}')

        to = self.make(fail)
        raised = self.within_time(lambda: self.fill(to))
        self.assertIsInstance(raised, errors.TargetFull)
        self.assertEqual({}, self.medium.objects)

    def test_when_a_put_raises_what_is_not_ours_then_it_is_raised(
        self,
    ) -> None:
        def fail(name: str) -> None:
            raise ZeroDivisionError(name)

        to = self.make(fail)
        raised = self.within_time(lambda: self.fill(to))
        self.assertIsInstance(raised, ZeroDivisionError)

    def test_when_all_buffers_are_being_put_then_who_comes_waits(self) -> None:
        """And comes through when the store goes on."""
        go, reached = threading.Event(), threading.Semaphore(0)

        def wait(_: str) -> None:
            reached.release()
            go.wait(SECONDS)

        to = self.make(wait)
        filling = threading.Thread(target=self.fill, args=(to,), daemon=True)
        filling.start()
        for _ in range(2):
            self.assertTrue(reached.acquire(timeout=SECONDS))
        filling.join(0.2)
        self.assertTrue(filling.is_alive())
        go.set()
        filling.join(SECONDS)
        self.assertFalse(filling.is_alive())
        self.assertEqual(200, len(self.indexed(to)))

    def test_when_one_fails_then_waiting_threads_are_told(self) -> None:
        go, reached = threading.Event(), threading.Semaphore(0)

        def fail(name: str) -> None:
            reached.release()
            go.wait(SECONDS)
            raise errors.TargetUnavailable(name)

        to = self.make(fail)
        raised: list[BaseException | None] = []

        def work() -> None:
            raised.append(self.within_time(lambda: self.fill(to)))

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for _ in range(2):
            self.assertTrue(reached.acquire(timeout=SECONDS))
        for worker in workers:
            worker.join(0.2)
            self.assertTrue(worker.is_alive())
        go.set()
        for worker in workers:
            worker.join(2 * SECONDS)
        self.assertEqual(3, len(raised))
        for exc in raised:
            self.assertIsInstance(exc, errors.TargetError)

    def test_when_a_put_was_given_up_then_its_memory_is_left_alone(
        self,
    ) -> None:
        """It may still be read, and put, by a call that does not come back."""
        go, reached = threading.Event(), threading.Semaphore(0)
        given: list[tuple[memoryview, bytes]] = []

        def stall(
            unused: HookedStore, name: str, parts: Sequence[Any]
        ) -> None:
            given.append((memoryview(parts[0]), bytes(parts[0])))
            reached.release()
            go.wait(SECONDS)
            raise errors.TargetStalled(name)

        self.enterContext(mock.patch.object(HookedStore, 'put', stall))
        to = self.make()
        workers = [
            threading.Thread(
                target=self.within_time, args=(lambda: self.fill(to),)
            )
            for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        for _ in range(2):
            self.assertTrue(reached.acquire(timeout=SECONDS))
        # They wait for memory, and are given that of these two.
        for worker in workers:
            worker.join(0.2)
            self.assertTrue(worker.is_alive())
        go.set()
        for worker in workers:
            worker.join(2 * SECONDS)
        for view, before in given:
            self.assertEqual(before, bytes(view))

    def test_when_closed_while_putting_then_it_waits_and_drops_the_rest(
        self,
    ) -> None:
        go, reached = threading.Event(), threading.Semaphore(0)
        names: list[str] = []

        def wait(name: str) -> None:
            names.append(name)
            reached.release()
            go.wait(SECONDS)

        to = self.make(wait)
        made = random.Random(3)
        for _ in range(80):
            self.append(to, made.randbytes(CHUNK))
        for _ in range(2):
            self.assertTrue(reached.acquire(timeout=SECONDS))
        closing = threading.Thread(target=to.close)
        closing.start()
        closing.join(0.2)
        self.assertTrue(closing.is_alive())
        go.set()
        closing.join(SECONDS)
        self.assertFalse(closing.is_alive())
        self.assertEqual(set(names), set(self.medium.objects))


class TestBackup(case.RepositoryCase):
    """The same under a whole backup."""

    def _hook(self, hook: Callable[[str], None]) -> None:
        def wrap(_: contract.Store, *__: object) -> contract.Store:
            return HookedStore(self.medium, hook)

        self.target.store_wrapper = wrap

    def test_when_a_put_fails_then_the_backup_does(self) -> None:
        data = random.Random(1).randbytes(300 * CHUNK)
        self.target.prepare_repository(self.coordinator)
        names: list[str] = []
        self._hook(names.append)
        self.prepare(data, volume_id='other')
        for failing in range(len(names)):
            count = iter(range(1000))

            def fail(name: str, at: int = failing, count: Any = count) -> None:
                if next(count) == at:
                    raise errors.TargetFull(f'no room for {name}')

            self._hook(fail)
            with (
                self.subTest(put=failing),
                self.assertRaises(errors.TargetFull),
            ):
                self.prepare(data)
        self._hook(lambda _: None)
        summary = self.back_up(data)
        self.assertEqual(data, self.restore(summary.backup_id))

    def test_when_cancelled_while_putting_then_the_backup_ends(self) -> None:
        data = random.Random(1).randbytes(600 * CHUNK)
        self.target.prepare_repository(self.coordinator)
        stop = control.Control()
        self._hook(lambda _: stop.cancel())
        backup_id = str(uuid.uuid4())
        request = model.BackupRequest(
            backup_id,
            self.coordinator.begin(backup_id),
            'local',
            model.Volume('v', len(data)),
        )

        def open_reader(_: str | None) -> interface.Reader:
            return case.BytesReader(data)

        with (
            mock.patch('backupkit.copy.pipeline.BATCH_BYTES', 1 << 16),
            self.assertRaises(errors.Cancelled),
        ):
            self.target.backup(request, open_reader, self.coordinator, stop)
        self.assertTrue(self.target.abort(backup_id))
        left = [name for name in self.medium.objects if backup_id in name]
        self.assertEqual([layout.manifest(backup_id)], left)
