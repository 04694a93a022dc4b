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

"""Checks single packs: that they are there, and all that is in them."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from backupkit.copy import control as control_
from backupkit import errors
from backupkit.repository import codec as codec_
from backupkit.repository import digest
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import pack as pack_
from backupkit.repository import repository as repository_

_RUN_BYTES = 4 << 20


@dataclasses.dataclass(slots=True)
class PackState:
    """What was found in one pack: a problem, or broken chunks.

    ``broken`` are those that must not be taken from here, ``misplaced``
    those among them of which the index tells other than the pack itself.
    ``left`` are the packs, with their sizes, that hold the chunks of one
    that is gone.
    """

    problem: str = ''
    broken: set[bytes] = dataclasses.field(default_factory=set)
    misplaced: set[bytes] = dataclasses.field(default_factory=set)
    chunks: int = 0
    bytes_read: int = 0
    left: dict[layout.PackId, int] | None = None

    @property
    def notable(self) -> bool:
        """Whether there is more to tell than that all is good."""
        return bool(self.problem or self.broken or self.left is not None)


class PackChecker:
    """Checks packs; may be used by several threads.

    :param expected: tells the size that a pack should have, if known
    """

    def __init__(
        self,
        repository: repository_.Repository,
        control: control_.Control,
        expected: Callable[[layout.PackId], int | None],
    ) -> None:
        self._repository = repository
        self._control = control
        self._expected = expected
        self._decoder = codec_.Decoder()

    def look(self, pack: layout.PackId) -> PackState:
        """Check presence and size of a pack."""
        return self._sized(pack, compare=False)

    def _sized(self, pack: layout.PackId, *, compare: bool) -> PackState:
        self._control.check()
        try:
            size = self._repository.store.stat(pack.name).size_bytes
        except errors.ObjectNotFound:
            return self._gone(pack, compare=compare)
        expected = self._expected(pack)
        self._control.advance(size)
        if expected not in (None, size):
            return PackState(
                f'the pack has {size} bytes; its index says {expected}'
            )
        return PackState()

    def _gone(self, pack: layout.PackId, *, compare: bool) -> PackState:
        try:
            left = moved.load(self._repository.store, pack)
        except errors.IntegrityError as exc:
            return PackState(f'the pack is gone; {exc}')
        if left is None:
            return PackState('the pack is gone')
        if compare and (wrong := self._misled(left)):
            return PackState(
                f'the pack is gone, and {wrong} of its chunks are not where '
                'it says that they have moved to',
                left=left.packs,
            )
        return PackState(left=left.packs)

    def _misled(self, left: index.Segment) -> int:
        """Count the chunks that are not where a pack left them."""
        wrong = 0
        for pack, lines in left.lines(left.packs).items():
            try:
                table = self._repository.table(pack)
            except (errors.ObjectNotFound, errors.IntegrityError):
                # It is checked itself, and perhaps moved on.
                continue
            wrong += len(lines - set(map(index.line, table)))
        return wrong

    def read(
        self, pack: layout.PackId, lines: set[bytes] | None = None
    ) -> PackState:
        """Check every byte of a pack.

        :param lines: what its index tells of it, as :func:`.index.line`
        """
        state = self._sized(pack, compare=True)
        if state.left is not None:
            return state
        try:
            entries = self._repository.table(pack)
            head = self._repository.store.get(pack.name, 0, len(pack_.MAGIC))
            if head != pack_.MAGIC:
                raise errors.FormatError(
                    'the pack does not begin as it should'
                )
            for run in pack_.runs_of(entries, _RUN_BYTES):
                self._control.check()
                self._read_run(pack, run, state)
            if lines is not None:
                _compare(state, lines, set(map(index.line, entries)))
        except errors.ObjectNotFound:
            return self._gone(pack, compare=True)
        except errors.IntegrityError as exc:
            state.problem = state.problem or str(exc)
        return state

    def _read_run(
        self,
        pack: layout.PackId,
        run: list[pack_.Entry],
        state: PackState,
    ) -> None:
        length = sum(entry.stored for entry in run)
        data = memoryview(
            self._repository.store.get(pack.name, run[0].offset, length)
        )
        for entry in run:
            at = entry.offset - run[0].offset
            if not self._is_good(entry, data[at : at + entry.stored]):
                state.broken.add(entry.digest)
        state.chunks += len(run)
        state.bytes_read += length
        self._control.advance(0, length)

    def _is_good(self, entry: pack_.Entry, stored: memoryview) -> bool:
        digest = self._repository.digest
        if digest(stored)[:8] != entry.check or entry.cipher:
            return False
        plain = bytearray(entry.plain)
        try:
            self._decoder.decode_into(entry.codec, stored, plain)
        except errors.IntegrityError:
            return False
        return digest(plain) == entry.digest


def _compare(state: PackState, lines: set[bytes], table: set[bytes]) -> None:
    """Note the chunks of which index and pack tell different things."""
    state.misplaced = {line[: digest.SIZE] for line in lines ^ table}
    state.broken |= state.misplaced
