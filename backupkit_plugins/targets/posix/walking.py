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

from collections.abc import Iterator
import dataclasses
import os
import stat

from backupkit.drivers import store
from backupkit import errors
from backupkit_plugins.targets.posix import directories as directories_
from backupkit_plugins.targets.posix import fsops


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
    try:
        with directories.opened(path) as kept:
            fd = fsops.open_directory(kept, '.')
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        yield from _walk(fd, path)
    finally:
        fsops.close(fd)


def legal(name: str) -> bool:
    """Tell whether an object may have this name."""
    try:
        store.check_name(name)
    except errors.FormatError:
        return False
    return True


def _walk(fd: int, path: str) -> Iterator[Listing]:
    entries = _entries(fd)
    yield Listing(path, fd, entries)
    for name, found in entries.items():
        below = f'{path}/{name}' if path else name
        if not stat.S_ISDIR(found.st_mode) or not legal(below):
            continue
        try:
            sub = fsops.open_directory(fd, name)
        except (FileNotFoundError, NotADirectoryError):
            # Pruned meanwhile, or replaced by a link.
            continue
        try:
            _check_device(fd, sub, below)
            yield from _walk(sub, below)
        finally:
            fsops.close(sub)


def _entries(fd: int) -> dict[str, os.stat_result]:
    entries = {}
    for name in fsops.listdir(fd):
        try:
            entries[name] = fsops.lstat(fd, name)
        except FileNotFoundError:
            continue
    return entries


def _check_device(fd: int, sub: int, path: str) -> None:
    if fsops.fstat(fd).st_dev != fsops.fstat(sub).st_dev:
        raise errors.TargetError(
            f'{path} lies on another file system than the target: nothing '
            'may be mounted below it'
        )
