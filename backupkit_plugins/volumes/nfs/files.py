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

"""Files in the root of the share, by name and never through a link."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import json
import os
import stat
from typing import Any

from backupkit import errors
from backupkit_plugins.volumes.nfs import modes

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

#: Of a file with a document; a chain of a thousand snapshots has 100 KiB.
_MAX_DOCUMENT = 1 << 20


class Files:
    """The root of an open share.

    :param root: an open directory, which stays the caller's
    :param path: of the directory
    :param policy: gives new files their modes and owners
    """

    def __init__(self, root: int, path: str, policy: modes.Policy) -> None:
        self.root = root
        self.path = path
        self.policy = policy

    def names(self) -> list[str]:
        """Return the names of all that is there."""
        return os.listdir(self.root)

    def stat(self, name: str) -> os.stat_result | None:
        """Return what a regular file is like, or None where there is none.

        :raises errors.SourceError: something else bears its name
        """
        try:
            found = os.stat(name, dir_fd=self.root, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise errors.SourceError(f'{name} is not a regular file')
        return found

    @contextlib.contextmanager
    def opened(self, name: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Lend an open regular file.

        :raises OSError: as the system says
        :raises errors.SourceError: something else bears its name
        """
        fd = os.open(name, flags | _FLAGS, dir_fd=self.root)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise errors.SourceError(f'{name} is not a regular file')
            yield fd
        finally:
            os.close(fd)

    def make(self, name: str, like: os.stat_result | None) -> None:
        """Make an empty file, with mode and owners right from the start.

        What an interrupted attempt has left under its name is removed.

        :param like: the file to which it belongs
        """
        self.remove(name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        fd = os.open(name, flags | _FLAGS, 0o600, dir_fd=self.root)
        try:
            self.policy.give(fd, like)
        finally:
            os.close(fd)

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the object in a JSON file, or None where there is none.

        :raises errors.SourceError: it holds something else
        """
        try:
            with self.opened(name) as fd:
                text = os.pread(fd, _MAX_DOCUMENT + 1, 0)
        except FileNotFoundError:
            return None
        try:
            found = json.loads(text) if len(text) <= _MAX_DOCUMENT else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise errors.SourceError(
                f'{name} is damaged: it is not an object in JSON; mend it '
                'by hand, or put it back from a copy'
            )
        return found

    def write(
        self, name: str, found: dict[str, Any], like: os.stat_result | None
    ) -> None:
        """Put an object into a JSON file: as a whole, and durably."""
        # Always the same, for only one process at a time writes it: what a
        # killed one has left is used up by the next.
        temp = f'.{name}.new'
        text = json.dumps(found, indent=1, sort_keys=True)
        self.make(temp, like)
        try:
            with self.opened(temp, os.O_WRONLY) as fd:
                _write_all(fd, text.encode())
                os.fsync(fd)
            os.rename(temp, name, src_dir_fd=self.root, dst_dir_fd=self.root)
        except BaseException:
            self.remove(temp)
            raise
        self.sync()

    def publish(self, temp: str, name: str) -> bool:
        """Give a finished file its name, unless the name is taken.

        :returns: whether it has it now
        """
        with self.opened(temp) as fd:
            os.fsync(fd)
            ours = os.fstat(fd).st_ino
        with contextlib.suppress(FileExistsError):
            os.link(temp, name, src_dir_fd=self.root, dst_dir_fd=self.root)
        # A request that NFS has repeated says EEXIST though it succeeded.
        found = self.stat(name)
        self.remove(temp)
        self.sync()
        return found is not None and found.st_ino == ours

    def remove(self, name: str) -> None:
        """Remove a file; absent is fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.root)

    def sync(self, *names: str) -> None:
        """Make files durable, and what the directory says."""
        for name in names:
            with self.opened(name) as fd:
                os.fsync(fd)
        os.fsync(self.root)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the system says into an error of ours.

    :param what: names the volume or share in its text
    """
    try:
        yield
    except PermissionError as exc:
        raise errors.SourceError(
            f'{what}: {_tell(exc)} for user {os.geteuid()}; give the file '
            'to that user, or to a group of its own'
        ) from exc
    except OSError as exc:
        cure = ''
        if exc.errno == errno.ENOLCK:
            cure = '; mount the share with locks (not nolock, with rpc.statd)'
        raise errors.SourceError(f'{what}: {_tell(exc)}{cure}') from exc


def _tell(exc: OSError) -> str:
    name = f'{exc.filename}: ' if exc.filename else ''
    return f'{name}{exc.strerror}'


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
