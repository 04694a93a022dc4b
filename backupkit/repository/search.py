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

"""The search for a digest in a table of records in its order.

Digests are spread evenly, so where one lies can be guessed. What is not
spread so is found all the same, in a bounded number of steps.
"""

from __future__ import annotations

import mmap

#: Bytes of a digest, with which each record begins.
_KEY = 32

#: Records on either side of a guessed position that are searched.
_NEAR = 48

#: Digests by their first eight bytes.
_ALL = 1 << 64


def first(
    data: bytes | mmap.mmap, base: int, count: int, size: int, key: bytes
) -> int:
    """Return the position of the first record not below a digest.

    Where there is none of that digest, ``count`` may be returned as well.

    :param base: where the table begins in ``data``
    :param count: records in the table
    :param size: bytes of a record
    """
    at = _near_guess(data, base, count, size, key)
    return _halved(data, base, count, size, key) if at is None else at


def _near_guess(
    data: bytes | mmap.mmap, base: int, count: int, size: int, key: bytes
) -> int | None:
    """Look where a digest lies if all are spread evenly.

    A guess by proportion misses by about half the root of the number of
    records, and another from there by the root of that.

    :returns: None where it may lie elsewhere
    """
    wanted = int.from_bytes(key[:8], 'big')
    at = wanted * count >> 64
    position = base + at * size
    found = int.from_bytes(data[position : position + 8], 'big')
    at += (wanted - found) * count >> 64
    at = min(max(at, 0), count)
    begin = base + max(at - _NEAR, 0) * size
    end = base + min(at + _NEAR, count) * size
    # The first one in sight may have others of its digest before it.
    if not data[begin : begin + _KEY] < key < data[end - size : end]:
        return None
    position = data.find(key, begin, end)
    if position < 0:
        return count
    at, inside = divmod(position - base, size)
    return None if inside else at


def _halved(
    data: bytes | mmap.mmap, base: int, count: int, size: int, key: bytes
) -> int:
    """Guess by proportion and halve in turn: that bounds the steps."""
    wanted = int.from_bytes(key[:8], 'big')
    low, high = 0, count
    low_key, high_key = 0, _ALL
    guessing = True
    while low < high:
        if guessing and low_key <= wanted < high_key:
            at = low + (wanted - low_key) * (high - low) // (
                high_key - low_key
            )
        else:
            at = (low + high) // 2
        guessing = not guessing
        position = base + at * size
        found = data[position : position + _KEY]
        if found < key:
            low, low_key = at + 1, int.from_bytes(found[:8], 'big')
        else:
            high, high_key = at, int.from_bytes(found[:8], 'big') + 1
    return low
