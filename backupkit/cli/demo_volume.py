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

"""The volume of the demo: made, changed and compared as a user might."""

from __future__ import annotations

import hashlib
import pathlib
import random

_MIB = 1024**2
_BLOCK_BYTES = 64 * 1024

#: What a mebibyte holds, in turn: as on a disk that is in use, some of it
#: compresses, some does not, some is there twice and some was never written.
_KINDS = ('text', 'noise', 'text', 'hole', 'text', 'copy', 'noise', 'hole')


def make(path: pathlib.Path, size_bytes: int, seed: int) -> int:
    """Write an image of this size; return how much of it is not a hole."""
    source = random.Random(seed)  # noqa: S311 -- data to look at, no secret
    data_bytes = 0
    with path.open('xb') as image:
        image.truncate(size_bytes)
        for number, offset in enumerate(range(0, size_bytes, _MIB)):
            piece = _piece(_KINDS[number % len(_KINDS)], number, source)
            piece = piece[: size_bytes - offset]
            image.seek(offset)
            image.write(piece)
            data_bytes += len(piece)
    return data_bytes


def change(
    path: pathlib.Path, size_bytes: int, percent: float, seed: int
) -> int:
    """Overwrite so much of it, at random places; return the bytes."""
    source = random.Random(seed)  # noqa: S311 -- data to look at, no secret
    blocks = max(1, size_bytes // _BLOCK_BYTES)
    count = max(1, round(blocks * percent / 100))
    changed_bytes = 0
    with path.open('r+b') as image:
        for block in sorted(source.sample(range(blocks), count)):
            offset = block * _BLOCK_BYTES
            length = min(_BLOCK_BYTES, size_bytes - offset)
            image.seek(offset)
            image.write(source.randbytes(length))
            changed_bytes += length
    return changed_bytes


def digest(path: pathlib.Path) -> str:
    """Return the SHA-256 of all bytes of an image."""
    with path.open('rb') as image:
        return hashlib.file_digest(image, 'sha256').hexdigest()


def _piece(kind: str, number: int, source: random.Random) -> bytes:
    if kind == 'hole':
        return b''
    if kind == 'noise':
        return source.randbytes(_MIB)
    # Every copy is the same; every text is another.
    start = 0 if kind == 'copy' else number * _MIB
    lines = (
        b'%012d the quick brown fox jumps over the lazy dog %06x\n'
        % (start + line, (start + line) * 2654435761 % 0xFFFFFF)
        for line in range(_MIB // 60)
    )
    return b''.join(lines).ljust(_MIB, b'.')[:_MIB]
