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

"""Files and directories that root alone controls.

A path is walked from the top, without following symbolic links: each part
must belong to root and be writable by nobody else. So nobody but root can
put something else into its place, neither before nor after the look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
import re
import stat

from backupkit import errors

TOP = '/'
OWNER = 0

_PATH = re.compile(r'(/(?!\.\.?(/|$))[A-Za-z0-9._-]{1,128}){1,32}')
_WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo must not hold us up.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextlib.contextmanager
def directory(path: str, *, make: bool = False) -> Iterator[int]:
    """Open a directory, and make what is missing of it if asked to.

    :raises errors.PrivilegeError: it is missing, or not root's alone
    """
    if not _PATH.fullmatch(path):
        raise errors.PrivilegeError(f'{path!r:.80} is no plain absolute path')
    with contextlib.ExitStack() as opened:
        try:
            fd = _open(TOP, _WALK, None, opened)
            for part in path.split('/')[1:]:
                if make:
                    _make(part, fd)
                fd = _open(part, _WALK, fd, opened)
        except OSError as error:
            raise errors.PrivilegeError(
                f'cannot open {path}: {error.strerror}'
            ) from error
        yield fd


@contextlib.contextmanager
def file(path: str) -> Iterator[int]:
    """Open a file for reading.

    :raises errors.PrivilegeError: it is missing, or not root's alone
    """
    above, _, name = path.rpartition('/')
    with directory(above) as parent, contextlib.ExitStack() as opened:
        try:
            fd = _open(name, _READ, parent, opened, stat.S_ISREG)
        except OSError as error:
            raise errors.PrivilegeError(
                f'cannot open {path}: {error.strerror}'
            ) from error
        yield fd


def _make(name: str, parent: int) -> None:
    # Open to the group that the daemon was given, or else to everybody, for
    # looking through only.
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o750 if os.getegid() else 0o755, dir_fd=parent)


def _open(
    name: str,
    flags: int,
    parent: int | None,
    opened: contextlib.ExitStack,
    is_kind: Callable[[int], bool] = stat.S_ISDIR,
) -> int:
    fd = os.open(name, flags, dir_fd=parent)
    opened.callback(os.close, fd)
    found = os.fstat(fd)
    if not is_kind(found.st_mode):
        raise errors.PrivilegeError(f'{name} is of a wrong kind')
    if found.st_uid != OWNER or found.st_mode & 0o022:
        raise errors.PrivilegeError(
            f'{name} must belong to root and be writable by nobody else: '
            f'its owner is {found.st_uid}, '
            f'its mode {stat.S_IMODE(found.st_mode):04o}'
        )
    return fd
