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


"""The suite of a store finds stores that break their promises."""

from collections.abc import Callable, Iterator, Sequence
import threading
import unittest

from backupkit.drivers import capability
from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.testing import lagging
from backupkit.testing.memory import store as memory
from backupkit.testing import store
from backupkit.testing.store import racing
from tests.unit.testing import mutation

Parts = Sequence[store_.Buffer]


class Replacing(memory.MemoryStore):
    def put(self, name: str, parts: Parts) -> None:
        self.delete(name)
        super().put(name, parts)


class Growing(memory.MemoryStore):
    """An object is there while it is being written."""

    def put(self, name: str, parts: Parts) -> None:
        super().put(name, [])
        for part in parts:
            self._medium.objects[name] += bytes(part)


class Torn(memory.MemoryStore):
    """What was written when a put broke off stays."""

    def put(self, name: str, parts: Parts) -> None:
        taken = []
        try:
            for part in parts:
                taken.append(bytes(part))
        except errors.TargetError:
            super().put(name, taken)
            raise
        super().put(name, parts)


class Short(memory.MemoryStore):
    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        end = None if length is None else offset + length
        return super().get(name)[offset:end]


class OffByOne(memory.MemoryStore):
    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        data = super().get(name, offset, length)
        return data if offset < 2 else super().get(name, offset - 1, length)


class Unfilled(memory.MemoryStore):
    """Only the first buffer is filled."""

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        super().get_into(name, offset, buffers[:1])


class Stale(memory.MemoryStore):
    """What was seen once is remembered."""

    def __init__(self, kept: memory.Medium) -> None:
        super().__init__(kept)
        self._seen: dict[str, store_.ObjectStat] = {}

    def stat(self, name: str) -> store_.ObjectStat:
        if name not in self._seen:
            self._seen[name] = super().stat(name)
        return self._seen[name]


class Strict(memory.MemoryStore):
    def delete(self, name: str) -> None:
        self.stat(name)
        super().delete(name)


class Careless(memory.MemoryStore):
    """Everything below the name is deleted too."""

    def delete(self, name: str) -> None:
        super().delete(name)
        for found in list(self.list()):
            if found.name.startswith(name):
                super().delete(found.name)


class Foreign(memory.MemoryStore):
    def stat(self, name: str) -> store_.ObjectStat:
        return store_.ObjectStat(name, len(self._medium.objects[name]))


class Paged(memory.MemoryStore):
    """One page of a listing is taken for all of it."""

    def list(self, prefix: str = '') -> Iterator[store_.ObjectStat]:
        for number, found in enumerate(super().list(prefix)):
            if number < 1000:
                yield found


class Loose(memory.MemoryStore):
    """A prefix is not taken for whole components."""

    def list(self, prefix: str = '') -> Iterator[store_.ObjectStat]:
        for found in super().list():
            if found.name.startswith(prefix.rstrip('/')):
                yield found


class Twice(memory.MemoryStore):
    def list(self, prefix: str = '') -> Iterator[store_.ObjectStat]:
        yield from super().list(prefix)
        yield from super().list(prefix)


class Live(memory.MemoryStore):
    """Lists without regard to those who write meanwhile."""

    def list(self, prefix: str = '') -> Iterator[store_.ObjectStat]:
        for name, data in self._medium.objects.items():
            if name.startswith(prefix):
                yield store_.ObjectStat(name, len(data))


class Folding(memory.MemoryStore):
    """Two names are one."""

    def put(self, name: str, parts: Parts) -> None:
        super().put(name.replace('_', '-'), parts)

    def stat(self, name: str) -> store_.ObjectStat:
        size = super().stat(name.replace('_', '-')).size_bytes
        return store_.ObjectStat(name, size)


class Clipping(memory.MemoryStore):
    def put(self, name: str, parts: Parts) -> None:
        super().put(name, parts[:1024])


class Borrowing(memory.MemoryStore):
    """The caller's buffer is kept, and not its bytes."""

    def put(self, name: str, parts: Parts) -> None:
        super().put(name, parts)
        if len(parts) == 2:
            self._lent = {name: parts}

    _lent: dict[str, Parts] = {}

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        if name in self._lent:
            return b''.join(self._lent[name])
        return super().get(name, offset, length)


class Sweeping(memory.MemoryStore):
    def sweep(self) -> int:
        self._medium.objects.clear()
        return 0


class Final(memory.MemoryStore):
    """Closing once closes all."""

    def close(self) -> None:
        self._medium.objects.clear()


class Once(memory.MemoryStore):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError('it is closed')
        self.closed = True


class Narrow(memory.MemoryStore):
    def put(self, name: str, parts: Parts) -> None:
        if len(name) > 100:
            raise errors.TargetError('the name is too long')
        super().put(name, parts)


class Overfull(memory.MemoryStore):
    """What did not fit stays in part."""

    def put(self, name: str, parts: Parts) -> None:
        try:
            super().put(name, parts)
        except errors.TargetFull:
            super().put(name, [])
            raise


class Boastful(lagging.LaggingStore):
    capabilities = capability.StoreCapabilities(list_complete=True)


class Racing(lagging.LaggingStore):
    capabilities = capability.StoreCapabilities(put_if_absent=True)


MUTANTS: list[type[memory.MemoryStore]] = [
    Replacing,
    Growing,
    Torn,
    Short,
    OffByOne,
    Unfilled,
    Stale,
    Strict,
    Careless,
    Foreign,
    Paged,
    Loose,
    Twice,
    Live,
    Folding,
    Clipping,
    Borrowing,
    Sweeping,
    Final,
    Once,
    Narrow,
    Overfull,
]


class _WholeSuite(store.StoreSuite, store.FullStoreSuite):
    """All that there is for a store."""


class StoreSuiteTest(unittest.TestCase):
    def assert_found(
        self, make: Callable[[unittest.TestCase], store_.Store]
    ) -> None:
        def make_small(case: unittest.TestCase, room_bytes: int) -> object:
            opened = make(case)
            opened._medium.limit_bytes = room_bytes  # type: ignore[attr-defined] # a memory store
            return opened

        failed = mutation.failures(
            _WholeSuite, make_store=make, make_small_store=make_small
        )
        self.assertNotEqual(set(), failed)

    def test_suite_when_a_promise_is_broken_then_fails(self) -> None:
        for mutant in MUTANTS:
            media: dict[str, memory.Medium] = {}

            def make(
                case: unittest.TestCase,
                mutant: type[memory.MemoryStore] = mutant,
                media: dict[str, memory.Medium] = media,
            ) -> store_.Store:
                return mutant(media.setdefault(case.id(), memory.Medium()))

            with self.subTest(mutant=mutant.__name__):
                self.assert_found(make)

    def test_suite_when_listing_is_said_complete_then_fails(self) -> None:
        media: dict[str, lagging.LaggingMedium] = {}
        self.assert_found(
            lambda case: Boastful(
                media.setdefault(case.id(), lagging.LaggingMedium())
            )
        )

    def test_suite_when_put_is_said_atomic_then_fails(self) -> None:
        media: dict[str, lagging.LaggingMedium] = {}
        barrier = threading.Barrier(racing.RACERS)

        def between(name: str) -> None:
            # All racers have seen that the name is free.
            if name.startswith('raced/'):
                barrier.wait(60)

        self.assert_found(
            lambda case: Racing(
                media.setdefault(case.id(), lagging.LaggingMedium()), between
            )
        )
