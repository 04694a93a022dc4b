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


"""One object into its directory: whole, durable, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import errno
import os
import stat

from backupkit import errors
from backupkit_plugins.targets.posix import fsops
from backupkit_plugins.targets.posix import looking
from backupkit_plugins.targets.posix import temporary
from backupkit_plugins.targets.posix import writing


@dataclasses.dataclass(slots=True)
class Attempts:
    """What the attempts to put one object have done so far.

    ``linked`` describes the file that was given its name, perhaps in vain.
    """

    linked: os.stat_result | None = None


def publish(
    directory: int,
    name: str,
    parts: Sequence[fsops.Buffer],
    attempts: Attempts,
) -> None:
    """Write an object into its open directory, under its last component.

    :raises FileExistsError: the name is taken, durably
    :raises FileNotFoundError: directory or temporary file were removed
    """
    leaf = name.rpartition('/')[2]
    present = _present(directory, name)
    # An attempt before this one came through after all.
    linked = is_same(present, attempts.linked)
    if present is None:
        with temporary.created(directory) as (temp, fd):
            size = writing.write(fd, parts)
            # Where this fails the pages may be lost and yet be called
            # clean: the file is given up and never synced again.
            fsops.fsync(fd)
            attempts.linked = _check_written(fd, size, name)
            linked = _link(directory, temp, name, fd)
            writing.forget(fd)
    try:
        # Also of another's object: it may have died before it did this,
        # and who hears that an object exists relies on it.
        fsops.fsync(directory)
    except OSError:
        if linked:
            fsops.unlink(directory, leaf)
        raise
    if not linked:
        raise FileExistsError(errno.EEXIST, 'the name is taken', leaf)


@contextlib.contextmanager
def made(directory: int, name: str) -> Iterator[int]:
    """Lend an empty file that has the object's name when it is given back.

    :raises FileExistsError: the name is taken, durably
    :raises FileNotFoundError: directory or temporary file were removed
    """
    with temporary.created(directory) as (temp, fd):
        yield fd
        fsops.fsync(fd)
        _check_written(fd, fsops.fstat(fd).st_size, name)
        linked = _link(directory, temp, name, fd)
    try:
        fsops.fsync(directory)
    except OSError:
        if linked:
            fsops.unlink(directory, name.rpartition('/')[2])
        raise
    if not linked:
        raise FileExistsError(errno.EEXIST, 'the name is taken', name)


def _link(directory: int, temp: str, name: str, fd: int) -> bool:
    """Give a file the object's name, and tell whether that was free."""
    leaf = name.rpartition('/')[2]
    try:
        fsops.link(directory, temp, leaf)
    except OSError as exc:
        # NFS repeats a request whose reply was lost, and then says that
        # what it has done cannot be done.
        if _is(directory, leaf, fd):
            return True
        if exc.errno == errno.EEXIST and _present(directory, name):
            return False
        raise
    return True


def _is(directory: int, leaf: str, fd: int) -> bool:
    """Tell whether a name stands for an open file."""
    try:
        found = fsops.lstat(directory, leaf)
    except OSError:
        return False
    return os.path.samestat(found, fsops.fstat(fd))


def is_same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Tell whether two descriptions are of one file, written only once."""
    if one is None or other is None:
        return False
    return os.path.samestat(one, other) and (
        (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    )


def _present(directory: int, name: str) -> os.stat_result | None:
    """Describe the object of that name, or return None if none is there.

    :raises errors.TargetError: something else has the name
    """
    try:
        found = looking.look(directory, name.rpartition('/')[2])
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise errors.TargetError(
            f'{name} cannot be written: something else than a file has '
            'that name'
        )
    return found


def _check_written(fd: int, size_bytes: int, name: str) -> os.stat_result:
    found = fsops.fstat(fd)
    if found.st_nlink == 0:
        raise FileNotFoundError(errno.ENOENT, 'swept', name)
    if found.st_nlink > 1 or found.st_size != size_bytes:
        raise errors.TargetError(
            f'{name} cannot be written: of {size_bytes} bytes the file '
            f'system keeps {found.st_size}, under {found.st_nlink} names'
        )
    return found
