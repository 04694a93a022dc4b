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

"""Locks of volumes, which hold between processes and between hosts.

Each volume has a file beside it whose first byte is locked by fcntl(2), by
open file description. NFS passes such locks on to the server, so that they
hold for all hosts that mount the share, and end when their holder dies or,
with NFSv4, when its host has been silent for the server's lease. NFSv3 has
no lease: the lock of a dead host stays until that host is up again or the
file is removed, and so whoever gets a lock looks whether its file still is
the one that has the name.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import json
import os
import socket
import struct
import time

from backupkit import errors
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import names

#: struct flock of 64-bit Linux (fcntl(2)): type, whence, start, length, pid.
FLOCK = struct.Struct('hhqqi4x')
_F_OFD_SETLK = 37

_FIRST_PAUSE_SECONDS = 0.02
_LAST_PAUSE_SECONDS = 0.5
_MAX_TEXT = 4096


@contextlib.contextmanager
def held(
    files: files_.Files, volume_id: str, timeout_seconds: float
) -> Iterator[None]:
    """Hold the lock of a volume; whether there is one does not matter.

    :raises errors.Conflict: somebody else has it, and keeps it
    """
    name = names.lock(volume_id)
    until = time.monotonic() + timeout_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        fd = _take(files, name)
        if fd is not None:
            break
        if time.monotonic() >= until:
            raise errors.Conflict(_explain(files, volume_id, timeout_seconds))
        time.sleep(pause)
        pause = min(2 * pause, _LAST_PAUSE_SECONDS)
    try:
        _sign(fd)
        yield
    finally:
        os.close(fd)


def forget(files: files_.Files, volume_id: str) -> None:
    """Remove the lock's file; only by its holder, whose volume is gone."""
    files.remove(names.lock(volume_id))


def _take(files: files_.Files, name: str) -> int | None:
    """Return the locked file, or None where somebody else has it."""
    fd = _open(files, name)
    try:
        asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        fcntl.fcntl(fd, _F_OFD_SETLK, asked)
        found = files.stat(name)
        mine = os.fstat(fd)
        if found is not None and os.path.samestat(found, mine):
            return fd
    except OSError as exc:
        os.close(fd)
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    os.close(fd)
    return None


def _open(files: files_.Files, name: str) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(name, flags, dir_fd=files.root)
    except FileNotFoundError:
        fd = os.open(name, flags | os.O_CREAT, 0o660, dir_fd=files.root)
        volume_file = files.stat(name.removesuffix('.lock'))
        # Somebody else may have made it meanwhile, and it is theirs.
        with contextlib.suppress(PermissionError):
            files.policy.give(fd, volume_file)
        return fd


def _sign(fd: int) -> None:
    """Write into the file who holds it, for who waits in vain."""
    holder = {
        'host': socket.gethostname(),
        'pid': os.getpid(),
        'since': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
    }
    text = json.dumps(holder).encode() + b'\n'
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))


def _explain(
    files: files_.Files, volume_id: str, timeout_seconds: float
) -> str:
    name = names.lock(volume_id)
    holder = 'somebody unknown'
    with (
        contextlib.suppress(OSError, ValueError, KeyError, TypeError),
        files.opened(name) as fd,
    ):
        told = json.loads(os.pread(fd, _MAX_TEXT, 0))
        holder = f'{told["host"]!a} (process {told["pid"]!a}, since '
        holder += f'{told["since"]!a})'
    return (
        f'volume {volume_id} has been locked for {timeout_seconds:g} s by '
        f'{holder}; if that host is dead, which NFSv3 cannot find out, '
        f'remove the file {os.path.join(files.path, name)}'
    )
