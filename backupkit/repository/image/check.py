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

"""Checks an image against its digest tree, or makes the tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import threading

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import block
from backupkit.repository.image import digests
from backupkit.repository.image import failures
from backupkit.repository.image import reader as reader_
from backupkit.repository.image import source as source_
from backupkit.repository.image import volume as volume_
from backupkit.repository import layout
from backupkit.repository import packset
from backupkit.repository import selection
from backupkit.repository import tree

#: Bytes that are chosen, or not, together.
_PIECE_BYTES = 64 << 20

_ATTEMPT = '00000000'


def check(
    reader: reader_.ImageReader,
    name: str,
    backup_id: str,
    control: control_.Control,
    *,
    threads: int,
    reads: selection.Selection,
) -> target_.Report:
    """Check every node of the digest tree, and the bytes that are chosen.

    :param reader: of an image that has a digest tree
    :param name: of the image, for findings
    :param reads: chooses among the pieces of the image, as if they were
        packs of the backup
    """
    map_ = reader.map
    if map_ is None:
        raise errors.BackupkitError('an image without digests has no check')
    control.start('verify', reader.size_bytes)
    problems: list[str] = []
    chunks = 0
    for span in map_.walk():
        control.check()
        if span.error:
            problems.append(f'part of its digests is lost: {span.error}')
        elif span.node is not None:
            kinds = span.node[:: tree.REF.size]
            chunks += kinds.count(tree.STORED)
    read = 0
    chosen = reads.of(_pieces(backup_id, map_.geometry))
    if chosen and not problems:
        comparison = _Comparison(reader)
        known = _Known(reader, map_.geometry, backup_id, chosen)
        _copy(known, comparison, control, map_.geometry, threads)
        problems += comparison.problems()
        read = comparison.read_bytes
    return target_.Report(
        objects=1,
        chunks=chunks,
        bytes_read=read,
        findings=tuple(
            target_.Finding(name, problem, (backup_id,))
            for problem in problems
        ),
    )


def complete(
    volume: volume_.BackupVolume, control: control_.Control, *, threads: int
) -> target_.Report:
    """Read a committed image that has no digests, and put its tree.

    :raises errors.TargetError: it cannot be read or written
    """
    manifest = volume.manifest()
    backup_id, geometry = manifest.summary.backup_id, manifest.geometry
    file = volume.tree(geometry, manifest.digest)
    with contextlib.closing(
        source_.FileSource(volume.path, geometry.size_bytes)
    ) as source:
        root, read = build(source, file, control, threads=threads)
    # The head is what says that the nodes are there.
    volume.flush()
    file.put_head(block.Head(backup_id, geometry, root))
    volume.flush()
    return target_.Report(objects=1, bytes_read=read)


def build(
    source: source_.Source,
    file: digests.TreeFile,
    control: control_.Control,
    *,
    threads: int,
) -> tuple[bytes, int]:
    """Read an image and write the nodes of its digest tree.

    :returns: the root, and how much was read; the nodes are not durable yet
    """
    geometry = file.geometry
    control.start('verify', geometry.size_bytes)
    builder = _Builder(file)
    with failures.at_target(source.name):
        _copy(source, builder, control, geometry, threads)
        return builder.root(), builder.read_bytes


def _copy(
    reader: interface.Reader,
    writer: interface.Writer,
    control: control_.Control,
    geometry: tree.Geometry,
    threads: int,
) -> None:
    pipeline.copy(
        reader,
        writer,
        control,
        block_bytes=geometry.chunk_bytes,
        threads=threads,
    )


def _piece_bytes(geometry: tree.Geometry) -> int:
    """Return the size of a piece: whole chunks, as many as in a pack."""
    count = max(1, _PIECE_BYTES // geometry.chunk_bytes)
    return count * geometry.chunk_bytes


def _pieces(backup_id: str, geometry: tree.Geometry) -> packset.PackSet:
    """Return the pieces of an image, each as if it were a pack."""
    pieces = packset.PackSet()
    count = -(-geometry.size_bytes // _piece_bytes(geometry))
    if count:
        pieces.add_ranges(backup_id, _ATTEMPT, [(0, count - 1)])
    return pieces


class _Known(interface.Reader):
    """Tells what an image should hold; its bytes are read at the end.

    What was not chosen is told as the same as in a parent.
    """

    def __init__(
        self,
        reader: reader_.ImageReader,
        geometry: tree.Geometry,
        backup_id: str,
        chosen: packset.PackSet,
    ) -> None:
        self.size_bytes = reader.size_bytes
        self._reader = reader
        self._piece = _piece_bytes(geometry)
        self._owner = backup_id
        self._chosen = chosen

    def extents(self) -> Iterator[model.Extent]:
        for extent in self._reader.extents():
            at = extent.offset
            while at < extent.end:
                number = at // self._piece
                end = min(extent.end, (number + 1) * self._piece)
                piece = layout.PackId(self._owner, _ATTEMPT, number)
                kind = extent.kind
                if piece not in self._chosen:
                    kind = model.ExtentKind.SAME
                yield model.Extent(at, end - at, kind)
                at = end

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        """Read nothing: the writer behind it reads, and compares."""


class _Comparison(interface.Writer):
    """Compares an image with what it should hold."""

    def __init__(self, reader: reader_.ImageReader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._damaged = self._soiled = 0
        self._first: int | None = None
        self.read_bytes = 0

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        damaged = self._reader.differing(offset, buffers)
        with self._lock:
            self.read_bytes += sum(map(len, buffers))
            self._damaged += len(damaged)
            for number in damaged:
                if self._first is None or number < self._first:
                    self._first = number

    def zero(self, offset: int, length: int) -> None:
        soiled = self._reader.soiled(offset, length)
        with self._lock:
            self._soiled += soiled

    def same(self, offset: int, length: int) -> None:
        """Pass over what was not chosen."""

    def finish(self) -> None:
        """Do nothing: nothing was written."""

    def problems(self) -> list[str]:
        """Tell what was found, in a sentence each."""
        told = []
        if self._damaged:
            told.append(
                f'{self._damaged} chunks are damaged, number {self._first} '
                'is the first'
            )
        if self._soiled:
            told.append(f'{self._soiled} bytes are not zero that should be')
        return told


class _Builder(interface.Writer):
    """Takes the bytes of an image, and keeps their digests."""

    def __init__(self, file: digests.TreeFile) -> None:
        self._builder = digests.TreeBuilder(file)
        self._size = file.geometry.chunk_bytes
        self._hasher = digests.Hasher(file.digest_name, self._size)
        self._lock = threading.Lock()
        self.read_bytes = 0

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        refs = self._hasher.references(buffers)
        self._builder.set(offset // self._size, b''.join(refs))
        with self._lock:
            self.read_bytes += sum(map(len, buffers))

    def zero(self, offset: int, length: int) -> None:
        self._builder.set_zero(offset // self._size, -(-length // self._size))

    def finish(self) -> None:
        """Do nothing: :meth:`root` ends it."""

    def root(self) -> bytes:
        """Write the upper nodes, and return the root."""
        return self._builder.finish()
