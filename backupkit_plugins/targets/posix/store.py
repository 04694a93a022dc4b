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
from typing import TypeVar

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit import errors
from backupkit_plugins.targets.posix import directories
from backupkit_plugins.targets.posix import failures
from backupkit_plugins.targets.posix import fsops
from backupkit_plugins.targets.posix import temporary
from backupkit_plugins.targets.posix import transfer

# How often a put starts again because a delete has just removed the empty
# directory under it, or a sweep its temporary file.
_ATTEMPTS = 16

_T = TypeVar('_T')


class PosixStore(store.Store):
    """Objects as files below a root directory, opened once.

    An object is written under a temporary name, synced, then linked to its
    name, which never replaces anything, and the directory is synced. The
    root is made by the first put, if only its last component is missing.

    :param root: an absolute path
    :raises errors.TargetMissing: neither it nor its parent exists
    """

    capabilities = capability.StoreCapabilities(
        list_complete=True, put_if_absent=True
    )

    def __init__(self, root: str) -> None:
        self._root = root
        self._directories = directories.Directories(root)
        with self._translated('open', ''):
            try:
                with self._directories.opened(''):
                    pass
            except FileNotFoundError as exc:
                parent = os.path.dirname(root)
                if not os.path.isdir(parent):
                    raise errors.TargetMissing(
                        f'{root} cannot be made: {parent} does not exist; '
                        'is something not mounted?'
                    ) from exc

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        directory, leaf = _split(name)

        def put(fd: int) -> None:
            self._put(fd, leaf, parts)

        with self._translated('write', name):
            try:
                self._in_directory(directory, put, create=True)
            except FileExistsError as exc:
                raise errors.ObjectExists(f'{name} exists already') from exc
            except (OSError, errors.TargetError):
                self._prune(directory)
                raise

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        with self._object(name) as (fd, size):
            wanted = size - offset if length is None else length
            _check_range(name, size, offset, wanted)
            data = transfer.read(fd, wanted, offset)
        return _whole(name, data, len(data) == wanted)

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        wanted = sum(len(buffer) for buffer in buffers)
        with self._object(name) as (fd, size):
            _check_range(name, size, offset, wanted)
            done = transfer.read_into(fd, buffers, offset)
        _whole(name, b'', done == wanted)

    def stat(self, name: str) -> store.ObjectStat:
        directory, leaf = _split(name)

        def look(fd: int) -> os.stat_result:
            return fsops.lstat(fd, leaf)

        with self._translated('stat', name), self._absent_raises(name):
            found = self._in_directory(directory, look)
        self._check_file(name, found)
        return store.ObjectStat(name, found.st_size)

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        store.check_prefix(prefix)
        directory = prefix.removesuffix('/')
        for path, names in self._walk(directory):
            for leaf, found in names:
                if stat.S_ISREG(found.st_mode):
                    name = f'{path}/{leaf}' if path else leaf
                    yield store.ObjectStat(name, found.st_size)
