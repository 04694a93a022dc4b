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


"""Reading ranges of an object, short only where it ends."""

from __future__ import annotations

from collections.abc import Sequence
import os

from backupkit.copy import direct
from backupkit_plugins.targets.posix import fsops

#: From here on, pages that are not cached stay so.
_LARGE_BYTES = 128 << 10
_IOV_MAX = os.sysconf('SC_IOV_MAX')


def read(fd: int, length: int, offset: int) -> bytes:
    """Read a range, shorter only where the file ends."""
    pieces = []
    while length > 0:
        piece = fsops.pread(fd, length, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b''.join(pieces)


def read_into(
    fd: int, buffers: Sequence[bytearray | memoryview], offset: int
) -> int:
    """Fill the buffers, and tell how many bytes there were for them."""
    if sum(map(len, buffers)) >= _LARGE_BYTES:
        return fsops.read_direct(fd, buffers, offset)
    start = offset
    left = buffers
    while left:
        done = fsops.preadv(fd, left[:_IOV_MAX], offset)
        if not done:
            break
        offset += done
        left = direct.rest(left, done)
    return offset - start
