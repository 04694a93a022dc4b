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

"""Raw image files below a directory, and block devices by name.

A raw volume is opaque bytes, whatever its header looks like: nothing here
reads a byte of it. Which volumes are qcow2, the operator declares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import os
from typing import ClassVar

from oslo_config import cfg

from backupkit.drivers import capability
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.file import attachments
from backupkit_plugins.volumes.file import device
from backupkit_plugins.volumes.file import directory as directory_
from backupkit_plugins.volumes.file import images
from backupkit_plugins.volumes.file import options
from backupkit_plugins.volumes.file import paths
from backupkit_plugins.volumes.file import qcow2
from backupkit_plugins.volumes.file import reflink
from backupkit_plugins.volumes.file import tracking
from backupkit_plugins.volumes.file import usage


class FileVolumeDriver(volume.VolumeDriver):
    """Reaches image files and block devices of this host."""

    contract_version = '1.0'
    capabilities: ClassVar[capability.VolumeCapabilities] = (
        capability.VolumeCapabilities(
            snapshots=True,
            online_snapshots=True,
            allocation_map=True,
            create=True,
            new_reads_zero=True,
            in_use=True,
            fingerprint=True,
            clone=True,
            changed_extents=True,
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    def check(self) -> capability.VolumeCapabilities:
        root = self._root
        if not root and not self.section.allowed_devices:
            raise self._wrong('volumes_dir', 'is missing')
        if root:
            self._images.check()
        for path in self.section.allowed_devices:
            if not os.path.isabs(path):
                raise self._wrong('allowed_devices', f'{path} is relative')
        # Which volumes these are, show() tells: images may lie on several
        # file systems.
        cloning = bool(root) and reflink.works_below(root)
        return capability.VolumeCapabilities(
            snapshots=cloning,
            online_snapshots=cloning,
            allocation_map=bool(root),
            create=bool(root),
            new_reads_zero=bool(root),
            in_use=bool(root),
            fingerprint=True,
            clone=cloning,
            changed_extents=bool(
                root
                and self.section.dirty_bitmaps
                and self.section.qcow2_volumes
            ),
        )

    @property
    def _root(self) -> str:
        return self.section.volumes_dir or ''

    def _wrong(self, option: str, problem: str) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            f'[backend:{self.name}] {option} {problem}'
        )

    def storage_identity(self) -> model.StorageIdentity:
        system = 'block devices of this host'
        if self._root:
            system = self._images.identity()
        return model.StorageIdentity(system, self.section.storage_pool)

    def _is_device(self, volume_id: str) -> bool:
        if not volume_id.startswith('/'):
            return False
        if volume_id not in self.section.allowed_devices:
            raise errors.VolumeNotFound(
                f'{volume_id} is not among the allowed_devices of '
                f'[backend:{self.name}]'
            )
        return True

    @property
    def _images(self) -> directory_.ImageDirectory:
        return directory_.ImageDirectory(self.name, self._root)

    def list(self) -> Iterator[model.Volume]:
        if self._root:
            yield from images.below(self._root, self._is_qcow2)
        for path in self.section.allowed_devices:
            with contextlib.suppress(errors.SourceError):
                yield device.describe(path)

    def show(self, volume_id: str) -> model.Volume:
        if self._is_device(volume_id):
            return device.describe(volume_id)
        with (
            self._images.place(volume_id) as (directory, name),
            paths.opened(directory, name, os.O_RDONLY) as fd,
        ):
            return dataclasses.replace(
                images.describe(
                    volume_id, fd, is_qcow2=self._is_qcow2(volume_id)
                ),
                in_use=usage.is_written(fd),
                snapshots=reflink.works_in(directory),
            )

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        if self._is_device(volume_id):
            return device.attach(volume_id, writable=False)
        with self._images.place(volume_id) as (directory, file):
            name = file
            if snapshot:
                name = reflink.name_of(file, snapshot.name)
            with (
                paths.opened(directory, name, os.O_RDONLY) as fd,
                contextlib.ExitStack() as stack,
            ):
                volume = fd
                if snapshot and self._is_qcow2(volume_id):
                    volume = stack.enter_context(
                        paths.opened(directory, file, os.O_RDONLY)
                    )
                return self._attachment(volume_id, name, fd, volume)

    def attach_volume(self, volume_id: str) -> model.Attachment:
        if self._is_device(volume_id):
            return device.attach(volume_id, writable=True)
        with self._images.opened(volume_id, os.O_RDWR) as fd:
            if usage.is_open(fd):
                raise errors.InUse(f'volume {volume_id} is open elsewhere')
            name = volume_id.split('/')[-1]
            made = self._attachment(volume_id, name, fd, fd)
        return dataclasses.replace(made, read_only=False)

    def _attachment(
        self, volume_id: str, name: str, fd: int, volume: int
    ) -> model.Attachment:
        """Return an attachment of an open file in the volume's directory.

        :param volume: the volume itself, open
        """
        above = volume_id.split('/')[:-1]
        path = os.path.join(self._root, *above, name)
        return attachments.of_image(
            volume_id, path, fd, volume, is_qcow2=self._is_qcow2(volume_id)
        )

    def _is_qcow2(self, volume_id: str) -> bool:
        return qcow2.is_declared(volume_id, self.section.qcow2_volumes)

    def detach(self, attachment: model.Attachment) -> None:
        """Do nothing: a path needs no undoing."""

    def extents(self, attachment: model.Attachment) -> Iterator[model.Extent]:
        if attachment.format != 'raw':
            yield from super().extents(attachment)
            return
        yield from attachments.extents(attachment)

    def fingerprint(self, attachment: model.Attachment) -> str:
        return attachments.fingerprint(attachment)

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        if self._is_device(volume_id):
            raise errors.NotSupported(
                f'{volume_id} is a block device, of which backend '
                f'{self.name} cannot make snapshots'
            )
        with self._images.place(volume_id) as (directory, file):
            taken = reflink.exists(directory, file, name)
            if self._tracks(volume_id) and not taken:
                with paths.opened(directory, file, os.O_RDWR) as fd:
                    tracking.begin(volume_id, fd, name)
            with reflink.translated():
                reflink.make(directory, file, name)
            clone = reflink.name_of(file, name)
            with paths.opened(directory, clone, os.O_RDONLY) as fd:
                made = self._attachment(volume_id, clone, fd, fd)
        return model.Snapshot(name, volume_id, made.size_bytes)

    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        if snapshot.volume_id.startswith('/'):
            return
        with (
            contextlib.suppress(errors.VolumeNotFound),
            self._images.place(snapshot.volume_id) as (directory, file),
        ):
            reflink.remove(directory, file, snapshot.name)
        if self._tracks(snapshot.volume_id):
            self.drop_checkpoint(snapshot.volume_id, snapshot.name)

    def _tracks(self, volume_id: str) -> bool:
        return self.section.dirty_bitmaps and self._is_qcow2(volume_id)

    def keep_checkpoint(self, volume_id: str, name: str) -> None:
        if not self._tracks(volume_id):
            raise errors.NotSupported(
                f'of {volume_id} backend {self.name} keeps no checkpoint: '
                'it does so of qcow2_volumes, with dirty_bitmaps = true'
            )
        with (
            self._images.place(volume_id) as (directory, file),
            paths.opened(directory, file, os.O_RDWR) as fd,
        ):
            taken = reflink.exists(directory, file, name)
            direct = not taken and not reflink.works_in(directory)
            tracking.keep(volume_id, fd, name, direct=direct)
            if taken:
                reflink.remove(directory, file, name)

    def drop_checkpoint(self, volume_id: str, name: str) -> None:
        # Also of those that are not wanted any more.
        if not self._is_qcow2(volume_id):
            raise errors.NotSupported(
                f'of {volume_id} backend {self.name} keeps no checkpoint'
            )
        with (
            contextlib.suppress(errors.VolumeNotFound),
            self._images.opened(volume_id, os.O_RDWR) as fd,
        ):
            qcow2.remove_bitmap(volume_id, fd, name)

    def changed_extents(
        self, attachment: model.Attachment, since: model.Checkpoint
    ) -> Iterator[model.Extent]:
        if not self.section.dirty_bitmaps or attachment.format != 'qcow2':
            raise errors.NotSupported(
                f'what changed in {attachment.path} backend {self.name} '
                'cannot tell'
            )
        return tracking.changed(attachment, since)

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        if volume_id.startswith('/'):
            raise errors.NotSupported('a block device cannot be created')
        if not 0 <= size_bytes < 1 << 63:
            raise errors.UsageError(f'no file has {size_bytes} bytes')
        is_qcow2 = self._is_qcow2(volume_id)
        if is_qcow2 and size_bytes % qcow2.SECTOR_BYTES:
            raise errors.UsageError(
                f'volume {volume_id} is declared to be qcow2, whose sizes '
                f'are multiples of {qcow2.SECTOR_BYTES}: {size_bytes} is not'
            )
        fill = qcow2.make if is_qcow2 else os.ftruncate
        with self._images.place(volume_id, create=True) as (directory, name):
            return images.make(
                volume_id,
                directory,
                name,
                lambda fd: fill(fd, size_bytes),
                is_qcow2=is_qcow2,
            )

    def round_size(self, size_bytes: int) -> int:
        # Which volume it is for is not known here.
        only_qcow2 = '*' in self.section.qcow2_volumes
        unit = qcow2.SECTOR_BYTES if only_qcow2 else 1
        return -(-size_bytes // unit) * unit

    def clone(self, volume_id: str, source_id: str) -> model.Volume:
        if volume_id.startswith('/') or source_id.startswith('/'):
            raise errors.NotSupported('a block device cannot be cloned')
        is_qcow2 = self._is_qcow2(volume_id)
        if is_qcow2 != self._is_qcow2(source_id):
            raise errors.NotSupported(
                f'of {volume_id} and {source_id} only one is declared to be '
                'qcow2: the format stays in a clone'
            )
        with (
            self._images.opened(source_id, os.O_RDONLY) as source,
            self._images.place(volume_id, create=True) as (directory, name),
            reflink.translated(),
        ):
            return images.make(
                volume_id,
                directory,
                name,
                lambda fd: reflink.share(fd, source),
                is_qcow2=is_qcow2,
            )

    def delete(self, volume_id: str) -> None:
        if volume_id.startswith('/'):
            raise errors.NotSupported('a block device cannot be deleted')
        with (
            contextlib.suppress(errors.VolumeNotFound),
            self._images.place(volume_id) as (directory, name),
        ):
            images.remove(volume_id, directory, name)
