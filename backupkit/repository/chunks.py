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
RUN_BYTES = 4 << 20


class Wanted(NamedTuple):
    """A chunk that is wanted, and the buffer for its plain bytes."""

    digest: bytes
    buffer: bytearray | memoryview


class Encoded(NamedTuple):
    """A chunk as it is stored, and what it is when it is decoded."""

    digest: bytes
    plain: int
    codec: int
    stored: codec_.Buffer


#: Chunks that lie side by side in a pack: the place and digest of each.
Run = list[tuple[index.Place, bytes]]


def stored_bytes(run: Run) -> int:
    """Return how many bytes a run takes as it is stored."""
    return sum(place.stored for place, _ in run)


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
        self.settings = repository.settings

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
            if run and not _follows(run[0][0], run[-1][0], place):
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

    def runs(self, wanted: Iterable[tuple[bytes, int]]) -> Iterator[Run]:
        """Yield chunks in the order of their places, adjacent ones together.

        :param wanted: digest and plain length of each
        :raises errors.Damaged: a chunk is nowhere
        """
        found: Run = []
        for key, plain in wanted:
            for place in self.places(key):
                if place.plain == plain:
                    found.append((place, key))
                    break
            else:
                raise _lost(key)
        found.sort(key=lambda one: (one[0].pack, one[0].offset))
        run: Run = []
        for place, key in found:
            if run and not _follows(run[0][0], run[-1][0], place):
                yield run
                run = []
            run.append((place, key))
        if run:
            yield run

    def encoded(self, run: Run, memory: memoryview) -> list[Encoded]:
        """Return chunks as they are stored, each of them checked.

        Where one is damaged or gone, its other places are tried.

        :param memory: holds them; see :func:`stored_bytes`
        :raises errors.Damaged: a chunk has no good copy
        """
        try:
            return self._stored(run, memory)
        except (errors.ObjectNotFound, errors.IntegrityError):
            return [self._stored_any(place.plain, key) for place, key in run]

    def _stored_any(self, plain: int, key: bytes) -> Encoded:
        buffer = bytearray(plain)
        self._read_any(Wanted(key, buffer))
        return Encoded(key, plain, codec_.NONE, buffer)

    def _stored(self, run: Run, memory: memoryview) -> list[Encoded]:
        first, at = run[0][0], 0
        view = memory[: stored_bytes(run)]
        self._repository.store.get_into(first.pack.name, first.offset, [view])
        chunks = []
        for place, key in run:
            stored = view[at : at + place.stored]
            self._check(place, key, stored)
            chunks.append(Encoded(key, place.plain, place.codec, stored))
            at += place.stored
        return chunks

    def _check(
        self, place: index.Place, key: bytes, stored: memoryview
    ) -> None:
        """Check a chunk as it is stored against its digest."""
        _check_cipher(place)
        plain = stored
        if place.codec != codec_.NONE:
            plain = self._scratch(place.plain)
            self._decoder.decode_into(place.codec, stored, plain)
        if len(plain) != place.plain or self._repository.digest(plain) != key:
            raise _mismatch(key, place)

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
                raise _mismatch(wanted.digest, place)

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
            _check_cipher(place)
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
            buffer = self._local.scratch = bytearray(max(length, RUN_BYTES))
        return memoryview(buffer)[:length]


def _follows(
    first: index.Place, last: index.Place, place: index.Place
) -> bool:
    return (
        place.pack == last.pack
        and place.offset == last.offset + last.stored
        and place.offset + place.stored - first.offset <= RUN_BYTES
    )


def _check_cipher(place: index.Place) -> None:
    if place.cipher:
        raise errors.FormatTooNew(
            'a chunk is encrypted, which this release cannot read'
        )


def _mismatch(key: bytes, place: index.Place) -> errors.Damaged:
    return errors.Damaged(
        f'chunk {key.hex()} in pack {place.pack.name} does not match its '
        'digest'
    )


def _check_lengths(run: Iterable[tuple[index.Place, Wanted]]) -> None:
    for place, wanted in run:
        _check_cipher(place)
        if not place.plain == place.stored == len(wanted.buffer):
            raise errors.Damaged('a plain chunk has a wrong length')


def _lost(
    key: bytes, problem: errors.BackupkitError | None = None
) -> errors.Damaged:
    reason = problem or 'no pack of the backup holds it'
    return errors.Damaged(f'chunk {key.hex()} cannot be read: {reason}')
