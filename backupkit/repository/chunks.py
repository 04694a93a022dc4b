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

"""Reads chunks by digest and checks each before it goes anywhere."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
import threading
from typing import NamedTuple

from backupkit import errors
from backupkit.repository import cache as cache_
from backupkit.repository import codec as codec_
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import repository as repository_

#: Stored bytes that are read in one go.
_RUN_BYTES = 4 << 20


class Wanted(NamedTuple):
    """A chunk that is wanted, and the buffer for its plain bytes."""

    digest: bytes
    buffer: bytearray | memoryview


class ChunkReader:
    """Finds, reads, decodes and checks chunks; for several threads.

    :param packs: where chunks may be read from: those that the manifest
        names; and where their chunks have moved to
    :param moves: knows packs that are gone already
    """

    def __init__(
        self,
        repository: repository_.Repository,
        cache: cache_.IndexCache,
        packs: Container[layout.PackId],
        moves: moved.Moves | None = None,
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._packs = packs
        self._moves = moves or moved.Moves(repository.store)
        self._decoder = codec_.Decoder()
        self._local = threading.local()

    def places(self, key: bytes) -> Iterator[index.Place]:
        """Yield the places of a chunk, in the packs of the manifest.

        Of a pack that is known to be gone, where its chunks are now.
        """
        for place in self._cache.lookup(key):
            if place.pack in self._packs:
                now = self._moves.follow(key, place)
                if now is not None:
                    yield now

    def node(self, key: bytes, length: int) -> bytes:
        """Return a node of the map.

        :raises errors.Damaged: no good copy is to be had
        """
        buffer = bytearray(length)
        self.read([Wanted(key, buffer)])
        return bytes(buffer)

    def read(self, wanted: Sequence[Wanted]) -> None:
        """Fill all buffers with their chunks' plain bytes.

        Adjacent chunks of one pack are read in one go. Where a copy is
        damaged or gone, the others are tried.

        :raises errors.Damaged: a chunk has no good copy
        """
        run: list[tuple[index.Place, Wanted]] = []
        for one in wanted:
            place = self._first_place(one)
            if run and not _follows(run, place):
                self._read_run(run)
                run = []
            run.append((place, one))
        if run:
            self._read_run(run)

    def _first_place(self, wanted: Wanted) -> index.Place:
        for place in self.places(wanted.digest):
            return place
        raise _lost(wanted.digest)

    def _read_run(self, run: list[tuple[index.Place, Wanted]]) -> None:
        try:
            self._fill(run)
        except (errors.ObjectNotFound, errors.IntegrityError):
            for _, wanted in run:
                self._read_any(wanted)

    def _read_any(self, wanted: Wanted) -> None:
        """Read one chunk from whichever place has a good copy."""
        problem: errors.BackupkitError | None = None
        places = list(self.places(wanted.digest))
        while places:
            place = places.pop(0)
            try:
                self._fill([(place, wanted)])
            except errors.ObjectNotFound as exc:
                problem = exc
                if self._moves.note_gone(place.pack):
                    places = list(self.places(wanted.digest))
            except errors.IntegrityError as exc:
                problem = exc
            else:
                return
        if isinstance(problem, errors.FormatTooNew):
            raise problem
        raise _lost(wanted.digest, problem)

    def _fill(self, run: list[tuple[index.Place, Wanted]]) -> None:
        first = run[0][0]
        plain = all(place.codec == codec_.NONE for place, _ in run)
        if plain:
            _check_lengths(run)
            self._repository.store.get_into(
                first.pack.name,
                first.offset,
                [wanted.buffer for _, wanted in run],
            )
        else:
            self._decode(run, first)
        for place, wanted in run:
            if self._repository.digest(wanted.buffer) != wanted.digest:
                raise errors.Damaged(
                    f'chunk {wanted.digest.hex()} in pack '
                    f'{place.pack.name} does not match its digest'
                )

    def _decode(
        self,
        run: list[tuple[index.Place, Wanted]],
        first: index.Place,
    ) -> None:
        length = sum(place.stored for place, _ in run)
        stored = self._scratch(length)
        self._repository.store.get_into(
            first.pack.name, first.offset, [stored]
        )
        at = 0
        for place, wanted in run:
            if place.cipher:
                raise errors.FormatTooNew(
                    'a chunk is encrypted, which this release cannot read'
                )
            if place.plain != len(wanted.buffer):
                raise errors.Damaged('a chunk has a wrong plain length')
            self._decoder.decode_into(
                place.codec, stored[at : at + place.stored], wanted.buffer
            )
            at += place.stored

    def _scratch(self, length: int) -> memoryview:
        """Return memory of this thread that is used again and again."""
        try:
            buffer = self._local.scratch
        except AttributeError:
            buffer = bytearray(0)
        if len(buffer) < length:
            buffer = self._local.scratch = bytearray(max(length, _RUN_BYTES))
        return memoryview(buffer)[:length]


def _follows(
    run: list[tuple[index.Place, Wanted]], place: index.Place
) -> bool:
    last = run[-1][0]
    return (
        place.pack == last.pack
        and place.offset == last.offset + last.stored
        and place.offset + place.stored - run[0][0].offset <= _RUN_BYTES
    )


def _check_lengths(run: Iterable[tuple[index.Place, Wanted]]) -> None:
    for place, wanted in run:
        if place.cipher:
            raise errors.FormatTooNew(
                'a chunk is encrypted, which this release cannot read'
            )
        if not place.plain == place.stored == len(wanted.buffer):
            raise errors.Damaged('a plain chunk has a wrong length')


def _lost(
    key: bytes, problem: errors.BackupkitError | None = None
) -> errors.Damaged:
    reason = problem or 'no pack of the backup holds it'
    return errors.Damaged(f'chunk {key.hex()} cannot be read: {reason}')
