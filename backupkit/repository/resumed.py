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

"""What an earlier attempt of the same backup has left, and how it is used.

Its packs are the backup's own: nobody else may reuse or remove them while
the run is live. Each tells by itself what it holds. So a chunk that is met
again is not stored again; and where the volume is read from a snapshot that
cannot have changed, what the journal tells of, and the packs have, is not
even read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import logging
import pathlib
from typing import Any

from backupkit import errors
from backupkit import model
from backupkit.repository import index
from backupkit.repository import journal
from backupkit.repository import layout
from backupkit.repository import packer as packer_
from backupkit.repository import packset
from backupkit.repository import private
from backupkit.repository import repository as repository_
from backupkit.repository import reuse as reuse_
from backupkit.repository import salvage
from backupkit.repository import tree
from backupkit.repository import writer as writer_

LOG = logging.getLogger(__name__)


class ResumedReuse(reuse_.Reuse):
    """Also finds chunks in the packs of earlier attempts.

    ``parts`` are the index parts that those have put, by attempt.

    :param owner: the backup that is gone on with
    :param directory: for files that hold indexes, or None
    """

    def __init__(
        self,
        repository: repository_.Repository,
        *args: Any,
        owner: str,
        directory: str | None,
    ) -> None:
        super().__init__(repository, *args)
        self._owner = owner
        self.parts: dict[str, int] = {}
        path = pathlib.Path(directory) if directory else None
        digest = repository.settings.digest
        self._indexed = private.PrivateShelf(path, digest)
        self._loose = private.PrivateShelf(path, digest)
        packs, parts = _left(repository, owner)
        self._indexed.add(owner, {}, self._read(repository, parts))
        known = packset.PackSet()
        for segment in self._indexed.segments:
            known.update(segment.packs)
        loose = [pack for pack in packs if pack not in known]
        self._loose.add(owner, {}, salvage.segments(repository, loose))
        LOG.info('%d packs of earlier attempts are there', len(packs))

    def _read(
        self,
        repository: repository_.Repository,
        parts: Iterable[layout.PartId],
    ) -> Iterator[bytes]:
        """Yield the parts of each attempt, up to the first that is bad."""
        for part in parts:
            if part.number != self.parts.get(part.attempt, 0):
                continue
            try:
                data = repository.part(part)
            except (errors.ObjectNotFound, errors.IntegrityError) as exc:
                LOG.warning('%s; reading the packs themselves', exc)
            else:
                self.parts[part.attempt] = part.number + 1
                yield data

    def close(self) -> None:
        """Let go of the indexes."""
        self._indexed.close()
        self._loose.close()

    def find(self, key: bytes, plain: int) -> layout.PackId | None:
        for shelf in (self._loose, self._indexed):
            for segment in shelf.segments:
                for place in segment.lookup(key):
                    if place.plain == plain and segment.packs[place.pack]:
                        return place.pack
        return super().find(key, plain)

    def index(self, packer: packer_.Packer) -> None:
        """Make the packs of earlier attempts packs of this one.

        All of them: what is in them was read from the same volume, and
        nearly all of it is used. On return all have their index.
        """
        for segment in self._indexed.segments:
            packer.adopt_indexed(segment.packs)
        for segment in self._loose.segments:
            for pack, records in _by_pack(segment):
                if segment.packs[pack]:
                    packer.adopt(pack, segment.packs[pack], records)
        packer.finish()

    def take_over(
        self,
        writer: writer_.BackupWriter,
        repository: repository_.Repository,
        geometry: tree.Geometry,
    ) -> None:
        """Give to a writer what was read before and is stored.

        Only for a source that is the same as then, to the byte.
        """
        taken = Taken()
        for chunk, refs in journal.read(repository, self._owner, geometry):
            for first, part in taken.new(chunk, refs):
                for start, found, packs in self._stored(first, part):
                    writer.take(start, found, packs)
                    taken.add(start, len(found) // tree.REF.size)
        writer.taken = taken.extents(geometry)

    def _stored(
        self, chunk: int, refs: bytes
    ) -> Iterator[tuple[int, bytes, set[layout.PackId]]]:
        """Yield what of a range is stored: chunk, references, packs."""
        start, found, packs = chunk, b'', set[layout.PackId]()
        size = tree.REF.size
        for at in range(0, len(refs), size):
            ref = refs[at : at + size]
            kind, plain, key = tree.REF.unpack(ref)
            pack = self.find(key, plain) if kind == tree.STORED else None
            if kind == tree.STORED and pack is None:
                if found:
                    yield start, found, packs
                start, found, packs = chunk + at // size + 1, b'', set()
                continue
            found += ref
            if pack is not None:
                packs.add(pack)
        if found:
            yield start, found, packs


def _left(
    repository: repository_.Repository, owner: str
) -> tuple[list[layout.PackId], list[layout.PartId]]:
    """Return the packs and index parts that earlier attempts have put."""
    packs: list[layout.PackId] = []
    parts: list[layout.PartId] = []
    for stat in repository.store.list(layout.base(owner)):
        match layout.parse(stat.name):
            case layout.PackId() as pack:
                packs.append(pack)
            case layout.PartId() as part:
                parts.append(part)
    return sorted(packs), sorted(parts)


def _by_pack(
    segment: index.Segment,
) -> Iterator[tuple[layout.PackId, list[index.Record]]]:
    """Yield each pack of a segment with its records."""
    records: dict[layout.PackId, list[index.Record]] = {
        pack: [] for pack in segment.packs
    }
    for key, place in segment.records():
        records[place.pack].append((key, place))
    yield from records.items()


class Taken:
    """The chunks that need not be read, as ranges."""

    def __init__(self) -> None:
        self._ranges: dict[int, int] = {}

    def _sorted(self) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(self._ranges.items()):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        self._ranges = dict(merged)
        return merged

    def add(self, chunk: int, count: int) -> None:
        """Add a range that is not in it yet."""
        self._ranges[chunk] = max(chunk + count, self._ranges.get(chunk, 0))

    def new(self, chunk: int, refs: bytes) -> Iterator[journal.Run]:
        """Yield the parts of a range that are not in it yet."""
        size = tree.REF.size
        at, end = chunk, chunk + len(refs) // size
        for begin, stop in self._sorted():
            if stop <= at or begin >= end:
                continue
            if begin > at:
                yield at, refs[(at - chunk) * size : (begin - chunk) * size]
            at = max(at, stop)
        if at < end:
            yield at, refs[(at - chunk) * size :]

    def extents(self, geometry: tree.Geometry) -> list[model.Extent]:
        """Return the ranges in bytes of the volume, in order."""
        size = geometry.chunk_bytes
        return [
            model.Extent(
                begin * size,
                min(end * size, geometry.size_bytes) - begin * size,
                model.ExtentKind.DATA,
            )
            for begin, end in self._sorted()
        ]
