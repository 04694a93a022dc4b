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


"""The open directories of one store, each reached from its root alone."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import errno
import os
import stat
import threading

from backupkit import errors
from backupkit_plugins.targets.posix import fsops

_MODE = 0o770
_KEPT_OPEN = 48


@dataclasses.dataclass(slots=True)
class _Directory:
    """An open directory; ``settled`` once its name is known durable."""

    fd: int
    device: int
    settled: bool
    users: int = 0
    dropped: bool = False


class Directories:
    """Opens directories below a root and keeps the last ones open.

    The root is opened once. No component below it may be a link or another
    file system, so a lost mount is an error and never a local directory.
    Paths are legal object names or empty, which is the root.

    May be used by several threads at once.

    :param check_root: raises where the descriptor of the root that was just
        opened by its path is not what is expected there; given for what a
        file server holds
    """

    def __init__(
        self, root: str, check_root: Callable[[int], None] | None = None
    ) -> None:
        self._root_path = root
        self._check_root = check_root
        self._device: int | None = None
        self._lock = threading.Lock()
        self._open: collections.OrderedDict[str, _Directory] = (
            collections.OrderedDict()
        )
        self._root: _Directory | None = None
        self._closed = False

    @contextlib.contextmanager
    def opened(self, path: str, *, create: bool = False) -> Iterator[int]:
        """Lend a descriptor of a directory, which stays ours.

        With ``create``, missing directories are made, and every name on
        the way is durable: also one that another process has made but
        perhaps not yet synced, for its power cut is ours too.

        :raises OSError: as the kernel says; FileNotFoundError also where
            another process removed an empty directory in between
        """
        directory = self._taken(path, create=create)
        try:
            yield directory.fd
        finally:
            self._release(directory)

    def forget(self, path: str) -> None:
        """Open a path anew next time, from the root down."""
        with self._lock:
            while path:
                self._drop(path)
                path = path.rpartition('/')[0]

    def reopen(self) -> None:
        """Open everything anew next time, the root by its path.

        Where another file system is by then, that is an error.
        """
        with self._lock:
            for path in list(self._open):
                self._drop(path)
            root, self._root = self._root, None
            if root is not None:
                self._discard(root)

    def refresh(self) -> None:
        """Let the kernel ask a file server what is in the root by now.

        It does when a directory is opened by its path. What it knows of
        those below the root is renewed when they are opened from there.
        """
        if self._check_root is not None:
            fsops.close(fsops.open_root(self._root_path))

    def lost(self) -> bool:
        """Tell whether the root was removed after it was opened."""
        root = self._root
        return root is not None and fsops.fstat(root.fd).st_nlink == 0

    def free_bytes(self) -> int | None:
        """Tell how much space is left, or None where nobody knows."""
        try:
            with self.opened('') as fd:
                found = fsops.fstatvfs(fd)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        """Close what is open, as soon as it is no longer lent."""
        self._closed = True
        self.reopen()

    def _taken(self, path: str, *, create: bool) -> _Directory:
        with self._lock:
            if self._closed:
                raise errors.TargetError(f'{self._root_path} was closed')
            found = self._open.get(path) if path else self._root
            if found is not None and (found.settled or not create):
                if path:
                    self._open.move_to_end(path)
                found.users += 1
                return found
        if path:
            return self._keep(path, self._open_below(path, create=create))
        return self._keep_root(found, create=create)

    def _keep(self, path: str, directory: _Directory) -> _Directory:
        with self._lock:
            self._drop(path)
            self._open[path] = directory
            if len(self._open) > _KEPT_OPEN:
                self._drop(next(iter(self._open)))
        return directory

    def _keep_root(
        self, known: _Directory | None, *, create: bool
    ) -> _Directory:
        opened = known or self._open_root(create=create)
        if create:
            self._settle_root()
        with self._lock:
            # Another thread may have been first: there is but one root.
            root = self._root = self._root or opened
            root.settled = root.settled or create
            root.users += 1
            if opened is not root:
                self._discard(opened)
        return root

    def _open_root(self, *, create: bool) -> _Directory:
        try:
            root = fsops.open_root(self._root_path)
        except FileNotFoundError:
            if not create:
                raise
            root = self._make_root()
        with _closed_on_error(root):
            device = fsops.fstat(root).st_dev
            if self._check_root is not None:
                self._check_root(root)
            if self._device not in (None, device):
                raise errors.TargetMissing(
                    f'{self._root_path} lies on another file system than '
                    'before: its mount was lost'
                )
            self._device = device
            return _Directory(root, device, settled=False)

    def _make_root(self) -> int:
        parent, name = os.path.split(self._root_path)
        try:
            above = fsops.open_root(parent)
        except FileNotFoundError as exc:
            raise errors.TargetMissing(f'{parent} does not exist') from exc
        with _closing(above):
            made = _made(above, name)
        root = fsops.open_root(self._root_path)
        with _closed_on_error(root):
            if made:
                _set_mode(root)
        return root

    def _settle_root(self) -> None:
        try:
            parent = fsops.open_root(os.path.dirname(self._root_path))
        except PermissionError:
            # Then it was not this user who made the root, and whoever did
            # has long been done with it.
            return
        with _closing(parent):
            try:
                fsops.fsync(parent)
            except OSError as exc:
                # Below some mount points lies what knows no fsync: squashfs,
                # autofs. Nothing of ours can have been made there.
                if exc.errno != errno.EINVAL:
                    raise

    def _open_below(self, path: str, *, create: bool) -> _Directory:
        parent, _, name = path.rpartition('/')
        above = self._taken(parent, create=create)
        try:
            made = create and _made(above.fd, name)
            fd = _open_below(above.fd, name, f'{self._root_path}/{path}')
            with _closed_on_error(fd):
                self._check_device(fd, above.device, path)
                if made:
                    _set_mode(fd)
                if create:
                    fsops.fsync(above.fd)
            return _Directory(fd, above.device, settled=create, users=1)
        finally:
            self._release(above)

    def _check_device(self, fd: int, device: int, path: str) -> None:
        if fsops.fstat(fd).st_dev != device:
            raise errors.TargetError(
                f'{self._root_path}/{path} lies on another file system than '
                f'{self._root_path}: nothing may be mounted below a target'
            )

    def _release(self, directory: _Directory) -> None:
        with self._lock:
            directory.users -= 1
            if directory.dropped:
                self._discard(directory)

    def _drop(self, path: str) -> None:
        """Take a path out of what is kept open; the lock is held."""
        directory = self._open.pop(path, None)
        if directory is not None:
            self._discard(directory)

    def _discard(self, directory: _Directory) -> None:
        """Close a directory once nobody uses it; the lock is held."""
        directory.dropped = True
        if directory.users == 0:
            fsops.close(directory.fd)


def _made(parent: int, name: str) -> bool:
    """Make a directory and tell whether it was not there before."""
    try:
        fsops.mkdir(parent, name, _MODE)
    except FileExistsError:
        return False
    return True


def _set_mode(fd: int) -> None:
    """Undo the umask, and keep the set-group-id bit of the parent."""
    inherited = fsops.fstat(fd).st_mode & stat.S_ISGID
    fsops.fchmod(fd, _MODE | inherited)


def _open_below(parent: int, name: str, path: str) -> int:
    try:
        return fsops.open_directory(parent, name)
    except OSError as exc:
        # ENOTDIR is also what the kernel says of a link to a directory.
        if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        if stat.S_ISREG(fsops.lstat(parent, name).st_mode):
            raise
        raise errors.TargetError(
            f'{path} is a symbolic link or a special file, where a '
            'directory is expected: it is never followed'
        ) from exc


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        fsops.close(fd)


@contextlib.contextmanager
def _closed_on_error(fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        fsops.close(fd)
        raise
