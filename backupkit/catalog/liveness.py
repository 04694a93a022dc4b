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

"""Whether the process of a run is still there.

A run holds a lock on a file below the state directory for as long as its
process lives: the kernel lets it go with the process, however that ends.
That another process can take the lock is the only proof of death there is
on the same boot; what is not proved dead counts as alive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
import contextlib
import dataclasses
import errno
import fcntl
import os
import socket
import time

from backupkit.catalog import directory
from backupkit.catalog import rows
from backupkit import errors

_BOOT_ID = '/proc/sys/kernel/random/boot_id'
_SUFFIX = '.lock'
#: Hosts that were never named: many machines have these names.
_NO_NAMES = ('', 'localhost', 'localhost.localdomain')
#: Whoever looks at a lock holds it for an instant.
_ATTEMPTS = 50
_PAUSE_SECONDS = 0.01


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """This process, as the catalog records it."""

    host: str
    boot_id: str
    pid: int


def this_process() -> Process:
    """Return where this code runs."""
    try:
        with open(_BOOT_ID, encoding='ascii') as file:
            boot_id = file.read().strip()
    except OSError:
        boot_id = ''
    return Process(socket.gethostname(), boot_id, os.getpid())


@contextlib.contextmanager
def hold(state_path: str, run_id: str) -> Iterator[None]:
    """Hold the lock of a run; to be entered before it is registered.

    The lock is let go at the end, but its file stays: for a run that has
    not finished it proves that nobody works on it. Who has finished a run
    calls :func:`discard`.

    :raises errors.Conflict: another process works on this run
    :raises errors.CatalogError: the state directory cannot be used
    """
    descriptor = _take(_path(state_path, run_id), run_id)
    try:
        yield
    finally:
        os.close(descriptor)


def is_dead(state_path: str, run: rows.Run) -> bool:
    """Tell whether it is proved that the process of a run has ended."""
    here = this_process()
    if run.host != here.host:
        return False
    if run.boot_id and here.boot_id and run.boot_id != here.boot_id:
        return run.host not in _NO_NAMES or _is_free(state_path, run.run_id)
    return _is_free(state_path, run.run_id)


def is_alive(state_path: str, run: rows.Run) -> bool:
    """Tell whether it is proved that the process of a run is there.

    Neither this nor :func:`is_dead` holds where nothing is proved.
    """
    here = this_process()
    if (run.host, run.boot_id) != (here.host, here.boot_id):
        return False
    with _probed(_path(state_path, run.run_id)) as free:
        return free is False


def discard(state_path: str, run_id: str) -> None:
    """Remove the lock file of a run that has finished; absent is fine.

    A file that somebody holds stays.
    """
    path = _path(state_path, run_id)
    # Exclusive: who looks holds it too, and must not look at what goes.
    with _probed(path, fcntl.LOCK_EX) as free:
        if free:
            os.unlink(path)


def sweep(state_path: str, live: Collection[str]) -> None:
    """Remove the lock files of all runs but those that are named."""
    try:
        names = os.listdir(os.path.join(state_path, 'runs'))
    except FileNotFoundError:
        return
    for name in names:
        run_id = name.removesuffix(_SUFFIX)
        if name.endswith(_SUFFIX) and run_id not in live:
            discard(state_path, run_id)


def _path(state_path: str, run_id: str) -> str:
    return os.path.join(state_path, 'runs', os.path.basename(run_id) + _SUFFIX)


def _take(path: str, run_id: str) -> int:
    for _ in range(_ATTEMPTS):
        descriptor = _opened(path)
        taken = _taken(descriptor, fcntl.LOCK_EX)
        if taken and _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
        if not taken:
            time.sleep(_PAUSE_SECONDS)
    raise errors.Conflict(f'another process works on run {run_id}')


def _opened(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        directory.make(os.path.dirname(path))
        descriptor = os.open(path, flags, directory.FILE_MODE)
    except OSError as error:
        text = f'state file {path} cannot be made: {error.strerror}'
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.CatalogFull(f'{text}: make space there') from error
        raise errors.CatalogError(
            f'{text}: let state_path name a directory that this user may write'
        ) from error
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, directory.FILE_MODE)
    return descriptor


def _is_at(descriptor: int, path: str) -> bool:
    """Tell whether an open file still is what stands at its path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _is_free(state_path: str, run_id: str) -> bool:
    with _probed(_path(state_path, run_id)) as free:
        return free is True


@contextlib.contextmanager
def _probed(path: str, kind: int = fcntl.LOCK_SH) -> Iterator[bool | None]:
    """Hold the lock of a file for an instant, and tell whether it was free.

    Shared, so that two who look do not take each other for the run. None
    where the file is not there or cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield _taken(descriptor, kind)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
