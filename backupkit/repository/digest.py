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

"""Digests of plain chunks and of stored bytes.

BLAKE3 by default; SHA-256 (FIPS 180-4) by option. Both give 32 bytes and
let go of the interpreter's lock while they work.
"""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from typing import Protocol

import blake3

from backupkit import errors
from backupkit.repository import limits

SIZE = 32

Digest = Callable[[bytes | bytearray | memoryview], bytes]


def _blake3(data: bytes | bytearray | memoryview) -> bytes:
    return blake3.blake3(data).digest()


def _sha256(data: bytes | bytearray | memoryview) -> bytes:
    return hashlib.sha256(data).digest()


_FUNCTIONS: dict[str, Digest] = {'blake3': _blake3, 'sha256': _sha256}


def by_name(name: str) -> Digest:
    """Return the digest function of a name.

    :raises errors.FormatTooNew: this release does not know it
    """
    try:
        return _FUNCTIONS[name]
    except KeyError:
        raise errors.FormatTooNew(
            f'the repository uses the digest {name[:40]!r}, which this '
            'release does not know'
        ) from None


def by_number(number: int) -> Digest:
    """Return the digest function of a number in a binary header.

    :raises errors.FormatTooNew: this release does not know it
    """
    for name, known in limits.DIGESTS.items():
        if known == number:
            return _FUNCTIONS[name]
    raise errors.FormatTooNew(
        f'an object uses digest number {number}, which this release does '
        'not know'
    )


class Running(Protocol):
    """A digest that is fed piece by piece."""

    def update(self, data: bytes, /) -> object:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the digest of all bytes so far."""


def running(number: int) -> Running:
    """Return a digest to be fed, by its number in a binary header.

    :raises errors.FormatError: the number is unknown
    """
    if number == limits.DIGESTS['blake3']:
        return blake3.blake3()
    if number == limits.DIGESTS['sha256']:
        return hashlib.sha256()
    raise errors.FormatError(f'digest number {number} is unknown')
