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

"""Packs: immutable objects that hold many encoded chunks.

::

    magic            8 bytes, b'BKPACKS1'
    chunks           one behind the other, no gaps
    table            one entry of 56 bytes for each chunk, in their order
    trailer          80 bytes

    entry:   digest 32 | offset u32 | stored length u32 | plain length u32
             | codec u8 | cipher u8 | key slot u16 | check 8
    trailer: owner 16 | attempt 4 | number u32 | table offset u32
             | count u32 | digest number u8 | zero 7 | checksum 32 | magic 8

Numbers are little-endian. ``check`` is the first 8 bytes of the digest of
the stored bytes; the checksum covers the table and the trailer before it.
So every bit of a pack is covered, and the table of contents can be read
from its tail alone.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import struct
import uuid

from backupkit.copy import direct
from backupkit import errors
from backupkit.repository import codec as codec_
from backupkit.repository import digest
from backupkit.repository import layout
from backupkit.repository import limits

MAGIC = b'BKPACKS1'
END_MAGIC = b'BKPACKE1'

ENTRY = struct.Struct('<32sIIIBBH8s')
TRAILER = struct.Struct('<16s4sIIIB7s32s8s')


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One chunk in the table of a pack."""

    digest: bytes
    offset: int
    stored: int
    plain: int
    codec: int
    cipher: int = 0
    key_slot: int = 0
    check: bytes = b''


class PackBuffer:
    """A pack that is being filled, in memory that is used again.

    The memory is taken from the system as it is filled, not at once.
    """

    def __init__(self, size_bytes: int) -> None:
        self._view = direct.aligned(size_bytes)
        self._size = size_bytes
        self._entries: list[bytes] = []
        self.records: list[tuple[bytes, int, int, int, int]] = []
        self._end = len(MAGIC)
        self._view[: self._end] = MAGIC

    def fits(self, stored: int) -> bool:
        """Tell whether a chunk of so many stored bytes still goes in."""
        return (
            self._end + stored <= self._size
            and len(self.records) < limits.ENTRIES_LIMIT
        )

    def append(
        self,
        chunk_digest: bytes,
        plain: int,
        codec: int,
        stored: codec_.Buffer,
        check: bytes,
    ) -> None:
        """Copy one encoded chunk into the pack."""
        offset, length = self._end, len(stored)
        self._view[offset : offset + length] = stored
        self._end += length
        self._entries.append(
            ENTRY.pack(chunk_digest, offset, length, plain, codec, 0, 0, check)
        )
        self.records.append((chunk_digest, offset, length, plain, codec))

    def seal(
        self, pack: layout.PackId, digest_name: str
    ) -> list[memoryview | bytes]:
        """Return the whole pack as parts; it must not be changed now."""
        table = b''.join(self._entries)
        head = TRAILER.pack(
            uuid.UUID(pack.owner).bytes,
            bytes.fromhex(pack.attempt),
            pack.number,
            self._end,
            len(self._entries),
            limits.DIGESTS[digest_name],
            bytes(7),
            bytes(32),
            END_MAGIC,
        )[:40]
        checksum = digest.by_name(digest_name)(table + head)
        return [self._view[: self._end], table, head + checksum + END_MAGIC]

    def clear(self) -> None:
        """Make the buffer ready for another pack."""
        self._entries = []
        self.records = []
        self._end = len(MAGIC)


def read_trailer(
    tail: bytes, size_bytes: int, pack: layout.PackId
) -> tuple[int, int]:
    """Return table offset and entry count from a pack's last 80 bytes.

    :param size_bytes: of the whole pack object
    :raises errors.FormatError: the trailer is not that of this pack
    """
    name = pack.name
    if len(tail) != TRAILER.size or size_bytes > limits.PACK_LIMIT:
        raise errors.FormatError(f'pack {name} has no trailer')
    owner, attempt, number, offset, count, kind, zero, _, magic = (
        TRAILER.unpack(tail)
    )
    if magic != END_MAGIC or zero != bytes(7):
        raise errors.FormatError(f'pack {name} has no trailer')
    if kind not in limits.DIGESTS.values():
        raise errors.FormatError(f'pack {name} has an unknown digest')
    told = (str(uuid.UUID(bytes=owner)), attempt.hex(), number)
    if told != tuple(pack):
        raise errors.FormatError(f'pack {name} is another pack')
    if offset + count * ENTRY.size + TRAILER.size != size_bytes:
        raise errors.FormatError(f'pack {name} has a wrong size')
    if offset < len(MAGIC) or count > limits.ENTRIES_LIMIT:
        raise errors.FormatError(f'pack {name} has a wrong table')
    return offset, count


def read_table(
    tail: bytes, size_bytes: int, pack: layout.PackId
) -> list[Entry]:
    """Return the table of a pack from its tail: table and trailer.

    Every byte of the tail is checked, and that the chunks tile the space
    between magic and table.

    :raises errors.FormatError: it is damaged
    """
    trailer = tail[-TRAILER.size :]
    offset, count = read_trailer(trailer, size_bytes, pack)
    table = tail[: count * ENTRY.size]
    if len(tail) != size_bytes - offset:
        raise errors.FormatError(f'pack {pack.name} has a wrong tail')
    kind = trailer[32]
    if digest.by_number(kind)(table + trailer[:40]) != trailer[40:72]:
        raise errors.FormatError(
            f'the table of pack {pack.name} does not match its checksum'
        )
    entries = [Entry(*fields) for fields in ENTRY.iter_unpack(table)]
    end = len(MAGIC)
    for entry in entries:
        if entry.offset != end or not sound(entry.stored, entry.plain):
            raise errors.FormatError(
                f'the table of pack {pack.name} has a wrong entry'
            )
        end += entry.stored
    if end != offset:
        raise errors.FormatError(f'pack {pack.name} has a gap')
    return entries


def sound(stored: int, plain: int) -> bool:
    """Tell whether a chunk can have these lengths.

    No chunk is stored longer than it is, but for what encryption adds.
    """
    return (
        0 < plain <= limits.CHUNK_LIMITS[1]
        and stored <= plain + limits.SEALED_BYTES
    )


def runs_of(entries: list[Entry], limit_bytes: int) -> Iterator[list[Entry]]:
    """Yield adjacent entries in groups of about ``limit_bytes``."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and size + entry.stored > limit_bytes:
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.stored
    if group:
        yield group
