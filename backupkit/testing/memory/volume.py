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


"""A volume driver in memory, with every capability but online snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import hashlib
import os
from typing import ClassVar
import uuid

from oslo_config import cfg

from backupkit.drivers import capability
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit.testing.memory import array as array_


class MemoryVolumeDriver(volume.VolumeDriver):
    """Reaches volumes in the memory of this process, for tests.

    A checkpoint is the digests of all blocks of a snapshot. What differs
    from them has changed since.
    """

    contract_version = '1.0'
    capabilities: ClassVar[capability.VolumeCapabilities] = (
        capability.VolumeCapabilities(
            snapshots=True,
            list_snapshots=True,
            from_snapshot=True,
            allocation_map=True,
            changed_extents=True,
            create=True,
            new_reads_zero=True,
            in_use=True,
            fingerprint=True,
            clone=True,
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        """Return the one option of this driver."""
        return [
            cfg.StrOpt(
                'array',
                help='Name of the memory to use: backends with the same name '
                'share it. By default the name of the section.',
            )
        ]

    def storage_identity(self) -> model.StorageIdentity:
        """Tell that this process holds them."""
        return model.StorageIdentity(
            f'memory of process {os.getpid()}', self._array_name
        )

    def list(self) -> Iterator[model.Volume]:
        """Yield the volumes that there were when this was called."""
        with self._array.lock:
            volume_ids = list(self._array.volumes)
        for volume_id in volume_ids:
            try:
                yield self.show(volume_id)
            except errors.VolumeNotFound:
                continue

    def show(self, volume_id: str) -> model.Volume:
        """Describe a volume."""
        array = self._array
        with array.lock:
            found = self._volume(volume_id)
            return model.Volume(
                volume_id,
                found.disk.size_bytes,
                in_use=self._writers(volume_id) > 0,
                generation=found.generation,
                allocated_bytes=sum(
                    extent.length
                    for extent in found.disk.extents()
                    if extent.kind is model.ExtentKind.DATA
                ),
            )

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        """Give a path of its own to the volume or its snapshot."""
        with self._array.lock:
            if snapshot is None:
                return self._open(volume_id, self._volume(volume_id).disk)
            kept = self._array.snapshots.get(snapshot.name)
            if kept is None or kept.volume_id != volume_id:
                raise errors.VolumeNotFound(
                    f'volume {self.name}:{volume_id} has no snapshot '
                    f'{snapshot.name}'
                )
            return self._open(volume_id, kept.disk)

    def attach_volume(self, volume_id: str) -> model.Attachment:
        """Give a path to the volume, to one writer at a time."""
        with self._array.lock:
            disk = self._volume(volume_id).disk
            self._refuse_writers(volume_id, 'attach it for writing')
            return self._open(volume_id, disk, writable=True)

    def detach(self, attachment: model.Attachment) -> None:
        """Close the descriptor, unless that was done before."""
        with self._array.lock:
            opened = self._array.opened.pop(attachment.handle['opened'], None)
            if opened:
                opened.disk.close()

    def extents(self, attachment: model.Attachment) -> Iterator[model.Extent]:
        """Yield the data and holes of the anonymous file."""
        return self._opened(attachment).disk.extents()

    def changed_extents(
        self, attachment: model.Attachment, since: model.Checkpoint
    ) -> Iterator[model.Extent]:
        """Compare each block with the digest that was kept of it."""
        opened = self._opened(attachment)
        disk = opened.disk
        before = self._checkpoint(opened.volume_id, since).digests
        if disk.size_bytes != since.size_bytes:
            raise errors.CheckpointLost(
                f'volume {self.name}:{opened.volume_id} had '
                f'{since.size_bytes} bytes at backup {since.backup_id} and '
                f'has {disk.size_bytes} now'
            )
        now = disk.digests()
        for offset in range(0, disk.size_bytes, array_.BLOCK_BYTES):
            number = offset // array_.BLOCK_BYTES
            kind = model.ExtentKind.DATA
            if now.get(number) == before.get(number):
                kind = model.ExtentKind.SAME
            elif number not in now:
                kind = model.ExtentKind.ZERO
            length = min(array_.BLOCK_BYTES, disk.size_bytes - offset)
            yield model.Extent(offset, length, kind)

    def fingerprint(self, attachment: model.Attachment) -> str:
        """Return a digest of the digests of all blocks."""
        digest = hashlib.sha256()
        for number, block in self._opened(attachment).disk.digests().items():
            digest.update(number.to_bytes(8, 'big') + block)
        return digest.hexdigest()

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        """Copy the volume, unless the snapshot is there already."""
        array = self._array
        with array.lock:
            found = self._volume(volume_id)
            kept = array.snapshots.get(name)
            if kept is None:
                self._refuse_writers(volume_id, 'make a snapshot of it')
                kept = array_.StoredSnapshot(
                    found.disk.copy(), volume_id, found.generation
                )
                array.snapshots[name] = kept
            elif kept.volume_id != volume_id:
                raise errors.SourceError(
                    f'snapshot {name} is one of volume '
                    f'{self.name}:{kept.volume_id}'
                )
            return model.Snapshot(name, volume_id, kept.disk.size_bytes)

    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        """Drop the snapshot."""
        with self._array.lock:
            kept = self._array.snapshots.pop(snapshot.name, None)
            if kept:
                kept.disk.close()

    def keep_checkpoint(self, volume_id: str, name: str) -> None:
        """Keep the digests of a snapshot, or of the volume as it is."""
        array = self._array
        with array.lock:
            source = self._volume(volume_id)
            taken = array.snapshots.get(name)
            if taken is None:
                if name in source.checkpoints:
                    return
                self._refuse_writers(volume_id, 'keep a checkpoint of it')
            disk = taken.disk if taken else source.disk
            source.checkpoints[name] = array_.Checkpointed(
                taken.generation if taken else source.generation,
                disk.size_bytes,
                disk.digests(),
            )
            if taken:
                array.snapshots.pop(name).disk.close()

    def drop_checkpoint(self, volume_id: str, name: str) -> None:
        """Forget the digests."""
        with self._array.lock:
            found = self._array.volumes.get(volume_id)
            if found:
                found.checkpoints.pop(name, None)

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        """Make a volume that is one hole."""
        with self._array.lock:
            if volume_id in self._array.volumes:
                raise errors.VolumeExists(
                    f'volume {self.name}:{volume_id} exists already'
                )
            self._array.volumes[volume_id] = array_.StoredVolume(
                array_.Disk.make(size_bytes)
            )
            return self.show(volume_id)

    def clone(self, volume_id: str, source_id: str) -> model.Volume:
        """Copy a volume, holes and all."""
        with self._array.lock:
            return self._copy(volume_id, self._volume(source_id).disk)

    def create_from_snapshot(
        self, volume_id: str, snapshot: model.Snapshot
    ) -> model.Volume:
        """Copy a snapshot, holes and all."""
        with self._array.lock:
            kept = self._array.snapshots.get(snapshot.name)
            if kept is None:
                raise errors.VolumeNotFound(
                    f'there is no snapshot {snapshot.name}'
                )
            return self._copy(volume_id, kept.disk)

    def _copy(self, volume_id: str, disk: array_.Disk) -> model.Volume:
        if volume_id in self._array.volumes:
            raise errors.VolumeExists(
                f'volume {self.name}:{volume_id} exists already'
            )
        made = array_.StoredVolume(disk.copy())
        self._array.volumes[volume_id] = made
        return self.show(volume_id)

    def snapshots(self, volume_id: str) -> Sequence[model.Snapshot]:
        """Return those of this volume: they are kept in order."""
        with self._array.lock:
            self._volume(volume_id)
            return [
                model.Snapshot(name, volume_id, kept.disk.size_bytes)
                for name, kept in self._array.snapshots.items()
                if kept.volume_id == volume_id
            ]

    def delete(self, volume_id: str) -> None:
        """Drop the volume and its checkpoints, unless it is attached."""
        array = self._array
        with array.lock:
            if any(o.volume_id == volume_id for o in array.opened.values()):
                raise errors.InUse(
                    f'volume {self.name}:{volume_id} is attached'
                )
            found = array.volumes.pop(volume_id, None)
            if found:
                found.disk.close()

    @property
    def _array_name(self) -> str:
        return self.section.array or self.name

    @property
    def _array(self) -> array_.Array:
        return array_.array(self._array_name)

    def _volume(self, volume_id: str) -> array_.StoredVolume:
        try:
            return self._array.volumes[volume_id]
        except KeyError:
            raise errors.VolumeNotFound(
                f'there is no volume {self.name}:{volume_id}'
            ) from None

    def _writers(self, volume_id: str) -> int:
        return sum(
            opened.writable and opened.volume_id == volume_id
            for opened in self._array.opened.values()
        )

    def _refuse_writers(self, volume_id: str, what: str) -> None:
        if self._writers(volume_id):
            raise errors.InUse(
                f'volume {self.name}:{volume_id} is open for writing: '
                f'cannot {what}'
            )

    def _open(
        self, volume_id: str, disk: array_.Disk, *, writable: bool = False
    ) -> model.Attachment:
        opened = array_.Opened(disk.share(), volume_id, writable)
        key = uuid.uuid4().hex
        self._array.opened[key] = opened
        return model.Attachment(
            f'/dev/fd/{opened.disk.fd}',
            disk.size_bytes,
            read_only=not writable,
            handle={'opened': key},
        )

    def _opened(self, attachment: model.Attachment) -> array_.Opened:
        try:
            return self._array.opened[attachment.handle['opened']]
        except KeyError:
            raise errors.SourceError(
                f'{attachment.path} is attached no longer'
            ) from None

    def _checkpoint(
        self, volume_id: str, since: model.Checkpoint
    ) -> array_.Checkpointed:
        kept = self._volume(volume_id).checkpoints.get(since.name)
        if (
            kept
            and since.volume_id == volume_id
            and (kept.generation, kept.size_bytes)
            == (since.generation, since.size_bytes)
        ):
            return kept
        raise errors.CheckpointLost(
            f'volume {self.name}:{volume_id} has no checkpoint of backup '
            f'{since.backup_id}'
        )
