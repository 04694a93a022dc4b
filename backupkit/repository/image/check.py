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
import threading

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.copy import raw
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import digest as digest_
from backupkit.repository.image import block
from backupkit.repository.image import digests
from backupkit.repository.image import failures
from backupkit.repository.image import holes
from backupkit.repository.image import reader as reader_
from backupkit.repository.image import volume as volume_
from backupkit.repository import tree


def check(
    reader: reader_.ImageReader,
    name: str,
    backup_id: str,
    control: control_.Control,
    *,
    threads: int,
    full: bool,
) -> target_.Report:
    """Check every node of the digest tree; if ``full``, every byte too.

    :param reader: of an image that has a digest tree
    :param name: of the image, for findings
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
    if full and not problems:
        comparison = _Comparison(reader)
        _copy(_Known(reader), comparison, control, map_.geometry, threads)
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
    root, read = build(volume.path, file, control, threads=threads)
    # The head is what says that the nodes are there.
    volume.flush()
    file.put_head(block.Head(backup_id, geometry, root))
    volume.flush()
    return target_.Report(objects=1, bytes_read=read)


def build(
    path: str,
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
    with failures.at_target(path):
        found = holes.extents(path, geometry.size_bytes)
        with raw.RawReader(path, geometry.size_bytes, found) as reader:
            _copy(reader, builder, control, geometry, threads)
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


class _Known(interface.Reader):
    """Tells what an image should hold; its bytes are read at the end."""

    def __init__(self, reader: reader_.ImageReader) -> None:
        self.size_bytes = reader.size_bytes
        self._reader = reader

    def extents(self) -> Iterator[model.Extent]:
        return self._reader.extents()

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
        self._digest = digest_.by_name(file.digest_name)
        self._zeros = bytearray(self._size)
        self._lock = threading.Lock()
        self.read_bytes = 0

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        refs = digests.references(self._digest, buffers, self._zeros)
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
