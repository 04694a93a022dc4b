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

"""Where chunks are: segments, sorted by digest and searched in place.

One encoding serves the index parts in the repository and the segments of
the local cache. The body of the frame::

    owner 16 | attempt 4 | part number u32 | packs u32 | records u32
    packs:   owner 16 | attempt 4 | number u32 | size u32
    records: digest 32 | pack u32 | offset u32 | stored length u32
             | plain length u32 | codec u8 | cipher u8 | key slot u16

``pack`` counts in the segment's own list of packs. Records stand in the
order of their digests. Numbers are little-endian.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
import itertools
import mmap
import struct
from typing import NamedTuple
import uuid

from backupkit import errors
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.repository import limits
from backupkit.repository import pack as pack_
from backupkit.repository import search

HEADER = struct.Struct('<16s4sIII')
PACK = struct.Struct('<16s4sII')
RECORD = struct.Struct('<32sIIIIBBH')

#: At so many records a part of a backup's index is put.
PART_RECORDS = 65_536

#: Records in one part, at the most: those, and one more pack's.
PART_LIMIT = PART_RECORDS + limits.ENTRIES_LIMIT

_NOBODY = layout.PartId(str(uuid.UUID(int=0)), '00000000', 0)


class Place(NamedTuple):
    """Where one copy of a chunk is."""

    pack: layout.PackId
    offset: int
    stored: int
    plain: int
    codec: int
    cipher: int = 0
    key_slot: int = 0


#: What a segment is made of: digest and place.
Record = tuple[bytes, Place]


def encode(
    records: Iterable[Record],
    sizes: dict[layout.PackId, int],
    digest_name: str,
    part: layout.PartId = _NOBODY,
) -> bytes:
    """Return a framed segment of records in any order.

    :param sizes: bytes of each pack's object; packs without records are
        kept in the list too
    """
    order = {pack: number for number, pack in enumerate(sizes)}
    packed = sorted(
        RECORD.pack(
            key,
            order[place.pack],
            place.offset,
            place.stored,
            place.plain,
            place.codec,
            place.cipher,
            place.key_slot,
        )
        for key, place in records
    )
    return encode_packed(packed, sizes, digest_name, part)


def encode_packed(
    packed: Sequence[bytes],
    sizes: dict[layout.PackId, int],
    digest_name: str,
    part: layout.PartId = _NOBODY,
) -> bytes:
    """Return a framed segment of packed records in their order."""
    return b''.join(stream(packed, len(packed), sizes, digest_name, part))


def stream(
    packed: Iterable[bytes],
    count: int,
    sizes: dict[layout.PackId, int],
    digest_name: str,
    part: layout.PartId = _NOBODY,
) -> Iterator[bytes]:
    """Yield a framed segment piece by piece.

    :param packed: exactly ``count`` packed records in their order
    """
    body = [
        HEADER.pack(
            uuid.UUID(part.owner).bytes,
            bytes.fromhex(part.attempt),
            part.number,
            len(sizes),
            count,
        )
    ]
    body += [
        PACK.pack(
            uuid.UUID(pack.owner).bytes,
            bytes.fromhex(pack.attempt),
            pack.number,
            size,
        )
        for pack, size in sizes.items()
    ]
    head = b''.join(body)
    length = len(head) + count * RECORD.size
    yield from frame.stream(
        frame.INDEX, itertools.chain([head], packed), length, digest_name
    )


def check_part(data: bytes, part: layout.PartId) -> Segment:
    """Return the segment of an index part after checking all of it.

    :raises errors.FormatError: it is damaged, or another part
    """
    frame.unseal(frame.INDEX, data, f'index {part.name}')
    segment = Segment(data)
    if segment.part != part:
        raise errors.FormatError(f'index {part.name} is another index')
    for pack in segment.packs:
        if pack.owner != part.owner:
            raise errors.FormatError(
                f'index {part.name} tells of packs of others'
            )
    segment.check_records(PART_LIMIT)
    return segment


def line(entry: pack_.Entry) -> bytes:
    """Return a chunk in the table of a pack as its record, without pack."""
    record = RECORD.pack(
        entry.digest,
        0,
        entry.offset,
        entry.stored,
        entry.plain,
        entry.codec,
        entry.cipher,
        entry.key_slot,
    )
    return record[:32] + record[36:]


class Segment:
    """A framed segment in memory or in a mapped file.

    The checksum is the caller's to check; the lengths are checked here, so
    that no search leaves the data.

    :raises errors.FormatError: the lengths do not fit the data
    """

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        start = frame.HEADER.size
        if len(data) < start + HEADER.size + 32:
            raise errors.FormatError('an index is cut short')
        owner, attempt, number, packs, count = HEADER.unpack(
            data[start : start + HEADER.size]
        )
        self.part = layout.PartId(
            str(uuid.UUID(bytes=owner)), attempt.hex(), number
        )
        self._packs_at = start + HEADER.size
        self._base = self._packs_at + packs * PACK.size
        self.count = count
        if self._base + count * RECORD.size + 32 != len(data):
            raise errors.FormatError('an index has a wrong length')
        table = bytes(data[self._packs_at : self._base])
        # Packs by the million share few owners and attempts.
        owners: dict[bytes, tuple[str, str]] = {}
        self.packs: dict[layout.PackId, int] = {}
        for row in PACK.iter_unpack(table):
            whose = owners.get(row[0] + row[1])
            if whose is None:
                whose = str(uuid.UUID(bytes=row[0])), row[1].hex()
                owners[row[0] + row[1]] = whose
            self.packs[layout.PackId(*whose, row[2])] = row[3]
        self._order = list(self.packs)
        if len(self._order) != packs:
            raise errors.FormatError('an index names a pack twice')

    @property
    def size_bytes(self) -> int:
        """Bytes of the framed segment."""
        return len(self._data)

    def check_records(self, limit: int, *, unique: bool = False) -> None:
        """Check number, order and bounds of all records.

        :param limit: so many records, and packs, at the most
        :param unique: no digest may come twice
        :raises errors.FormatError: one is out of order or out of bounds
        """
        if max(self.count, len(self.packs)) > limit:
            raise errors.FormatError('an index is too long')
        last = b''
        for key, place in self.records():
            if key < last or (unique and key == last):
                raise errors.FormatError('an index is out of order')
            if place.offset + place.stored > self.packs[place.pack]:
                raise errors.FormatError('an index leaves its pack')
            if not pack_.sound(place.stored, place.plain):
                raise errors.FormatError('an index has a wrong length')
            last = key

    def _place(self, at: int) -> Record:
        position = self._base + at * RECORD.size
        fields = RECORD.unpack(self._data[position : position + RECORD.size])
        if fields[1] >= len(self._order):
            raise errors.FormatError('an index names a pack it lacks')
        return fields[0], Place(self._order[fields[1]], *fields[2:])

    def records(self) -> Iterator[Record]:
        """Yield all records in the order of their digests."""
        for at in range(self.count):
            yield self._place(at)

    def packed(self) -> Iterator[bytes]:
        """Yield the packed records in their order."""
        size = RECORD.size
        for position in range(
            self._base, self._base + self.count * size, size
        ):
            yield self._data[position : position + size]

    def lines(
        self, packs: Container[layout.PackId]
    ) -> dict[layout.PackId, set[bytes]]:
        """Return the records of these packs as :func:`line` packs them."""
        found: dict[layout.PackId, set[bytes]] = {
            pack: set() for pack in self.packs if pack in packs
        }
        by_number = [found.get(pack) for pack in self._order]
        for record in self.packed():
            lines = by_number[int.from_bytes(record[32:36], 'little')]
            if lines is not None:
                lines.add(record[:32] + record[36:])
        return found

    def lookup(self, key: bytes) -> list[Place]:
        """Return every place of a digest in this segment."""
        places = []
        at = search.first(self._data, self._base, self.count, RECORD.size, key)
        while at < self.count:
            found, place = self._place(at)
            if found != key:
                break
            places.append(place)
            at += 1
        return places
