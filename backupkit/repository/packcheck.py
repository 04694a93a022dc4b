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
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import pack as pack_
from backupkit.repository import repository as repository_

_RUN_BYTES = 4 << 20


@dataclasses.dataclass(slots=True)
class PackState:
    """What was found in one pack: a problem, or broken chunks.

    ``left`` are the packs, with their sizes, that hold the chunks of one
    that is gone.
    """

    problem: str = ''
    broken: set[bytes] = dataclasses.field(default_factory=set)
    chunks: int = 0
    bytes_read: int = 0
    left: dict[layout.PackId, int] | None = None


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
        self._control.check()
        try:
            size = self._repository.store.stat(pack.name).size_bytes
        except errors.ObjectNotFound:
            return self._gone(pack)
        expected = self._expected(pack)
        self._control.advance(size)
        if expected not in (None, size):
            return PackState(
                f'the pack has {size} bytes; its index says {expected}'
            )
        return PackState()

    def _gone(self, pack: layout.PackId) -> PackState:
        try:
            left = moved.load(self._repository.store, pack)
        except errors.IntegrityError as exc:
            return PackState(f'the pack is gone; {exc}')
        if left is None:
            return PackState('the pack is gone')
        return PackState(left=left.packs)

    def read(self, pack: layout.PackId) -> PackState:
        """Check every byte of a pack."""
        state = self.look(pack)
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
        except errors.ObjectNotFound:
            return self._gone(pack)
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
