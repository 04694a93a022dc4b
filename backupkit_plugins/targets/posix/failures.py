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


"""What the kernel's errors mean for somebody who keeps backups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import errno
import os
import stat

from backupkit import errors

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MISSING = frozenset({errno.ESTALE, errno.ENODEV})
_REFUSED = frozenset({errno.EACCES, errno.EPERM})
#: What a network file system says of a server that may come back.
_PASSING = frozenset(
    {
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
    }
)


@contextlib.contextmanager
def translated(
    action: str, path: str, free_bytes: Callable[[], int | None]
) -> Iterator[None]:
    """Turn what the kernel refuses into an error of the error tree.

    :param action: what was being done to ``path``, as in *cannot ACTION*
    :param free_bytes: tells how much space is left; asked only if needed
    :raises errors.TargetError: or one of its kinds, for any OSError
    """
    try:
        yield
    except OSError as exc:
        raise _error(action, path, free_bytes, exc) from exc


def _error(
    action: str,
    path: str,
    free_bytes: Callable[[], int | None],
    exc: OSError,
) -> errors.TargetError:
    fact = f'cannot {action} {path}'
    code = exc.errno
    if code in _FULL:
        free = free_bytes()
        left = 'unknown' if free is None else f'{free} bytes'
        limit = 'quota reached' if code == errno.EDQUOT else 'no space left'
        return errors.TargetFull(f'{fact}: {limit}, free: {left}')
    if code == errno.EROFS:
        return errors.TargetReadOnly(f'{fact}: the file system is read-only')
    if code in _MISSING:
        return errors.TargetMissing(f'{fact}: it is gone ({exc.strerror})')
    if code in _REFUSED:
        return errors.TargetError(f'{fact}: {exc.strerror}{_owner(path)}')
    if code == errno.ELOOP:
        return errors.TargetError(
            f'{fact}: there is a symbolic link, which is never followed'
        )
    if code in _PASSING:
        return errors.TargetUnavailable(f'{fact}: {exc.strerror}')
    return errors.TargetError(f'{fact}: {exc.strerror}')


def _owner(path: str) -> str:
    """Tell who may use the nearest part of a path that can be seen."""
    while path != os.path.dirname(path):
        try:
            found = os.lstat(path)
        except OSError:
            path = os.path.dirname(path)
            continue
        return f'; {_facts(path, found)}; {_cure(path, found)}'
    return ''


def _facts(path: str, found: os.stat_result) -> str:
    groups = sorted({os.getegid(), *os.getgroups()})
    mode = stat.S_IMODE(found.st_mode)
    return (
        f'{path} is owned by uid {found.st_uid}, gid {found.st_gid} '
        f'with mode {mode:04o}, and this process has uid {os.geteuid()} and '
        f'gid {", ".join(map(str, groups))}'
    )


def _cure(path: str, found: os.stat_result) -> str:
    """Tell the operator what would help: we never change an owner."""
    user = os.geteuid()
    if user == 0:
        return (
            'a file server may take root for nobody: run as the user who '
            'owns it'
        )
    if found.st_uid == user:
        return 'its owner needs mode 0770 or more'
    return (
        f'let uid {user} own it, or let one of these groups own it with mode '
        '2770, where it is kept'
    )
