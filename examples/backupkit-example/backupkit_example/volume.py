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


"""Volume driver ``directory``: each file in a directory is a raw volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import errno
import os
import re
import stat
from typing import ClassVar

from oslo_config import cfg

from backupkit.drivers import capability
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model

#: What may be the name of a volume: never a path, never a hidden file.
_VOLUME_ID = re.compile(r'[A-Za-z0-9_][A-Za-z0-9._-]{0,99}')


class DirectoryVolumeDriver(volume.VolumeDriver):
    """Reaches raw images in one directory."""

    contract_version = '1.0'
    capabilities: ClassVar[capability.VolumeCapabilities] = (
        capability.VolumeCapabilities(
            allocation_map=True, create=True, new_reads_zero=True
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        """Return the one option of this driver."""
        return [
            cfg.StrOpt(
                'path',
                required=True,
                help='Absolute path of the directory with the volumes. '
                'There is no default.',
            )
        ]

    def check(self) -> capability.VolumeCapabilities:
        """Look whether the directory is there."""
        if not os.path.isdir(self.section.path):
            raise errors.ConfigurationError(
                f'option path in section [backend:{self.name}] is not a '
                f'directory: {self.section.path}'
            )
        return self.capabilities

    def storage_identity(self) -> model.StorageIdentity:
        """Tell the file system that holds the directory."""
        found = os.statvfs(self.section.path)
        return model.StorageIdentity(f'file system {found.f_fsid:x}')

    def list(self) -> Iterator[model.Volume]:
        """Yield the files that may be volumes."""
        for name in sorted(os.listdir(self.section.path)):
            try:
                yield self.show(name)
            except errors.VolumeNotFound:
                continue

    def show(self, volume_id: str) -> model.Volume:
        """Describe a file; what is no regular file is no volume."""
        try:
            found = os.stat(self._path(volume_id), follow_symlinks=False)
        except FileNotFoundError:
            raise self._not_found(volume_id) from None
        except OSError as error:
            raise self._failed(volume_id, error) from error
        if not stat.S_ISREG(found.st_mode):
            raise self._not_found(volume_id)
        return model.Volume(
            volume_id, found.st_size, allocated_bytes=found.st_blocks * 512
        )

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        """Return the path of the file, which can always be opened."""
        if snapshot is not None:
            raise errors.NotSupported(
                f'backend {self.name} cannot make snapshots'
            )
        found = self.show(volume_id)
        return model.Attachment(self._path(volume_id), found.size_bytes)

    def attach_volume(self, volume_id: str) -> model.Attachment:
        """Return the path of the file."""
        found = self.show(volume_id)
        return model.Attachment(
            self._path(volume_id), found.size_bytes, read_only=False
        )

    def detach(self, attachment: model.Attachment) -> None:
        """Do nothing: nothing was done to attach it."""

    def extents(self, attachment: model.Attachment) -> Iterator[model.Extent]:
        """Yield the file's data and its holes."""
        try:
            with open(attachment.path, 'rb') as file:
                yield from _extents(file.fileno(), attachment.size_bytes)
        except OSError as error:
            raise errors.SourceError(
                f'cannot map {attachment.path}: {error.strerror}'
            ) from error

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        """Make a file that is one hole."""
        try:
            fd = os.open(
                self._path(volume_id),
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o660,
            )
        except FileExistsError:
            raise errors.VolumeExists(
                f'volume {self.name}:{volume_id} exists already'
            ) from None
        except OSError as error:
            raise self._failed(volume_id, error) from error
        with open(fd, 'wb') as file:
            file.truncate(size_bytes)
        return self.show(volume_id)

    def delete(self, volume_id: str) -> None:
        """Remove the file; absent is fine."""
        try:
            os.unlink(self._path(volume_id))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed(volume_id, error) from error

    def _path(self, volume_id: str) -> str:
        if not _VOLUME_ID.fullmatch(volume_id):
            raise self._not_found(volume_id)
        return os.path.join(self.section.path, volume_id)

    def _not_found(self, volume_id: str) -> errors.VolumeNotFound:
        return errors.VolumeNotFound(
            f'there is no volume {self.name}:{volume_id[:100]}'
        )

    def _failed(self, volume_id: str, error: OSError) -> errors.SourceError:
        return errors.SourceError(
            f'volume {self.name}:{volume_id}: {error.strerror}'
        )


def _extents(fd: int, size: int) -> Iterator[model.Extent]:
    offset = 0
    while offset < size:
        data = min(_seek(fd, offset, os.SEEK_DATA), size)
        if data > offset:
            yield model.Extent(offset, data - offset, model.ExtentKind.ZERO)
        if data == size:
            return
        offset = min(_seek(fd, data, os.SEEK_HOLE), size)
        yield model.Extent(data, offset - data, model.ExtentKind.DATA)


def _seek(fd: int, offset: int, whence: int) -> int:
    """Return where the next data or hole begins; far away, if nowhere."""
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return offset + (1 << 62)
