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

"""The dirty bitmaps that a qcow2 image tells of in its header.

Source: docs/interop/qcow2.txt of QEMU, "Bitmaps".
"""

from __future__ import annotations

import dataclasses
import os
import struct

_EXTENSION = struct.Struct('>IIQQ')
_ENTRY = struct.Struct('>QIIBBHI')

#: As QEMU bounds them: block/qcow2-bitmap.c, block/qcow2.h.
_MAX_BITMAPS = 65535
_MAX_DIRECTORY = 64 << 20
_MAX_NAME = 1023

_IN_USE, _AUTO, _EXTRA_IS_FINE = 1, 2, 4
_DIRTY_TRACKING = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Bitmap:
    """A dirty bitmap of an image.

    :ivar in_use: it was not saved when it was last written to, so that
        what it holds is older than the image
    :ivar enabled: QEMU keeps it up to date while it has the image open
    """

    name: str
    granularity_bytes: int
    in_use: bool
    enabled: bool


class Malformed(Exception):
    """Why bitmaps cannot be read."""


def read(
    fd: int, extension: bytes, file_bytes: int, cluster_bytes: int
) -> tuple[Bitmap, ...]:
    """Return the bitmaps that an extension of the header leads to.

    :raises Malformed: their directory is no good
    """
    if len(extension) != _EXTENSION.size:
        raise Malformed('has an odd extension for bitmaps')
    count, _, length, offset = _EXTENSION.unpack(extension)
    if not 0 < count <= _MAX_BITMAPS or not 0 < length <= _MAX_DIRECTORY:
        raise Malformed(f'tells {count} bitmaps in {length} bytes')
    if offset % cluster_bytes or not offset or offset + length > file_bytes:
        raise Malformed('tells bitmaps behind the end of the file')
    directory = os.pread(fd, length, offset)
    if len(directory) < length:
        raise Malformed('tells bitmaps behind the end of the file')
    found = []
    for _ in range(count):
        bitmap, used = _entry(directory)
        directory = directory[used:]
        if bitmap:
            found.append(bitmap)
    return tuple(found)


def _entry(directory: bytes) -> tuple[Bitmap | None, int]:
    """Return the first bitmap of a directory, and its bytes in there."""
    if len(directory) < _ENTRY.size:
        raise Malformed('tells more bitmaps than there are')
    _, _, flags, kind, bits, name_bytes, extra = _ENTRY.unpack_from(directory)
    begin = _ENTRY.size + extra
    end = begin + name_bytes
    if not 0 < name_bytes <= _MAX_NAME or end > len(directory):
        raise Malformed('tells a bitmap that leads out of its directory')
    used = -(-end // 8) * 8
    name = directory[begin:end].decode(errors='replace')
    strange = extra and not flags & _EXTRA_IS_FINE
    if kind != _DIRTY_TRACKING or strange or not 9 <= bits <= 31:
        return None, used
    return (
        Bitmap(name, 1 << bits, bool(flags & _IN_USE), bool(flags & _AUTO)),
        used,
    )
