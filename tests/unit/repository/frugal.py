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

"""Feeds parsers with what asks for much memory, where there is little."""

from __future__ import annotations

from collections.abc import Callable
import json
import pathlib
import resource
import struct
import sys
import zlib

import lz4.frame
import zstandard

from backupkit import errors
from backupkit.repository import codec
from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import pack
from backupkit.repository import settings
from backupkit.repository import tree
from tests.unit.repository import hostile

_BOMB = 256 << 20
_OUT = bytearray(1 << 20)


def _bomb(number: int, stored: bytes) -> Callable[[], object]:
    return lambda: codec.Decoder().decode_into(number, stored, _OUT)


def _zeros(
    write: Callable[[bytes], bytes], flush: Callable[[], bytes]
) -> bytes:
    """Compress very many zeros, piece by piece."""
    piece = bytes(1 << 20)
    made = [write(piece) for _ in range(_BOMB >> 20)]
    return b''.join([*made, flush()])


def _zstd() -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj(size=_BOMB)
    return _zeros(compressor.compress, compressor.flush)


def _zlib() -> bytes:
    compressor = zlib.compressobj()
    return _zeros(compressor.compress, compressor.flush)


def _lz4() -> bytes:
    compressor = lz4.frame.LZ4FrameCompressor()
    begin = compressor.begin(_BOMB)
    return bytes(begin) + _zeros(
        lambda piece: bytes(compressor.compress(piece)),
        lambda: bytes(compressor.flush()),
    )


def _document(name: str, **fields: object) -> Callable[[], object]:
    parser = hostile.PARSERS[name]
    text = json.dumps({**hostile.document(parser), **fields}).encode()
    if parser.magic:
        text = frame.seal(parser.magic, text, 'blake3')
    return lambda: parser.read(text)


def _read(name: str, data: bytes) -> Callable[[], object]:
    return lambda: hostile.PARSERS[name].read(data)


def _header(packs: int, count: int) -> bytes:
    body = index.HEADER.pack(bytes(16), bytes(4), 0, packs, count)
    return frame.seal(frame.INDEX, body, 'blake3')


def _trailer() -> bytes:
    good = bytearray(hostile.PARSERS['trailer'].good)
    struct.pack_into('<II', good, 24, 8, (1 << 30) // pack.ENTRY.size)
    return bytes(good)


def _map() -> object:
    """Ask for a node as large as a reference can say."""
    reader = tree.MapReader(
        tree.Geometry(1 << 50, 4096),
        tree.REF.pack(tree.STORED, (1 << 32) - 1, bytes(32)),
        lambda _, length: bytes(length),
    )
    (span,) = reader.walk()
    raise span.error or AssertionError('it was not refused')


def _ranges() -> object:
    """Name as many packs as there may be, and then one more."""
    many = {f'{at:08x}': '0-99999' for at in range(168)}
    parser = hostile.PARSERS['manifest']
    document = hostile.document(parser)
    document['packs'] = {hostile.BACKUP: dict(list(many.items())[:167])}
    parser.read(json.dumps(document).encode())
    document['packs'] = {hostile.BACKUP: many}
    return parser.read(json.dumps(document).encode())


def count_refused(calls: list[Callable[[], object]]) -> int:
    """Make each call, and tell how many were refused as they should be."""
    refused = 0
    for call in calls:
        try:
            call()
        except errors.IntegrityError:
            refused += 1
    return refused


def peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main(limit_bytes: int) -> None:
    """Feed all of them, with no more memory than so much."""
    bombs = [
        _bomb(codec.ZSTD, _zstd()),
        _bomb(codec.ZLIB, _zlib()),
        _bomb(codec.LZ4, _lz4()),
    ]
    # Measured: where a limit is set, a library may call that damage.
    before = peak_bytes()
    blown = count_refused(bombs)
    if peak_bytes() - before > limit_bytes:
        raise MemoryError('a bomb went off')
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit_bytes,) * 2)
    asked = count_refused(
        [
            _ranges,
            _map,
            _read('index', _header((1 << 32) - 1, 0)),
            _read('segment', _header(0, (1 << 32) - 1)),
            _read('trailer', _trailer()),
            _document(
                'manifest', index={hostile.BACKUP: {'a77e0001': 99_999_999}}
            ),
            _document(
                'note', packs={hostile.BACKUP: {'a77e0001': '0-9999999'}}
            ),
            lambda: settings.load(
                frame.seal(frame.CONFIG, b'{"a":' + b'[' * 10_000, 'blake3')
            ),
        ]
    )
    print(f'{blown} and {asked} refused')  # noqa: T201 - the parent reads it


if __name__ == '__main__':
    main(int(sys.argv[1]))
