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


"""Every directory of a store, as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import errno
import functools
import os
import stat

from backupkit.drivers import store
from backupkit import errors
from backupkit_plugins.targets.posix import directories as directories_
from backupkit_plugins.targets.posix import fsops


#: How often a directory is opened again, because what was open is stale.
REOPENED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """What one directory holds; ``fd`` is open until the next one."""

    path: str
    fd: int
    entries: dict[str, os.stat_result]


def walk(
    directories: directories_.Directories, path: str
) -> Iterator[Listing]:
    """Yield a directory and all below it, none if it is not there.

    Only directories whose names could be part of an object's are entered;
    links never are.

    :raises OSError: one of them cannot be read
    """
    # What is kept open may have been removed and made anew by others.
    directories.forget(path)
    directories.refresh()

    def open_top() -> int:
        with directories.opened(path) as kept:
            return fsops.open_directory(kept, '.')

    try:
        fd, entries = _opened(open_top, directories.reopen)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        yield from _walk(fd, path, entries)
    finally:
        fsops.close(fd)


def legal(name: str) -> bool:
    """Tell whether an object may have this name."""
    try:
        store.check_name(name)
    except errors.FormatError:
        return False
    return True


def _opened(
    open_directory: Callable[[], int], freshen: Callable[[], None]
) -> tuple[int, dict[str, os.stat_result]]:
    """Open a directory and read it, and again where it is stale.

    :param freshen: called before it is opened again
    """
    for left in reversed(range(REOPENED + 1)):
        fd = -1
        try:
            fd = open_directory()
            return fd, _entries(fd)
        except BaseException as exc:
            if fd >= 0:
                fsops.close(fd)
            stale = isinstance(exc, OSError) and exc.errno == errno.ESTALE
            if not stale or not left:
                raise
            freshen()
    raise AssertionError('unreachable')


def _walk(
    fd: int, path: str, entries: dict[str, os.stat_result]
) -> Iterator[Listing]:
    yield Listing(path, fd, entries)
    for name, found in entries.items():
        below = f'{path}/{name}' if path else name
        if not stat.S_ISDIR(found.st_mode) or not legal(below):
            continue
        open_sub = functools.partial(_open_below, fd, name, below)
        try:
            sub, inside = _opened(open_sub, _nothing)
        except (FileNotFoundError, NotADirectoryError):
            # Pruned meanwhile, or replaced by a link.
            continue
        try:
            yield from _walk(sub, below, inside)
        finally:
            fsops.close(sub)


def _nothing() -> None:
    """Do nothing: the directory above is open and is not stale."""


def _entries(fd: int) -> dict[str, os.stat_result]:
    entries = {}
    for name in fsops.listdir(fd):
        try:
            entries[name] = fsops.lstat(fd, name)
        except FileNotFoundError:
            continue
    return entries


def _open_below(parent: int, name: str, path: str) -> int:
    """Open a directory that lies on the file system of its parent."""
    fd = fsops.open_directory(parent, name)
    try:
        if fsops.fstat(parent).st_dev == fsops.fstat(fd).st_dev:
            return fd
        raise errors.TargetError(
            f'{path} lies on another file system than the target: nothing '
            'may be mounted below it'
        )
    except BaseException:
        fsops.close(fd)
        raise
