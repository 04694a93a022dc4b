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


"""A store of files below one directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import errno
import os
import stat
import time
from typing import TypeVar

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit import errors
from backupkit_plugins.targets.posix import access as access_
from backupkit_plugins.targets.posix import fsops
from backupkit_plugins.targets.posix import looking
from backupkit_plugins.targets.posix import publishing
from backupkit_plugins.targets.posix import reading
from backupkit_plugins.targets.posix import temporary
from backupkit_plugins.targets.posix import walking

# A younger directory may have been made for an object that is still written
# without a name: a sweep leaves it alone.
_OLD_SECONDS = 600.0

_T = TypeVar('_T')


class PosixStore(store.Store):
    """Objects as files below a root directory, opened once.

    An object is written under a temporary name, synced, then linked to its
    name, which never replaces anything, and the directory is synced. The
    root is made by the first put, if only its last component is missing.

    :param root: an absolute path
    :param check_root: raises where a descriptor of the root is not what is
        expected there; given for a mounted share, of which the kernel may
        know what is old
    :raises errors.TargetMissing: neither it nor its parent exists
    """

    capabilities = capability.StoreCapabilities(
        list_complete=True, put_if_absent=True, files=True
    )

    def __init__(
        self, root: str, check_root: Callable[[int], None] | None = None
    ) -> None:
        self._access = access_.Access(root, check_root)

    def check_access(self, *, write: bool) -> None:
        """Ask whether this process may work here, and change nothing.

        :raises errors.TargetError: it may not; tells who may, and the cure
        """
        wanted = os.R_OK | os.X_OK | (os.W_OK if write else 0)
        with self._access.translated('use', ''):
            try:
                with self._access.directories.opened('') as fd:
                    allowed = fsops.access(fd, wanted)
            except FileNotFoundError:
                # The first put makes it.
                return
            if not allowed:
                raise PermissionError(errno.EACCES, 'permission denied')

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        directory, _ = _split(name)
        attempts = publishing.Attempts()

        def publish(fd: int) -> None:
            publishing.publish(fd, name, parts, attempts)

        def put() -> None:
            self._access.inside(directory, publish, create=True)

        with self._access.translated('write', name):
            try:
                self._access.fresh(put)
            except FileExistsError as exc:
                raise errors.ObjectExists(f'{name} exists already') from exc
            except (OSError, errors.TargetError):
                self._access.prune(directory)
                raise

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        def read(fd: int, size: int) -> bytes:
            wanted = size - offset if length is None else length
            _check_range(name, size, offset, wanted)
            data = reading.read(fd, wanted, offset)
            _check_range(name, offset + len(data), offset, wanted)
            return data

        return self._of_object(name, read)

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        wanted = sum(len(buffer) for buffer in buffers)

        def read(fd: int, size: int) -> None:
            _check_range(name, size, offset, wanted)
            done = reading.read_into(fd, buffers, offset)
            _check_range(name, offset + done, offset, wanted)

        self._of_object(name, read)

    def stat(self, name: str) -> store.ObjectStat:
        directory, leaf = _split(name)

        def look(fd: int) -> os.stat_result:
            return looking.look(fd, leaf)

        with self._access.translated('stat', name):
            with self._access.absent_raises(name):
                found = self._access.fresh(
                    lambda: self._access.inside(directory, look)
                )
            _check_file(name, found)
        return store.ObjectStat(name, found.st_size)

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        path = store.check_prefix(prefix).removesuffix('/')
        with self._access.translated('list', prefix):
            self._access.fresh(self._access.check_root)
            for listing in walking.walk(self._access.directories, path):
                for leaf, found in listing.entries.items():
                    name = f'{listing.path}/{leaf}'.removeprefix('/')
                    if stat.S_ISREG(found.st_mode) and walking.legal(name):
                        yield store.ObjectStat(name, found.st_size)

    def delete(self, name: str) -> None:
        directory, leaf = _split(name)

        def remove(fd: int) -> None:
            fsops.unlink(fd, leaf)
            fsops.fsync(fd)

        with self._access.translated('delete', name):
            try:
                self._access.fresh(
                    lambda: self._access.inside(directory, remove)
                )
            except (FileNotFoundError, NotADirectoryError):
                self._access.check_root()
                # Whoever removed it may have died before this.
                with contextlib.suppress(
                    FileNotFoundError, NotADirectoryError
                ):
                    self._access.inside(directory, fsops.fsync)
        self._access.prune(directory)

    @contextlib.contextmanager
    def make_file(self, name: str) -> Iterator[int]:
        directory, _ = _split(name)
        with self._access.translated('write', name):
            try:
                with contextlib.ExitStack() as stack:

                    def begin(fd: int) -> int:
                        held = fsops.open_directory(fd, '.')
                        stack.callback(fsops.close, held)
                        return stack.enter_context(publishing.made(held, name))

                    yield self._access.fresh(
                        lambda: self._access.inside(
                            directory, begin, create=True
                        )
                    )
            except FileExistsError as exc:
                raise errors.ObjectExists(f'{name} exists already') from exc
            except BaseException:
                self._access.prune(directory)
                raise

    @contextlib.contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        directory, leaf = _split(name)

        def open_it(fd: int) -> int:
            return fsops.open_file(fd, leaf)

        def run() -> int:
            with self._access.absent_raises(name):
                return self._access.inside(directory, open_it)

        with self._access.translated('read', name):
            fd = self._access.fresh(run)
        try:
            with self._access.translated('read', name):
                _check_file(name, fsops.fstat(fd))
            yield fd
        finally:
            fsops.close(fd)

    def sweep(self) -> int:
        swept = 0
        with self._access.translated('sweep', ''):
            self._access.fresh(self._access.check_root)
            for listing in walking.walk(self._access.directories, ''):
                left = len(listing.entries)
                for leaf, found in listing.entries.items():
                    if (
                        leaf.startswith(temporary.PREFIX)
                        and stat.S_ISREG(found.st_mode)
                        and temporary.remove_leftover(listing.fd, leaf)
                    ):
                        swept += 1
                        left -= 1
                if not left and _is_old(fsops.fstat(listing.fd)):
                    self._access.prune(listing.path)
        return swept

    def close(self) -> None:
        self._access.directories.close()

    def _of_object(self, name: str, action: Callable[[int, int], _T]) -> _T:
        """Run an action with an object's descriptor and its size."""
        directory, leaf = _split(name)

        def open_file(fd: int) -> int:
            return fsops.open_file(fd, leaf)

        def run() -> _T:
            with self._access.absent_raises(name):
                fd = self._access.inside(directory, open_file)
            try:
                found = fsops.fstat(fd)
                _check_file(name, found)
                return action(fd, found.st_size)
            finally:
                fsops.close(fd)

        with self._access.translated('read', name):
            return self._access.fresh(run)


def _split(name: str) -> tuple[str, str]:
    directory, _, leaf = store.check_name(name).rpartition('/')
    return directory, leaf


def _is_old(directory: os.stat_result) -> bool:
    """Tell whether nothing was made or removed there for a while."""
    return time.time() - directory.st_mtime > _OLD_SECONDS


def _check_file(name: str, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise errors.ObjectNotFound(f'{name} does not exist')
    if not stat.S_ISREG(found.st_mode):
        raise errors.TargetError(
            f'{name} is no file but a symbolic link or something special: '
            'it is never followed'
        )


def _check_range(name: str, size: int, offset: int, length: int) -> None:
    if offset < 0 or length < 0 or offset + length > size:
        raise errors.Damaged(
            f'{name} has {size} bytes, too few for {length} from {offset}'
        )
