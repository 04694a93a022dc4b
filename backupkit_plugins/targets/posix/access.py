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

"""Work in the directories of a store, whatever becomes of them meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import errno
import functools
import os
from typing import TypeVar

from backupkit import errors
from backupkit_plugins.targets.posix import directories as directories_
from backupkit_plugins.targets.posix import failures
from backupkit_plugins.targets.posix import fsops

# How often what was open is opened again by its path, because the file
# server says that it is stale.
_REOPENED = 3
# How often a put starts again because a delete has just removed the empty
# directory under it, or a sweep its temporary file.
_PUT_ATTEMPTS = 16

_T = TypeVar('_T')


class Access:
    """Runs actions in the directories of one store.

    Again where what was kept open is stale by then; what goes wrong all the
    same is told as an error of the target. May be used by several threads.

    :ivar directories: what is kept open
    :param check_root: see :class:`.store.PosixStore`
    :raises errors.TargetMissing: neither the root nor its parent exists
    """

    def __init__(
        self, root: str, check_root: Callable[[int], None] | None = None
    ) -> None:
        self._root = root
        self.directories = directories_.Directories(root, check_root)
        with self.translated('open', ''):
            try:
                self.fresh(self._open_root)
            except FileNotFoundError as exc:
                parent = os.path.dirname(root)
                if not os.path.isdir(parent):
                    raise errors.TargetMissing(
                        f'{root} cannot be made: {parent} does not exist; '
                        'is something not mounted?'
                    ) from exc

    def _open_root(self) -> None:
        with self.directories.opened(''):
            pass

    def fresh(self, action: Callable[[], _T]) -> _T:
        """Run an action, and again from the root's path where that was stale.

        A file server says so of what was removed or exported anew while it
        was open here.
        """
        for _ in range(_REOPENED):
            try:
                return action()
            except OSError as exc:
                if exc.errno != errno.ESTALE:
                    raise
                self.directories.reopen()
        return action()

    def inside(
        self,
        directory: str,
        action: Callable[[int], _T],
        *,
        create: bool = False,
    ) -> _T:
        """Run an action in a directory, and again where that was stale.

        What is kept open may have been removed by others, and made anew;
        then the action finds nothing, whatever there is by now.
        """
        for _ in range(_PUT_ATTEMPTS - 1 if create else 1):
            try:
                with self.directories.opened(directory, create=create) as fd:
                    return action(fd)
            except FileNotFoundError:
                self.directories.forget(directory)
                self.directories.refresh()
        with self.directories.opened(directory, create=create) as fd:
            return action(fd)

    def prune(self, directory: str) -> None:
        """Remove a directory and those above it, as far as empty."""
        while directory:
            parent, _, leaf = directory.rpartition('/')
            remove = functools.partial(_remove_directory, leaf)
            try:
                self.inside(parent, remove)
            except (OSError, errors.TargetError):
                # It is not empty, or gone, or not for us to remove: an
                # empty directory is no object and harms nobody.
                return
            directory = parent

    def check_root(self) -> None:
        """Refuse to go on where the root is not there any more.

        :raises errors.TargetMissing: it was removed after it was opened
        """
        if self.directories.lost():
            raise errors.TargetMissing(f'{self._root} was removed')

    @contextlib.contextmanager
    def absent_raises(self, name: str) -> Iterator[None]:
        """Tell that an object is not there, where the kernel says so.

        :raises errors.ObjectNotFound: it says so, and the root is there
        """
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as exc:
            self.check_root()
            raise errors.ObjectNotFound(f'{name} does not exist') from exc

    @contextlib.contextmanager
    def translated(self, action: str, name: str) -> Iterator[None]:
        """Turn what the kernel refuses into an error of the target.

        :param action: what was being done, as in *cannot ACTION*
        :param name: of the object or directory below the root
        """
        path = f'{self._root}/{name}'.removesuffix('/')
        free_bytes = self.directories.free_bytes
        with failures.translated(action, path, free_bytes):
            try:
                yield
            except FileNotFoundError:
                self.check_root()
                raise


def _remove_directory(leaf: str, parent: int) -> None:
    fsops.rmdir(parent, leaf)
