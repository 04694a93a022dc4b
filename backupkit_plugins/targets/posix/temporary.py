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


"""The files that puts write before they name them.

A put holds a lock on its temporary file until that has its name. Locks
die with their process, on whatever host it runs, so that whoever gets the
lock knows the file for a leftover.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import secrets

from backupkit_plugins.targets.posix import fsops

PREFIX = '.tmp-'
_MODE = 0o660
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


@contextlib.contextmanager
def created(directory: int) -> Iterator[tuple[str, int]]:
    """Lend a fresh, empty, locked file by its name and descriptor.

    Afterwards the name is gone, whatever happened.

    :raises FileNotFoundError: the directory was removed, or another
        process took the file for a leftover; nothing is left then
    """
    name = PREFIX + secrets.token_hex(8)
    fd = fsops.create(directory, name, _MODE)
    try:
        # The mode given at creation is cut by the umask.
        fsops.fchmod(fd, _MODE)
        _lock(fd, fcntl.LOCK_EX)
        if fsops.fstat(fd).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, 'swept', name)
        yield name, fd
    finally:
        # Closed first: NFS only renames what is unlinked while it is open.
        with contextlib.suppress(OSError):
            fsops.close(fd)
        # What cannot be removed now is left to a sweep.
        with contextlib.suppress(OSError):
            fsops.unlink(directory, name)


def remove_leftover(directory: int, name: str) -> bool:
    """Remove a temporary file that no living process writes.

    :returns: whether it did
    """
    try:
        fd = fsops.open_file(directory, name, write=True)
    except OSError:
        # Gone, or not a file, or not for us to judge.
        return False
    try:
        if not _lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
        with contextlib.suppress(FileNotFoundError):
            fsops.unlink(directory, name)
            return True
        return False
    finally:
        fsops.close(fd)


def _lock(fd: int, operation: int) -> bool:
    """Lock a file, and tell whether that is proved."""
    try:
        fsops.flock(fd, operation)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno in _NO_LOCKS:
            return False
        raise
    return True
