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
reads a byte of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import errno
import os
import stat
from typing import ClassVar

from oslo_config import cfg

from backupkit.drivers import capability
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit_plugins import filesystem
from backupkit_plugins.volumes.file import device
from backupkit_plugins.volumes.file import extents
from backupkit_plugins.volumes.file import images
from backupkit_plugins.volumes.file import paths
from backupkit_plugins.volumes.file import reflink
from backupkit_plugins.volumes.file import usage

_OPTIONS = [
    cfg.StrOpt(
        'volumes_dir',
        help='Absolute path of the directory with the raw image files. The '
        'id of a volume is its path below it. Files whose name begins with '
        'a dot are no volumes. By default there are no image files.',
    ),
    cfg.ListOpt(
        'allowed_devices',
        default=[],
        help='Paths of block devices that may be backed up and restored '
        'to, separated by commas. The id of such a volume is its path. By '
        'default none.',
    ),
    cfg.StrOpt(
        'storage_pool',
        default='',
        help='Name of the pool that the volumes lie in, where one file '
        'system stands for several. By default they share one pool.',
    ),
]


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
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return _OPTIONS

    def check(self) -> capability.VolumeCapabilities:
        root = self._root
        if not root and not self.section.allowed_devices:
            raise self._wrong('volumes_dir', 'is missing')
        if root:
            self._check_root(root)
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
        )

    @property
    def _root(self) -> str:
        return self.section.volumes_dir or ''

    def _wrong(self, option: str, problem: str) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            f'[backend:{self.name}] {option} {problem}'
        )

    def _check_root(self, root: str) -> None:
        if not os.path.isabs(root):
            raise self._wrong('volumes_dir', f'{root} is not absolute')
        try:
            with os.scandir(root):
                pass
        except OSError as exc:
            raise self._wrong(
                'volumes_dir', f'{root} cannot be read: {exc.strerror}'
            ) from exc

    def storage_identity(self) -> model.StorageIdentity:
        system = 'block devices of this host'
        if self._root:
            try:
                system = filesystem.identity(self._root)
            except OSError as exc:
                raise errors.SourceError(
                    f'{self._root} cannot be opened: {exc.strerror}'
                ) from exc
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

    @contextlib.contextmanager
    def _place(
        self, volume_id: str, *, create: bool = False
    ) -> Iterator[tuple[int, str]]:
        """Yield the directory of an image file, and its name there."""
        *above, name = paths.components(volume_id)
        if not self._root:
            raise errors.VolumeNotFound(
                f'[backend:{self.name}] has no volumes_dir'
            )
        try:
            with paths.directory(self._root, above, create=create) as fd:
                yield fd, name
        except OSError as exc:
            raise paths.explain(volume_id, exc) from exc

    @contextlib.contextmanager
    def _opened(self, volume_id: str, flags: int) -> Iterator[int]:
        with (
            self._place(volume_id) as (directory, name),
            paths.opened(directory, name, flags) as fd,
        ):
            yield fd

    def list(self) -> Iterator[model.Volume]:
        if self._root:
            yield from images.below(self._root)
        for path in self.section.allowed_devices:
            with contextlib.suppress(errors.SourceError):
                yield device.describe(path)

    def show(self, volume_id: str) -> model.Volume:
        if self._is_device(volume_id):
            return device.describe(volume_id)
        with (
            self._place(volume_id) as (directory, name),
            paths.opened(directory, name, os.O_RDONLY) as fd,
        ):
            return dataclasses.replace(
                images.describe(volume_id, fd),
                in_use=usage.is_written(fd),
                snapshots=reflink.works_in(directory),
            )

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        if self._is_device(volume_id):
            found = device.describe(volume_id)
            path = os.path.realpath(volume_id)
            return model.Attachment(path, found.size_bytes)
        with self._place(volume_id) as (directory, file):
            name = file
            if snapshot:
                name = reflink.name_of(file, snapshot.name)
            fd = paths.open_regular(directory, name, os.O_RDONLY)
            size = os.fstat(fd).st_size
            os.close(fd)
        above = volume_id.split('/')[:-1]
        return model.Attachment(os.path.join(self._root, *above, name), size)

    def attach_volume(self, volume_id: str) -> model.Attachment:
        if self._is_device(volume_id):
            found = device.describe(volume_id)
            if found.in_use:
                raise errors.InUse(
                    f'{volume_id} is mounted or part of another device'
                )
            path = os.path.realpath(volume_id)
            return model.Attachment(path, found.size_bytes, read_only=False)
        with self._opened(volume_id, os.O_RDWR) as fd:
            if usage.is_open(fd):
                raise errors.InUse(f'volume {volume_id} is open elsewhere')
            size = os.fstat(fd).st_size
        path = os.path.join(self._root, volume_id)
        return model.Attachment(path, size, read_only=False)

    def detach(self, attachment: model.Attachment) -> None:
        """Do nothing: a path needs no undoing."""

    def extents(self, attachment: model.Attachment) -> Iterator[model.Extent]:
        if not attachment.size_bytes:
            return
        try:
            fd = os.open(
                attachment.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError as exc:
            raise paths.explain(attachment.path, exc) from exc
        try:
            yield from extents.of(fd, attachment.size_bytes)
        finally:
            os.close(fd)

    def fingerprint(self, attachment: model.Attachment) -> str:
        path = attachment.path
        try:
            told = os.stat(path, follow_symlinks=False)
            if stat.S_ISBLK(told.st_mode):
                return device.fingerprint(path)
        except OSError as exc:
            raise paths.explain(path, exc) from exc
        return (
            f'device {told.st_dev} inode {told.st_ino} size {told.st_size} '
            f'mtime {told.st_mtime_ns} ctime {told.st_ctime_ns}'
        )

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        if self._is_device(volume_id):
            raise errors.NotSupported(
                f'{volume_id} is a block device, of which backend '
                f'{self.name} cannot make snapshots'
            )
        with self._place(volume_id) as (directory, file):
            with self._cloning():
                reflink.make(directory, file, name)
            clone = reflink.name_of(file, name)
            fd = paths.open_regular(directory, clone, os.O_RDONLY)
            size = os.fstat(fd).st_size
            os.close(fd)
        return model.Snapshot(name, volume_id, size)

    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        if snapshot.volume_id.startswith('/'):
            return
        with (
            contextlib.suppress(errors.VolumeNotFound),
            self._place(snapshot.volume_id) as (directory, file),
        ):
            reflink.remove(directory, file, snapshot.name)

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        if volume_id.startswith('/'):
            raise errors.NotSupported('a block device cannot be created')
        if not 0 <= size_bytes < 1 << 63:
            raise errors.UsageError(f'no file has {size_bytes} bytes')
        with self._place(volume_id, create=True) as (directory, name):
            return images.make(
                volume_id,
                directory,
                name,
                lambda fd: os.ftruncate(fd, size_bytes),
            )

    def clone(self, volume_id: str, source_id: str) -> model.Volume:
        if volume_id.startswith('/') or source_id.startswith('/'):
            raise errors.NotSupported('a block device cannot be cloned')
        with (
            self._opened(source_id, os.O_RDONLY) as source,
            self._place(volume_id, create=True) as (directory, name),
            self._cloning(),
        ):
            return images.make(
                volume_id,
                directory,
                name,
                lambda fd: reflink.share(fd, source),
            )

    @contextlib.contextmanager
    def _cloning(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            if exc.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL):
                raise errors.NotSupported(
                    'its file system cannot clone files'
                ) from exc
            raise

    def delete(self, volume_id: str) -> None:
        if volume_id.startswith('/'):
            raise errors.NotSupported('a block device cannot be deleted')
        try:
            with self._place(volume_id) as (directory, name):
                fd = paths.open_regular(directory, name, os.O_RDWR)
                try:
                    if usage.is_open(fd):
                        raise errors.InUse(
                            f'volume {volume_id} is open elsewhere'
                        )
                    os.unlink(name, dir_fd=directory)
                finally:
                    os.close(fd)
                os.fsync(directory)
        except errors.VolumeNotFound:
            return
