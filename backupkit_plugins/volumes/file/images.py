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

"""Image files as volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import fcntl
import logging
import os
import struct

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.file import paths
from backupkit_plugins.volumes.file import qcow2
from backupkit_plugins.volumes.file import usage

# FS_IOC_GETVERSION of linux/fs.h: differs when an inode number is used anew.
_GETVERSION = 0x80087601


LOG = logging.getLogger(__name__)

#: Tells whether the volume of an id is declared to be qcow2.
IsQcow2 = Callable[[str], bool]


def below(
    path: str, is_qcow2: IsQcow2, prefix: str = ''
) -> Iterator[model.Volume]:
    """Yield the image files below a directory, without generations.

    What is declared to be qcow2 and is not, is left out.

    :param prefix: what comes before the names, empty or with a slash
    :raises errors.SourceError: the first directory cannot be read
    """
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as exc:
        gone = isinstance(exc, FileNotFoundError | PermissionError)
        if prefix and gone:
            # Such as lost+found: what is in there is not for us.
            return
        raise errors.SourceError(
            f'{path} cannot be read: {exc.strerror}'
        ) from exc
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith('.') or not name.isprintable():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from below(entry.path, is_qcow2, f'{name}/')
        elif entry.is_file(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                if is_qcow2(name):
                    yield from _listed_qcow2(name, entry.path, found)
                else:
                    yield _raw(name, found)


def make(
    volume_id: str,
    directory: int,
    name: str,
    fill: Callable[[int], object],
    *,
    is_qcow2: bool,
) -> model.Volume:
    """Make an image file, durably, and describe it.

    :param fill: gives the new file, open for writing, its size and bytes
    :raises errors.VolumeExists: the name is taken
    :raises OSError: it failed; there is no such file
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        fd = os.open(name, flags | os.O_CLOEXEC, 0o660, dir_fd=directory)
    except FileExistsError as exc:
        raise errors.VolumeExists(
            f'volume {volume_id} exists already'
        ) from exc
    try:
        os.fchmod(fd, 0o660)
        fill(fd)
        os.fsync(fd)
        os.fsync(directory)
        return describe(volume_id, fd, is_qcow2=is_qcow2)
    except (OSError, errors.SourceError):
        os.unlink(name, dir_fd=directory)
        raise
    finally:
        os.close(fd)


def remove(volume_id: str, directory: int, name: str) -> None:
    """Remove an image file, durably.

    :raises errors.InUse: somebody has it open
    :raises OSError: as the system says
    """
    with paths.opened(directory, name, os.O_RDWR) as fd:
        if usage.is_open(fd):
            raise errors.InUse(f'volume {volume_id} is open elsewhere')
        os.unlink(name, dir_fd=directory)
    os.fsync(directory)


def fingerprint(found: os.stat_result) -> str:
    """Return what changes whenever a file is written to."""
    return (
        f'device {found.st_dev} inode {found.st_ino} size {found.st_size} '
        f'mtime {found.st_mtime_ns} ctime {found.st_ctime_ns}'
    )


def describe(volume_id: str, fd: int, *, is_qcow2: bool) -> model.Volume:
    """Describe an open image file, with what tells it from the next one.

    :raises errors.SourceError: it is not the qcow2 image that it should be
    """
    found = os.fstat(fd)
    generation = f'{found.st_ino:x}{_version(fd)}'
    volume = _raw(volume_id, found)
    if is_qcow2:
        volume = _qcow2(volume_id, fd, found)
    return dataclasses.replace(volume, generation=generation)


def _listed_qcow2(
    volume_id: str, path: str, found: os.stat_result
) -> Iterator[model.Volume]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield _qcow2(volume_id, fd, found)
    except errors.SourceError as exc:
        LOG.warning('not listed: %s', exc)
    finally:
        os.close(fd)


def _qcow2(volume_id: str, fd: int, found: os.stat_result) -> model.Volume:
    return dataclasses.replace(
        _raw(volume_id, found),
        size_bytes=qcow2.read_header(volume_id, fd).size_bytes,
        format='qcow2',
    )


def _raw(volume_id: str, found: os.stat_result) -> model.Volume:
    return model.Volume(
        volume_id=volume_id,
        size_bytes=found.st_size,
        allocated_bytes=found.st_blocks * 512,
    )


def _version(fd: int) -> str:
    """Return what tells an inode from the next file with its number."""
    try:
        answer = fcntl.ioctl(fd, _GETVERSION, bytes(8))
    except OSError:
        return ''
    return f'-{struct.unpack_from("I", answer)[0]:x}'
