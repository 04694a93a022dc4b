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

"""Whatever reads the bytes of a repository, each with good bytes to spoil."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import itertools
import json
import random
import uuid
import zlib

import lz4.frame
import zstandard

from backupkit import errors
from backupkit import model
from backupkit.repository import codec
from backupkit.repository import damage
from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import manifest
from backupkit.repository import moved
from backupkit.repository import pack
from backupkit.repository import packset
from backupkit.repository import repository
from backupkit.repository import settings
from backupkit.repository import tree
from backupkit.testing.memory import store as memory
from tests.unit.repository import moving

CHUNK = 4096
BACKUP = str(uuid.UUID(int=7 << 120))
REPOSITORY = str(uuid.UUID(int=9 << 120))
PACK = layout.PackId(BACKUP, 'a77e0001', 3)
OTHER = layout.PackId(BACKUP, 'a77e0001', 4)
PART = layout.PartId(BACKUP, 'a77e0001', 0)

#: A key of each record.
KEYS = [bytes([at]) * 32 for at in (0, 1, 1, 7, 255)]


@dataclasses.dataclass(frozen=True)
class Parser:
    """What reads bytes, and good bytes for it.

    :param magic: of the frame around them, so that what was spoiled gets a
        right checksum again
    """

    read: Callable[[bytes], object]
    good: bytes
    magic: bytes = b''


def _manifest() -> bytes:
    summary = model.BackupSummary(
        BACKUP, 'local', 'db01', 70 * CHUNK + 1, repository_id=REPOSITORY
    )
    return manifest.dump(
        manifest.Manifest(
            summary,
            'raw',
            {'disk': 'gpt'},
            CHUNK,
            tree.REF.pack(tree.STORED, 71 * tree.REF.size, b'\x05' * 32),
            packset.PackSet([PACK, OTHER]),
            {BACKUP: {'a77e0001': 1}},
        )
    ).encode()


def records(keys: list[bytes] = KEYS) -> list[index.Record]:
    """Return a record for each key."""
    return [
        (key, index.Place((PACK, OTHER)[at % 2], 8 + at * 99, 99, CHUNK, 1))
        for at, key in enumerate(keys)
    ]


def _table(tail: bytes) -> object:
    return pack.read_table(tail, 8 + 5 * 99 + len(tail), PACK)


def _tail() -> bytes:
    buffer = pack.PackBuffer(1 << 16)
    for key in KEYS:
        buffer.append(key, CHUNK, 1, bytes(99), bytes(8))
    _, table, trailer = buffer.seal(PACK, 'blake3')
    return bytes(table) + bytes(trailer)


def _trailer(tail: bytes) -> object:
    return pack.read_trailer(tail, 8 + 5 * 99 + 5 * 56 + 80, PACK)


def _segment(data: bytes) -> object:
    segment = index.Segment(data)
    for key in (KEYS[0], KEYS[2], b'\xfe' * 32):
        segment.lookup(key)
    return list(itertools.islice(segment.records(), 100))


def _note() -> bytes:
    medium = memory.Medium()
    noted = damage.Damage(frozenset([PACK]), frozenset([(KEYS[1], OTHER)]))
    damage.write(memory.MemoryStore(medium), noted, 'blake3')
    (note,) = medium.objects.values()
    return note


def _filled(node: bytes, length: int) -> bytes:
    node = node or tree.ZERO_REF
    return (node * (length // len(node) + 1))[:length]


def _map(nodes: bytes) -> object:
    """Walk a map whose nodes are cut out of these bytes."""
    size, chunk = int.from_bytes(nodes[:8], 'little') >> 4, CHUNK
    if nodes[8:9] > b'\x7f':
        size %= 1 << 40
    reader = tree.MapReader(
        tree.Geometry(size, chunk),
        nodes[9 : 9 + tree.REF.size].ljust(tree.REF.size, b'\0'),
        lambda key, length: _filled(nodes[46:], length),
    )
    spans: list[tree.Span] = []
    for span in itertools.islice(reader.walk(), 50):
        if span.error and not isinstance(span.error, errors.IntegrityError):
            raise span.error
        spans.append(span)
    return spans


def _nodes() -> bytes:
    stored = tree.REF.pack(tree.STORED, CHUNK, b'\x05' * 32)
    root = tree.REF.pack(tree.STORED, 3 * tree.REF.size, b'\x06' * 32)
    size = (3 * CHUNK << 4).to_bytes(8, 'little')
    return size + b'\0' + root + stored + tree.ZERO_REF + stored


def _decoder(number: int) -> Callable[[bytes], object]:
    def decode(stored: bytes) -> object:
        out = bytearray(CHUNK)
        codec.Decoder().decode_into(number, stored, out)
        return out

    return decode


PLAIN = (b'%05d ' * 1000 % tuple(range(1000)))[:CHUNK]

_CONFIG = settings.Settings(REPOSITORY, BACKUP, created_at='then').dump()

PARSERS: dict[str, Parser] = {
    'frame': Parser(
        lambda data: frame.unseal(frame.MANIFEST, data, 'it'),
        frame.seal(frame.MANIFEST, b'body', 'blake3'),
    ),
    'json': Parser(
        lambda data: frame.load_json(data, 'it'),
        b'{"a":[1,-2.5e3,true,null,"\\u00e4\\n"],"b":{"c":{}}}',
    ),
    'config': Parser(settings.load, _CONFIG, frame.CONFIG),
    'adoption': Parser(
        lambda data: settings.load_adoption(data, 3),
        settings.dump_adoption(REPOSITORY, 3, 'blake3'),
        frame.ADOPTED,
    ),
    'manifest': Parser(lambda data: manifest.load(data, BACKUP), _manifest()),
    'tombstone': Parser(
        lambda data: repository.is_tombstone(data, BACKUP),
        repository.tombstone(BACKUP, 'blake3'),
        frame.TOMBSTONE,
    ),
    'note': Parser(
        lambda data: damage.read(data, 'damaged/it'), _note(), frame.DAMAGED
    ),
    'index': Parser(
        lambda data: index.check_part(data, PART),
        index.encode(records(), {PACK: 999, OTHER: 999}, 'blake3', PART),
        frame.INDEX,
    ),
    'segment': Parser(
        _segment, index.encode(records(), {PACK: 999, OTHER: 999}, 'blake3')
    ),
    'moved': Parser(
        lambda data: moved.read(data, PACK),
        moving.left_behind(
            PACK, records(KEYS[1:2] + KEYS[3:]), {PACK: 999, OTHER: 999}
        ),
        frame.MOVED,
    ),
    'trailer': Parser(_trailer, _tail()[-80:]),
    'table': Parser(_table, _tail()),
    'map': Parser(_map, _nodes()),
    'none': Parser(_decoder(0), PLAIN),
    'zstd': Parser(_decoder(1), zstandard.ZstdCompressor().compress(PLAIN)),
    'lz4': Parser(_decoder(2), lz4.frame.compress(PLAIN, store_size=True)),
    'zlib': Parser(_decoder(3), zlib.compress(PLAIN)),
    'names': Parser(
        lambda data: layout.parse(data.decode('latin-1')), PACK.name.encode()
    ),
    'pack name': Parser(
        lambda data: layout.pack_of(data.decode('latin-1')),
        PACK.name.encode(),
    ),
    'ranges': Parser(
        lambda data: layout.decode_numbers(data.decode('latin-1'), 1 << 24),
        b'0-17,20,22-4000',
    ),
}


class Spoiler(random.Random):
    """Spoils bytes, a little or a lot."""

    def spoil(self, data: bytes) -> bytes:
        """Return the bytes with one to four things done to them."""
        spoiled = bytearray(data)
        for _ in range(self.choice((1, 1, 1, 2, 4))):
            self.choice(_SPOILS)(self, spoiled)
        return bytes(spoiled)

    def within(self, data: bytearray) -> int:
        """Return a position, near an end as often as not."""
        if not data:
            return 0
        at = self.randrange(len(data))
        return self.choice((at, at % 40, len(data) - 1 - at % 40)) % len(data)


def _flip(spoiler: Spoiler, data: bytearray) -> None:
    if data:
        data[spoiler.within(data)] ^= 1 << spoiler.randrange(8)


def _set(spoiler: Spoiler, data: bytearray) -> None:
    if data:
        data[spoiler.within(data)] = spoiler.choice((0, 1, 127, 128, 255, 48))


def _number(spoiler: Spoiler, data: bytearray) -> None:
    at, size = spoiler.within(data), spoiler.choice((4, 8))
    value = spoiler.choice((0, 1, 1 << 31, (1 << 32) - 1, 1 << 20, 1 << 60))
    number = (value % (1 << 8 * size)).to_bytes(size, 'little')
    data[at : at + size] = number[: len(data) - at]


def _cut(spoiler: Spoiler, data: bytearray) -> None:
    del data[spoiler.within(data) :]


def _drop(spoiler: Spoiler, data: bytearray) -> None:
    at = spoiler.within(data)
    del data[at : at + spoiler.choice((1, 4, 37, 56))]


def _repeat(spoiler: Spoiler, data: bytearray) -> None:
    at = spoiler.within(data)
    part = data[at : at + spoiler.choice((1, 4, 28, 52, 56))]
    data[at:at] = part * spoiler.choice((1, 1, 40))


def _insert(spoiler: Spoiler, data: bytearray) -> None:
    at = spoiler.within(data)
    data[at:at] = spoiler.choice(
        (b'-1', b'1e999', b'NaN', b'[' * 40, b'"\\ud800"', b'9' * 5000)
        + (b'/../', b'\0', b'{"a":', b',', b'"', b'\xff\xfe', b'0-16777215')
    )


_SPOILS: list[Callable[[Spoiler, bytearray], None]] = [
    _flip,
    _set,
    _number,
    _cut,
    _drop,
    _repeat,
    _insert,
]


def spoiled(parser: Parser, count: int) -> Iterator[bytes]:
    """Yield bytes for a parser: spoiled, every other with a right frame."""
    spoiler = Spoiler(count)
    for at in range(count):
        if parser.magic and at % 2:
            body = spoiler.spoil(parser.good[24:-32])
            yield frame.seal(parser.magic, body, 'blake3')
        else:
            yield spoiler.spoil(parser.good)


def document(parser: Parser) -> dict[str, object]:
    """Return the JSON document of a parser's good bytes."""
    body = parser.good[24:-32] if parser.magic else parser.good
    found: dict[str, object] = json.loads(body)
    return found
