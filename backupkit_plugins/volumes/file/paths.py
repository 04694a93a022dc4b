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

"""Where a volume lies below the configured directory.

Every component of a path is opened relative to its parent and never
followed if it is a link, so that no name leads out of the directory.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib
import re
import stat

from backupkit import errors

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_OCTAL = re.compile(rb'\\([0-7]{3})')

#: Longest id of a volume, in characters.
_LIMIT = 1000


def components(volume_id: str) -> list[str]:
    """Split the id of an image file into the components of its path.

    :raises errors.VolumeNotFound: no file of such a name is a volume
    """
    parts = volume_id.split('/')
    if len(volume_id) > _LIMIT or not volume_id.isprintable():
        raise errors.VolumeNotFound(
            f'{volume_id[:_LIMIT]!r} is not the name of a volume'
        )
    if any(not part or part.startswith('.') for part in parts):
        raise errors.VolumeNotFound(
            f'{volume_id!r} is not the name of a volume: write its path '
            'below volumes_dir, without "..", or a device that '
            'allowed_devices lists'
        )
    return parts


def file_systems(root: str) -> Iterator[str]:
    """Yield a directory, and what is mounted somewhere below it.

    Source: proc(5), /proc/pid/mountinfo; white space in it is in octal.
    """
    yield root
    base = os.path.realpath(root).rstrip('/') + '/'
    mounts = pathlib.Path('/proc/self/mountinfo').read_bytes()
    for line in mounts.splitlines():
        place = _OCTAL.sub(
            lambda found: bytes([int(found[1], 8)]), line.split()[4]
        )
        if os.fsdecode(place).startswith(base):
            yield os.fsdecode(place)


@contextlib.contextmanager
def directory(
    root: str, parts: list[str], *, create: bool = False
) -> Iterator[int]:
    """Open a directory below the root and yield its descriptor.

    :param create: make what is missing, with mode 0770
    :raises OSError: a component is missing, or is a link
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = _enter(fd, part, create=create)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _enter(fd: int, part: str, *, create: bool) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        if not create:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, 0o770, dir_fd=fd)
    below = os.open(part, _DIRECTORY, dir_fd=fd)
    keep = os.fstat(below).st_mode & stat.S_ISGID
    os.fchmod(below, 0o770 | keep)
    os.fsync(fd)
    return below


def open_regular(fd: int, name: str, flags: int) -> int:
    """Open a regular file in a directory; nothing else is opened.

    :raises OSError: as the system says; ELOOP for anything that is not a
        regular file
    """
    opened = os.open(
        name,
        flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
        dir_fd=fd,
    )
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.ELOOP, 'not a regular file', name)
    return opened


@contextlib.contextmanager
def opened(fd: int, name: str, flags: int) -> Iterator[int]:
    """Open a regular file in a directory, until the block is left."""
    file = open_regular(fd, name, flags)
    try:
        yield file
    finally:
        os.close(file)


def explain(volume_id: str, exc: OSError) -> errors.SourceError:
    """Return the error that tells the operator what was met."""
    if exc.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return errors.VolumeNotFound(f'there is no volume {volume_id!r}')
    if exc.errno in (errno.ELOOP, errno.ENOTDIR):
        return errors.VolumeNotFound(
            f'volume {volume_id!r} is not a regular file in real '
            'directories: links are not followed'
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return errors.SourceError(
            f'volume {volume_id!r} may not be opened by user '
            f'{os.geteuid()}: {exc.strerror}; give it to that user, or to a '
            'group of its own'
        )
    return errors.SourceError(f'volume {volume_id!r}: {exc.strerror}')
