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


"""Faults planted into the store's calls, which a test must find.

A mutant returns the calls of the seam that it replaces. It is applied above
the recorder, so that what it leaves out was never done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import os
import stat
from unittest import mock

from backupkit_plugins.targets.posix import fsops

Calls = Mapping[str, Callable[..., None]]
Mutant = Callable[[], Calls]


@contextlib.contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Let a mutant replace calls of the seam meanwhile."""
    with contextlib.ExitStack() as stack:
        for name, call in mutant().items():
            stack.enter_context(mock.patch.object(fsops, name, call))
        yield


def no_sync() -> Calls:
    """Sync nothing."""
    return {'fsync': lambda fd: None}


def sync_files_only() -> Calls:
    """Sync no names."""
    real = fsops.fsync
    return {'fsync': lambda fd: None if _is_directory(fd) else real(fd)}


def sync_directories_only() -> Calls:
    """Sync no data."""
    real = fsops.fsync
    return {'fsync': lambda fd: real(fd) if _is_directory(fd) else None}


def no_sync_after_mkdir() -> Calls:
    """Skip the sync of a directory whose last change was a mkdir."""
    return _no_sync_after({'mkdir'})


def no_sync_after_unlink() -> Calls:
    """Skip the sync of a directory whose last change was a removal.

    A put also removes a name before it syncs, so its link counts last.
    """
    return _no_sync_after({'unlink'})


def _no_sync_after(changes: set[str]) -> Calls:
    last: dict[int, str] = {}
    real = fsops.fsync

    def fsync(fd: int) -> None:
        if last.get(os.fstat(fd).st_ino) not in changes:
            real(fd)

    def change(name: str) -> Callable[..., None]:
        call = getattr(fsops, name)

        def changed(directory: int, leaf: str, *rest: object) -> None:
            call(directory, leaf, *rest)
            if not leaf.startswith('.') or name == 'link':
                last[os.fstat(directory).st_ino] = name

        return changed

    calls = {name: change(name) for name in ('mkdir', 'link', 'unlink')}
    return {'fsync': fsync, **calls}


def sync_own_changes_only() -> Calls:
    """Skip the sync of a directory that this process did not change."""
    changed: set[int] = set()
    real = fsops.fsync

    def fsync(fd: int) -> None:
        if not _is_directory(fd) or os.fstat(fd).st_ino in changed:
            real(fd)
            changed.discard(os.fstat(fd).st_ino)

    def change(name: str) -> Callable[..., None]:
        call = getattr(fsops, name)

        def noted(directory: int, *rest: object) -> None:
            call(directory, *rest)
            changed.add(os.fstat(directory).st_ino)

        return noted

    calls = {name: change(name) for name in ('mkdir', 'link', 'unlink')}
    return {'fsync': fsync, **calls}


def link_before_sync() -> Calls:
    """Sync an object's data only once it has its name."""
    unsynced: list[int] = []
    sync, link = fsops.fsync, fsops.link

    def late_sync(fd: int) -> None:
        if _is_directory(fd):
            sync(fd)
        else:
            unsynced.append(fd)

    def early_link(directory: int, name: str, new_name: str) -> None:
        link(directory, name, new_name)
        while unsynced:
            sync(unsynced.pop())

    return {'fsync': late_sync, 'link': early_link}


def _is_directory(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)
