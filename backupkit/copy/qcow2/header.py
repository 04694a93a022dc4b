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

"""The header of a qcow2 image, read before any other program opens it.

Whoever can write to a volume that was raw once can have put any header
there, and QEMU does what headers say: it opens files of any name, and takes
memory by the sizes that they tell. So everything here is bounded, and what
names another file than a backing one, or needs what is not known, is
refused. Source: docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import os
import struct

from backupkit.copy.qcow2 import bitmaps as bitmaps_
from backupkit import errors

MAGIC = b'QFI\xfb'

#: Nobody's volume is larger: what says so wants memory.
MAX_BYTES = 1 << 50

_V2 = struct.Struct('>4sIQIIQIIQQIIQ')
_V3 = struct.Struct('>QQQII')
_EXTENSION = struct.Struct('>II')

#: Incompatible features that are fine: the image was not closed well, its
#: compression is named, its clusters have subclusters.
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _SUBCLUSTERS = (
    1 << bit for bit in range(5)
)
_KNOWN = _DIRTY | _COMPRESSION | _SUBCLUSTERS

_AUTOCLEAR_BITMAPS = 1
_BACKING_FORMAT = 0xE2792ACA
_BITMAPS = 0x23852875
_ENCRYPTION = 0x0537BE77
_DATA_FILE_NAME = 0x44415441

#: As QEMU bounds them: block/qcow2.h, QCOW_MAX_*.
_MAX_L1_BYTES = 32 << 20
_MAX_REFCOUNTS_BYTES = 8 << 20
_MAX_SNAPSHOTS = 65536
_MAX_NAME = 1023
#: The smallest entry of the table of snapshots.
_SNAPSHOT_BYTES = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What the header of a qcow2 image says.

    :ivar backing_file: the name as it stands there; empty without one
    :ivar backing_format: empty where the header does not name it
    :ivar snapshots: how many internal snapshots there are
    """

    size_bytes: int
    version: int
    cluster_bytes: int
    backing_file: str = ''
    backing_format: str = ''
    snapshots: int = 0
    dirty: bool = False
    bitmaps: tuple[bitmaps_.Bitmap, ...] = ()


class Unsafe(Exception):
    """Why an image must not be opened; for the error that names it."""


def read(fd: int) -> Header:
    """Return what the header of an open image says.

    :raises errors.SourceError: it is no qcow2 image, or one that is not
        to be opened; the message does not name the file
    """
    try:
        return _Parser(fd).parse()
    except (Unsafe, bitmaps_.Malformed) as exc:
        raise errors.SourceError(f'its qcow2 header {exc}') from exc
    except OSError as exc:
        raise errors.SourceError(
            f'its header cannot be read: {exc.strerror}'
        ) from exc


class _Parser:
    """Reads one header."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._file_bytes = os.fstat(fd).st_size
        start = os.pread(fd, _V2.size, 0)
        if len(start) < _V2.size or start[:4] != MAGIC:
            raise Unsafe('is missing: the file is no qcow2 image')
        (
            _,
            self._version,
            self._backing_at,
            self._backing_bytes,
            self._cluster_bits,
            self._size,
            self._encryption,
            self._l1_entries,
            self._l1_at,
            self._refcounts_at,
            self._refcounts_clusters,
            self._snapshots,
            self._snapshots_at,
        ) = _V2.unpack(start)
        self._incompatible = self._autoclear = 0
        self._length = _V2.size

    def parse(self) -> Header:
        if self._version not in (2, 3):
            raise Unsafe(f'has version {self._version}; 2 and 3 are known')
        if not 9 <= self._cluster_bits <= 21:
            raise Unsafe(f'has clusters of 2^{self._cluster_bits} bytes')
        if self._version == 3:
            self._read_version_3()
        if self._encryption:
            raise Unsafe('says that the image is encrypted')
        self._check_sizes()
        backing_file = self._backing_file()
        backing_format = ''
        bitmaps: tuple[bitmaps_.Bitmap, ...] = ()
        for kind, content in self._extensions():
            if kind == _BACKING_FORMAT:
                backing_format = _text(content)
            elif kind == _BITMAPS and self._autoclear & _AUTOCLEAR_BITMAPS:
                bitmaps = bitmaps_.read(
                    self._fd, content, self._file_bytes, self._cluster
                )
            elif kind == _DATA_FILE_NAME:
                raise Unsafe('names an external data file')
            elif kind == _ENCRYPTION:
                raise Unsafe('says that the image is encrypted')
        return Header(
            self._size,
            self._version,
            self._cluster,
            backing_file,
            backing_format,
            self._snapshots,
            bool(self._incompatible & _DIRTY),
            bitmaps,
        )

    @property
    def _cluster(self) -> int:
        return int(1 << self._cluster_bits)

    def _read_version_3(self) -> None:
        rest = os.pread(self._fd, _V3.size + 8, _V2.size)
        if len(rest) < _V3.size:
            raise Unsafe('is cut off')
        self._incompatible, _, self._autoclear, order, self._length = (
            _V3.unpack_from(rest)
        )
        if self._incompatible & _DATA_FILE or self._autoclear & 2:
            raise Unsafe('names an external data file')
        if self._incompatible & _CORRUPT:
            raise Unsafe('says that the image is corrupt')
        unknown = self._incompatible & ~_KNOWN
        if unknown:
            raise Unsafe(f'needs features that are not known: {unknown:#x}')
        if order > 6:
            raise Unsafe(f'has reference counts of 2^{order} bits')
        least = _V2.size + _V3.size
        if not least <= self._length <= self._cluster or self._length % 8:
            raise Unsafe(f'says to be {self._length} bytes long')
        if self._incompatible & _COMPRESSION and (
            self._length <= least or rest[_V3.size] not in (0, 1)
        ):
            raise Unsafe('names a compression that is not known')

    def _check_sizes(self) -> None:
        if self._size % 512 or self._size > MAX_BYTES:
            raise Unsafe(f'tells a virtual size of {self._size} bytes')
        # One table of the second level fills a cluster.
        entry = 16 if self._incompatible & _SUBCLUSTERS else 8
        reach = self._cluster // entry * self._cluster
        l1_bytes = self._l1_entries * 8
        if l1_bytes > _MAX_L1_BYTES:
            raise Unsafe(f'tells an L1 table of {l1_bytes} bytes')
        if self._l1_entries * reach < self._size:
            raise Unsafe('tells an L1 table that is too small')
        self._check_table('an L1 table', self._l1_at, l1_bytes)
        refcounts = self._refcounts_clusters * self._cluster
        if not 0 < refcounts <= _MAX_REFCOUNTS_BYTES:
            raise Unsafe(f'tells a table of {refcounts} bytes of references')
        self._check_table('references', self._refcounts_at, refcounts)
        if self._snapshots > _MAX_SNAPSHOTS:
            raise Unsafe(f'tells {self._snapshots} internal snapshots')
        self._check_table(
            'snapshots', self._snapshots_at, self._snapshots * _SNAPSHOT_BYTES
        )

    def _check_table(self, what: str, offset: int, length: int) -> None:
        if not length:
            return
        if offset % self._cluster or offset < self._cluster:
            raise Unsafe(f'tells {what} at {offset}, which is no cluster')
        if offset + length > self._file_bytes:
            raise Unsafe(f'tells {what} behind the end of the file')

    def _backing_file(self) -> str:
        if not self._backing_at:
            if self._backing_bytes:
                raise Unsafe('tells a backing file without its place')
            return ''
        end = self._backing_at + self._backing_bytes
        if (
            not 0 < self._backing_bytes <= _MAX_NAME
            or self._backing_at < self._length
            or end > self._cluster
        ):
            raise Unsafe('tells the name of a backing file at no good place')
        name = os.pread(self._fd, self._backing_bytes, self._backing_at)
        if len(name) < self._backing_bytes:
            raise Unsafe('is cut off')
        return _text(name)

    def _extensions(self) -> Iterator[tuple[int, bytes]]:
        """Yield the extensions of the header, each kind once."""
        end = self._backing_at or self._cluster
        at = self._length
        seen = set()
        while at + _EXTENSION.size <= end:
            head = os.pread(self._fd, _EXTENSION.size, at)
            if len(head) < _EXTENSION.size:
                return
            kind, length = _EXTENSION.unpack(head)
            if not kind:
                return
            at += _EXTENSION.size
            if length > end - at:
                raise Unsafe('has an extension that leads out of it')
            if kind in seen:
                raise Unsafe(f'has the extension {kind:#x} twice')
            seen.add(kind)
            yield kind, os.pread(self._fd, length, at)
            at += -(-length // 8) * 8


def _text(name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise Unsafe(f'has a name that is no text: {name!a}') from None
    if not text.isprintable():
        raise Unsafe(f'has a name that is no text: {text!a}')
    return text
