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

"""A reader of the format that knows only the page which describes it.

It shares nothing with the release: whoever has this file and the page
``contributor/format`` gets the bytes of a backup back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import hashlib
import json
import struct
from typing import Any, NamedTuple
import uuid
import zlib

import blake3
import lz4.frame
import zstandard

FAN_OUT, REF = 4096, struct.Struct('<BI32s')
RECORD = struct.Struct('<32sIIIIBBH')
ENTRY, TRAILER = (
    struct.Struct('<32sIIIBBH8s'),
    struct.Struct('<16s4sIIIB7s32s8s'),
)

DIGESTS: dict[int, Callable[[bytes], Any]] = {
    1: blake3.blake3,
    2: hashlib.sha256,
}
CODECS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lambda data: zstandard.ZstdDecompressor().decompress(data),
    2: lz4.frame.decompress,
    3: zlib.decompress,
}


class Place(NamedTuple):
    """Where a chunk lies."""

    pack: str
    offset: int
    stored: int
    codec: int


def pack_name(owner: str, attempt: str, number: int) -> str:
    """Return the name of a pack."""
    return (
        f'backups/{owner[:2]}/{owner[2:4]}/{owner}/packs/'
        f'{number // 1000:04d}/{attempt}-{number:08d}'
    )


def body_of(magic: bytes, data: bytes) -> bytes:
    """Return the body of a frame whose checksum is right."""
    found, number, zero, length = struct.unpack_from('<8sB7sQ', data)
    assert (found, zero, length) == (magic, bytes(7), len(data) - 56), found
    assert DIGESTS[number](data[:-32]).digest() == data[-32:]
    return data[24:-32]


def segment(body: bytes) -> Iterator[tuple[bytes, Place]]:
    """Yield the records of an index part, or of what a pack has left."""
    packs, count = struct.unpack_from('<II', body, 24)
    names = []
    for at in range(packs):
        who, tried, number, _ = struct.unpack_from(
            '<16s4sII', body, 32 + at * 28
        )
        names.append(pack_name(str(uuid.UUID(bytes=who)), tried.hex(), number))
    records = body[32 + packs * 28 :]
    assert len(records) == count * RECORD.size
    for key, at, offset, stored, _, codec, cipher, _ in RECORD.iter_unpack(
        records
    ):
        assert cipher == 0
        yield key, Place(names[at], offset, stored, codec)


def table(name: str, pack: bytes) -> Iterator[tuple[bytes, Place]]:
    """Yield what a pack says of itself."""
    fields = TRAILER.unpack(pack[-80:])
    offset, count, number, checksum = (
        fields[3],
        fields[4],
        fields[5],
        fields[7],
    )
    assert pack[:8] == b'BKPACKS1' and fields[8] == b'BKPACKE1'
    assert DIGESTS[number](pack[offset:-40]).digest() == checksum
    entries = pack[offset:-80]
    assert len(entries) == count * ENTRY.size
    for key, at, stored, _, codec, cipher, _, check in ENTRY.iter_unpack(
        entries
    ):
        assert cipher == 0
        assert DIGESTS[number](pack[at : at + stored]).digest()[:8] == check
        yield key, Place(name, at, stored, codec)


class Reader:
    """Restores backups out of the objects of a repository."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects
        config = json.loads(body_of(b'BKCONFG1', objects['config']))
        assert config['format'] == 1 and not config['features']
        self._digest = DIGESTS[{'blake3': 1, 'sha256': 2}[config['digest']]]
        self._places: dict[bytes, list[Place]] = {}

    def backups(self) -> list[str]:
        """Return the ids of all backups."""
        found = [name for name in self._objects if name.endswith('/manifest')]
        return [
            name.split('/')[3]
            for name in found
            if self._objects[name][:8] == b'BKMANIF1'
        ]

    def restore(self, backup: str) -> bytes:
        """Return the bytes of a backup."""
        base = f'backups/{backup[:2]}/{backup[2:4]}/{backup}/'
        data = body_of(b'BKMANIF1', self._objects[base + 'manifest'])
        manifest = json.loads(data)
        assert (manifest['format'], manifest['layout']) == (1, 'chunks')
        self._places = {}
        for name in self._packs(manifest):
            for key, place in self._contents(name):
                self._places.setdefault(key, []).append(place)
        size, chunk = manifest['size_bytes'], manifest['chunk_bytes']
        root = manifest['root']
        level = [(root['kind'], root['plain'], bytes.fromhex(root['digest']))]
        counts = [-(-size // chunk)]
        while counts[-1] > FAN_OUT:
            counts.append(-(-counts[-1] // FAN_OUT))
        for count in reversed(counts):
            level = list(self._children(level))[:count]
        out = bytearray(size)
        for at, (kind, plain, key) in enumerate(level):
            if kind:
                out[at * chunk : at * chunk + plain] = self._chunk(key)
        return bytes(out)

    @staticmethod
    def _packs(manifest: Any) -> Iterator[str]:
        for owner, attempts in manifest['packs'].items():
            for attempt, ranges in attempts.items():
                for item in ranges.split(','):
                    low, _, high = item.partition('-')
                    for number in range(int(low), int(high or low) + 1):
                        yield pack_name(owner, attempt, number)

    def _contents(self, name: str) -> Iterator[tuple[bytes, Place]]:
        """Yield what is in a pack, or where that has moved to."""
        if name in self._objects:
            yield from table(name, self._objects[name])
            return
        left = body_of(b'BKMOVED1', self._objects[f'{name}.moved'])
        for key, place in segment(left):
            if place.pack in self._objects:
                yield key, place
            else:
                yield from (
                    one for one in self._contents(place.pack) if one[0] == key
                )

    def _children(
        self, level: list[tuple[int, int, bytes]]
    ) -> Iterator[tuple[int, int, bytes]]:
        for kind, plain, key in level:
            if kind:
                node = self._chunk(key)
                assert len(node) == plain
                yield from REF.iter_unpack(node)
            else:
                yield from [(0, 0, bytes(32))] * FAN_OUT

    def _chunk(self, key: bytes) -> bytes:
        place = self._places[key][0]
        pack = self._objects[place.pack]
        plain = CODECS[place.codec](
            pack[place.offset : place.offset + place.stored]
        )
        assert self._digest(plain).digest() == key
        return plain


def indexed(objects: Mapping[str, bytes]) -> Iterator[tuple[bytes, Place]]:
    """Yield the records of all index parts."""
    for name, data in objects.items():
        if '/index/' in name:
            yield from segment(body_of(b'BKINDEX1', data))
