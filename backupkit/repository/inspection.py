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

"""Checks many packs, each of them once, and remembers what is wrong."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures

from backupkit.copy import control as control_
from backupkit.repository import damage as damage_
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import packcheck
from backupkit.repository import packset
from backupkit.repository import repository as repository_
from backupkit.repository import selection

#: Packs that are checked while others wait to be told of.
_AHEAD = 32


class Inspection:
    """What was found in the packs of one repository so far.

    ``seen`` are all that were looked at, ``states`` tell of those that are
    not simply good, and ``moves`` where the chunks are of those that are
    gone. ``chunks`` and ``bytes_read`` count.

    :param indexed: tells the size that a pack should have, if known
    :param threads: packs that are read at the same time
    :param reads: chooses the packs of which every byte is read
    """

    def __init__(
        self,
        repository: repository_.Repository,
        control: control_.Control,
        indexed: Callable[[layout.PackId], int | None],
        *,
        threads: int,
        reads: selection.Selection,
    ) -> None:
        self._indexed = indexed
        self._reads = reads
        self._pool = futures.ThreadPoolExecutor(threads, 'check')
        self._checker = packcheck.PackChecker(
            repository, control, self.expected
        )
        self._sizes: dict[layout.PackId, int] = {}
        self.moves = moved.Moves(repository.store)
        self.seen = packset.PackSet()
        self.states: dict[layout.PackId, packcheck.PackState] = {}
        self.chunks = self.bytes_read = 0

    def close(self) -> None:
        """Stop; twice is fine."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def expected(self, pack: layout.PackId) -> int | None:
        """Return the size that a pack should have, if known."""
        return self._indexed(pack) or self._sizes.get(pack)

    def new(self, packs: Iterable[layout.PackId]) -> packset.PackSet:
        """Return those that were not looked at yet."""
        return packset.PackSet(pack for pack in packs if pack not in self.seen)

    def check(self, packs: packset.PackSet, chosen: packset.PackSet) -> None:
        """Check packs that were not looked at yet.

        Of packs that are gone, those where their chunks have moved to.

        :param chosen: those of them that are read
        """

        def check(pack: layout.PackId) -> packcheck.PackState:
            if pack in chosen:
                return self._checker.read(pack)
            return self._checker.look(pack)

        while True:
            for pack, state in self._each(self.new(packs), check):
                self._keep(pack, state)
            packs = self.new(
                further
                for state in self.states.values()
                for further in state.left or ()
            )
            if not packs:
                return
            chosen = self._reads.of(packs)

    def compare(self, segment: index.Segment, packs: packset.PackSet) -> int:
        """Read packs of one index part that were not looked at yet.

        :param packs: those that are wanted
        :returns: of how many chunks index and packs tell different things
        """
        todo = self.new(pack for pack in segment.packs if pack in packs)
        lines = segment.lines(todo) if todo else {}
        sizes = {pack: segment.packs[pack] for pack in todo}
        self._sizes.update(sizes)
        wrong = 0
        for pack, state in self._each(
            todo, lambda pack: self._checker.read(pack, lines[pack])
        ):
            self._keep(pack, state)
            wrong += len(state.misplaced)
        for pack in sizes:
            self._sizes.pop(pack, None)
        return wrong

    def _each(
        self,
        packs: Iterable[layout.PackId],
        check: Callable[[layout.PackId], packcheck.PackState],
    ) -> Iterator[tuple[layout.PackId, packcheck.PackState]]:
        """Check packs in the pool, only some ahead of who takes them."""
        waiting: collections.deque[
            tuple[layout.PackId, futures.Future[packcheck.PackState]]
        ] = collections.deque()
        for pack in packs:
            waiting.append((pack, self._pool.submit(check, pack)))
            if len(waiting) > _AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        for last, future in waiting:
            yield last, future.result()

    def _keep(self, pack: layout.PackId, state: packcheck.PackState) -> None:
        self.seen.add(pack)
        self.chunks += state.chunks
        self.bytes_read += state.bytes_read
        if state.notable:
            self.states[pack] = state
        if state.left is not None:
            self.moves.note_gone(pack)
            self._sizes.update(state.left)

    def reached(
        self, packs: packset.PackSet
    ) -> Iterator[tuple[layout.PackId, packcheck.PackState]]:
        """Yield the states of these packs, and of where they moved to."""
        reached: set[layout.PackId] = set()
        todo = {pack for pack in self.states if pack in packs}
        while todo:
            reached |= todo
            todo = {
                further
                for pack in todo
                for further in self.states[pack].left or ()
                if further in self.states
            } - reached
        for pack in reached:
            yield pack, self.states[pack]

    def whole(self, packs: packset.PackSet) -> packset.PackSet:
        """Return those of these packs that have no problem."""
        hurt = {pack for pack, state in self.states.items() if state.problem}
        if not hurt:
            return packs
        return packset.PackSet(pack for pack in packs if pack not in hurt)

    def is_good(self, key: bytes, pack: layout.PackId) -> bool:
        """Tell whether a chunk can be had from a pack."""
        state = self.states.get(pack)
        if state is None:
            return pack in self.seen
        return not state.problem and key not in state.broken

    @property
    def damage(self) -> damage_.Damage:
        """The packs and chunks that must not be reused."""
        return damage_.Damage(
            frozenset(
                pack for pack, state in self.states.items() if state.problem
            ),
            frozenset(
                (key, pack)
                for pack, state in self.states.items()
                for key in state.broken
            ),
        )
