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

"""Snapshots of image files: clones that share their blocks."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import hashlib
import os
import re

from backupkit import errors
from backupkit_plugins.volumes.file import paths

#: _IOW(0x94, 9, int), ioctl_ficlonerange(2).
_FICLONE = 0x40049409

_PREFIX = '.backupkit-snap-'
_TEMPORARY = '.backupkit-part-'
_NAME = re.compile('[A-Za-z0-9][A-Za-z0-9._-]{0,99}')
# It holds what a volume held that perhaps nobody else may read.
_MODE = 0o600


def works_below(root: str) -> bool:
    """Tell whether there is any place for images where it works."""
    for path in paths.file_systems(root):
        with (
            contextlib.suppress(OSError),
            paths.directory(path, []) as directory,
        ):
            if works_in(directory):
                return True
    return False


def works_in(directory: int) -> bool:
    """Tell whether files in a directory can be cloned; leaves nothing."""
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        try:
            one = os.open('.', flags, 0o600, dir_fd=directory)
            stack.callback(os.close, one)
            two = os.open('.', flags, 0o600, dir_fd=directory)
            stack.callback(os.close, two)
            os.write(one, bytes(4096))
            fcntl.ioctl(two, _FICLONE, one)
        except OSError:
            return False
    return True


def share(fd: int, source: int) -> None:
    """Make a file hold what another one holds, in the same blocks.

    :raises OSError: as the system says
    """
    fcntl.ioctl(fd, _FICLONE, source)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Tell a clone that is not possible from one that failed.

    :raises errors.NotSupported: the file system cannot clone files
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL):
            raise errors.NotSupported(
                'its file system cannot clone files'
            ) from exc
        raise


def name_of(volume: str, snapshot: str) -> str:
    """Return the name of the file that holds a snapshot of a file.

    :raises errors.UsageError: no snapshot has such a name
    """
    return _PREFIX + _suffix(volume, snapshot)


def _suffix(volume: str, snapshot: str) -> str:
    """Tell snapshots of one name of two volumes in one directory apart."""
    if not _NAME.fullmatch(snapshot):
        raise errors.UsageError(f'{snapshot!r} is not a snapshot name')
    digest = hashlib.blake2b(volume.encode(), digest_size=8).hexdigest()
    return f'{snapshot}-{digest}'


def make(directory: int, volume: str, snapshot: str) -> None:
    """Clone a file in a directory, whole or not at all, and durably.

    A clone of that name that exists already stays as it is.

    :raises OSError: as the system says
    """
    name = name_of(volume, snapshot)
    temporary = _TEMPORARY + _suffix(volume, snapshot)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=directory)
    source = paths.open_regular(directory, volume, os.O_RDONLY)
    try:
        clone = os.open(
            temporary,
            os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            _MODE,
            dir_fd=directory,
        )
        try:
            os.fchmod(clone, _MODE)
            fcntl.ioctl(clone, _FICLONE, source)
            os.fsync(clone)
        finally:
            os.close(clone)
        with contextlib.suppress(FileExistsError):
            os.link(
                temporary,
                name,
                src_dir_fd=directory,
                dst_dir_fd=directory,
                follow_symlinks=False,
            )
    finally:
        os.close(source)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
    os.fsync(directory)


def exists(directory: int, volume: str, snapshot: str) -> bool:
    """Tell whether there is a clone of that name."""
    try:
        os.stat(
            name_of(volume, snapshot), dir_fd=directory, follow_symlinks=False
        )
    except FileNotFoundError:
        return False
    return True


def remove(directory: int, volume: str, snapshot: str) -> None:
    """Remove a clone, and what an interrupted clone left; absent is fine."""
    suffix = _suffix(volume, snapshot)
    for name in (_TEMPORARY + suffix, _PREFIX + suffix):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
    os.fsync(directory)
