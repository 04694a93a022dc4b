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

"""Backup volumes in files of a temporary directory."""

from __future__ import annotations

import os
import random
import tempfile
import unittest

from backupkit.copy import control as control_
from backupkit.copy import pipeline
from backupkit.copy import raw
from backupkit import model
from backupkit.repository.image import area as area_
from backupkit.repository.image import block
from backupkit.repository.image import digests
from backupkit.repository.image import manifest as manifest_
from backupkit.repository.image import reader as reader_
from backupkit.repository.image import source
from backupkit.repository.image import volume as volume_
from backupkit.repository.image import writer as writer_
from backupkit.repository import tree
from backupkit.testing import plain

ID = '5f8a2c1e-0d43-4b6f-9a77-1c2d3e4f5a6b'
OTHER_ID = '6f8a2c1e-0d43-4b6f-9a77-1c2d3e4f5a6b'
CHUNK = 4096
SIZE = 40 * CHUNK + 77


def manifest(
    size: int = SIZE, root: bytes | None = None, name: str = 'n'
) -> manifest_.ImageManifest:
    """Return a manifest of a volume of this size."""
    return manifest_.ImageManifest(
        summary=model.BackupSummary(
            backup_id=ID,
            backend='local',
            volume_id='db',
            size_bytes=size,
            name=name,
            created_at='2026-01-02T03:04:05+00:00',
            repository_id=OTHER_ID,
        ),
        volume_format='raw',
        volume_properties={'key': 'value'},
        chunk_bytes=CHUNK,
        digest='blake3',
        root=root,
    )


class ImageCase(unittest.TestCase):
    """Makes backup volumes as the target does."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.directory = holder.name
        self.random = random.Random(self.id())

    def data(self, size: int = SIZE) -> bytearray:
        """Return random bytes with a hole of whole chunks."""
        data = bytearray(self.random.randbytes(size))
        data[3 * CHUNK : 9 * CHUNK] = bytes(min(size, 9 * CHUNK) - 3 * CHUNK)
        return data

    def make(self, data: bytes | bytearray, name: str = 'volume') -> str:
        """Make a committed backup volume of bytes; return its path."""
        path = self.allocate(len(data), name)
        with self.opened(path, writable=True) as volume:
            root = self.fill(volume, data)
            text = manifest_.dump(manifest(len(data), root))
            volume.commit(text)
        return path

    def allocate(self, size: int, name: str = 'volume') -> str:
        """Make a volume for a backup of this size; return its path."""
        path = os.path.join(self.directory, name)
        area = area_.Area(tree.Geometry(size, CHUNK))
        with open(path, 'xb') as file:
            file.truncate(area.volume_bytes)
        return path

    def opened(
        self, path: str, *, writable: bool = False
    ) -> volume_.BackupVolume:
        """Open a backup volume at its path."""
        return volume_.BackupVolume(
            path, os.path.getsize(path), ID, writable=writable
        )

    def fill(
        self,
        volume: volume_.BackupVolume,
        data: bytes | bytearray,
        *,
        parent: writer_.Parent | None = None,
        source: plain.PlainReader | None = None,
    ) -> bytes | None:
        """Write bytes and their tree; return its root."""
        geometry = tree.Geometry(len(data), CHUNK)
        whole = model.Extent(0, len(data), model.ExtentKind.DATA)
        source = source or plain.PlainReader(
            bytes(data), [whole] if data else []
        )
        file = volume.tree(geometry, 'blake3')
        cloned = parent is not None and parent.cloned
        with raw.RawWriter(
            volume.path, len(data), reads_zero=not cloned
        ) as out:
            writer = writer_.ImageWriter(out, file, source, parent)
            pipeline.copy(
                source,
                writer,
                control_.Control(),
                block_bytes=CHUNK,
                threads=2,
            )
            writer.finish()
        self.counts = writer.counts
        if writer.root is not None:
            file.put_head(block.Head(ID, geometry, writer.root))
        volume.flush()
        return writer.root

    def reader(self, volume: volume_.BackupVolume) -> reader_.ImageReader:
        """Return the reader of a committed backup."""
        found = volume.manifest()
        file = volume.tree(found.geometry, found.digest)
        root = found.root
        if root is None:
            head = file.head(ID)
            root = head.root if head else None
        map_ = None if root is None else digests.TreeReader(file, root)
        made = reader_.ImageReader(
            source.FileSource(volume.path, found.geometry.size_bytes),
            found.geometry,
            found.digest,
            map_,
        )
        self.addCleanup(made.close)
        return made

    def restored(self, path: str) -> bytes:
        """Return what a restore of a backup volume gives."""
        with self.opened(path) as volume:
            reader = self.reader(volume)
            writer = plain.PlainWriter(reader.size_bytes)
            pipeline.copy(
                reader,
                writer,
                control_.Control(),
                block_bytes=CHUNK,
                threads=2,
            )
            return bytes(writer.data)
