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

"""The frame around every object that is not a pack.

::

    offset  size  field
    0       8     magic: which kind of object, and its version
    8       1     digest number (1 BLAKE3, 2 SHA-256)
    9       7     zero
    16      8     length of the body, little-endian
    24      n     body
    24+n    32    digest of everything before

Any single flipped bit, truncation or extension is found when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import itertools
import json
import os
import struct
from typing import Any

from backupkit import errors
from backupkit.repository import digest
from backupkit.repository import limits

MANIFEST = b'BKMANIF1'
TOMBSTONE = b'BKTOMBS1'
CONFIG = b'BKCONFG1'
ADOPTED = b'BKADOPT1'
INDEX = b'BKINDEX1'
MOVED = b'BKMOVED1'
DAMAGED = b'BKDAMAG1'
RESERVE = b'BKRESRV1'
JOURNAL = b'BKJOURN1'

HEADER = struct.Struct('<8sB7sQ')
OVERHEAD = HEADER.size + digest.SIZE

#: Greatest object that is read whole.
SIZE_LIMIT = 64 << 20

#: Deepest nesting of a JSON document.
DEPTH_LIMIT = 32

_READ_BYTES = 1 << 20


def seal(magic: bytes, body: bytes, digest_name: str) -> bytes:
    """Return a framed body."""
    return b''.join(stream(magic, [body], len(body), digest_name))


def stream(
    magic: bytes, parts: Iterable[bytes], length: int, digest_name: str
) -> Iterator[bytes]:
    """Yield a framed body of ``length`` bytes piece by piece."""
    number = limits.DIGESTS[digest_name]
    running = digest.running(number)
    head = HEADER.pack(magic, number, bytes(7), length)
    for part in itertools.chain([head], parts):
        running.update(part)
        yield part
    yield running.digest()


def magic_of(data: bytes) -> bytes:
    """Return the magic of a framed object, whole or not."""
    return data[:8]


def unseal(magic: bytes, data: bytes, what: str) -> bytes:
    """Return the body of a frame after checking all of it.

    :param what: names the object in errors
    :raises errors.FormatTooNew: a newer version of this kind of object
    :raises errors.FormatError: the object is damaged, or another kind
    """
    if len(data) < OVERHEAD:
        raise errors.FormatError(f'{what} is cut short: {len(data)} bytes')
    found, number, padding, length = HEADER.unpack_from(data)
    if found != magic:
        if found[:7] == magic[:7] and found[7:8].isdigit():
            raise errors.FormatTooNew(
                f'{what} is of version {found[7:8].decode()}, which this '
                'release does not read'
            )
        raise errors.FormatError(f'{what} does not begin as it should')
    if length != len(data) - OVERHEAD or padding != bytes(7):
        raise errors.FormatError(f'{what} has a wrong length or header')
    if number not in limits.DIGESTS.values():
        raise errors.FormatError(f'{what} has an unknown digest number')
    content = memoryview(data)
    end = HEADER.size + length
    if digest.by_number(number)(content[:end]) != data[end:]:
        raise errors.FormatError(f'the checksum of {what} does not match')
    return bytes(content[HEADER.size : end])


def check_file(magic: bytes, descriptor: int, what: str) -> None:
    """Check a frame in a file without holding it in memory.

    :raises errors.FormatError: it is damaged, or another kind
    """
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, HEADER.size, 0)
    if size < OVERHEAD or len(head) < HEADER.size:
        raise errors.FormatError(f'{what} is cut short')
    found, number, _, length = HEADER.unpack(head)
    if found != magic or length != size - OVERHEAD:
        raise errors.FormatError(f'{what} does not begin as it should')
    running = digest.running(number)
    end = size - digest.SIZE
    for at in range(0, end, _READ_BYTES):
        running.update(os.pread(descriptor, min(_READ_BYTES, end - at), at))
    if running.digest() != os.pread(descriptor, digest.SIZE, end):
        raise errors.FormatError(f'the checksum of {what} does not match')


def dump_json(document: dict[str, Any]) -> bytes:
    """Return a document as canonical JSON: sorted keys, no spaces."""
    return json.dumps(
        document, sort_keys=True, separators=(',', ':'), allow_nan=False
    ).encode()


def load_json(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in ``data``, read with suspicion.

    Refused: more than :data:`SIZE_LIMIT` bytes, nesting deeper than
    :data:`DEPTH_LIMIT`, keys given twice, NaN and infinities.

    :raises errors.FormatError: it is none
    """
    if len(data) > SIZE_LIMIT:
        raise errors.FormatError(f'{what} is larger than allowed')
    try:
        document = json.loads(
            data.decode('utf-8'),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError) as exc:
        raise errors.FormatError(f'{what} is not JSON: {exc}') from exc
    if not isinstance(document, dict):
        raise errors.FormatError(f'{what} is not a JSON object')
    _check_depth(document, what)
    return document


def _check_depth(document: dict[str, Any], what: str) -> None:
    """Refuse what is nested too deep; the parser has a limit of its own."""
    level: list[Any] = [document]
    for _ in range(DEPTH_LIMIT):
        level = [
            value
            for item in level
            for value in (item.values() if isinstance(item, dict) else item)
            if isinstance(value, dict | list)
        ]
        if not level:
            return
    raise errors.FormatError(f'{what} is deeper than allowed')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError('a key is given twice')
    return document


def _refuse(text: str) -> Any:
    raise ValueError(f'{text} is not allowed')
