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

"""Headers of qcow2 images, put together byte by byte."""

from __future__ import annotations

import dataclasses
import struct

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS

BACKING_FORMAT = 0xE2792ACA
BITMAPS = 0x23852875
ENCRYPTION = 0x0537BE77
DATA_FILE = 0x44415441


@dataclasses.dataclass
class Image:
    """An image of no data, good unless a field is changed."""

    version: int = 3
    backing: bytes = b''
    backing_offset: int | None = None
    cluster_bits: int = CLUSTER_BITS
    size: int = 64 << 20
    encryption: int = 0
    l1_entries: int = 1
    l1_offset: int = CLUSTER
    refcounts_offset: int = 2 * CLUSTER
    refcounts_clusters: int = 1
    snapshots: int = 0
    snapshots_offset: int = 0
    incompatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    header_length: int = 104
    after_header: bytes = b''
    extensions: list[tuple[int, bytes]] = dataclasses.field(
        default_factory=list
    )
    tail: bytes = b''

    def bytes(self) -> bytes:
        """Return the file."""
        extensions = b''
        for kind, content in self.extensions:
            padded = content + bytes(-len(content) % 8)
            extensions += struct.pack('>II', kind, len(content)) + padded
        extensions += bytes(8)
        length = 72 if self.version < 3 else self.header_length
        offset = length + len(extensions) if self.backing else 0
        if self.backing_offset is not None:
            offset = self.backing_offset
        head = struct.pack(
            '>4sIQIIQIIQQIIQ',
            b'QFI\xfb',
            self.version,
            offset,
            len(self.backing),
            self.cluster_bits,
            self.size,
            self.encryption,
            self.l1_entries,
            self.l1_offset,
            self.refcounts_offset,
            self.refcounts_clusters,
            self.snapshots,
            self.snapshots_offset,
        )
        if self.version >= 3:
            head += struct.pack(
                '>QQQII',
                self.incompatible,
                0,
                self.autoclear,
                self.refcount_order,
                self.header_length,
            )
            head += self.after_header
            head += bytes(max(0, length - len(head)))
        whole = head + extensions + self.backing
        return whole + bytes(max(0, 4 * CLUSTER - len(whole))) + self.tail


def bitmap_directory(
    *entries: tuple[bytes, int], kind: int = 1, bits: int = 16
) -> bytes:
    """Return a directory of bitmaps, of names and flags."""
    directory = b''
    for name, flags in entries:
        entry = struct.pack(
            '>QIIBBHI', CLUSTER, 1, flags, kind, bits, len(name), 0
        )
        entry += name
        directory += entry + bytes(-len(entry) % 8)
    return directory


def with_bitmaps(*entries: tuple[bytes, int]) -> Image:
    """Return an image with dirty bitmaps of these names and flags."""
    directory = bitmap_directory(*entries)
    extension = struct.pack(
        '>IIQQ', len(entries), 0, len(directory), 4 * CLUSTER
    )
    return Image(
        autoclear=1, extensions=[(BITMAPS, extension)], tail=directory
    )
