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

"""Tells whether somebody has a file or device open for writing."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct

#: struct flock of 64-bit Linux (fcntl(2)): type, whence, start, length, pid.
_FLOCK = struct.Struct('hhqqi4x')
_F_OFD_GETLK = 36

#: Bytes that a QEMU with the image open keeps locked (block/file-posix.c of
#: QEMU documents them): 100 up for what it uses, 200 up for what it refuses
#: to share. The second of each is writing.
_QEMU_WRITES = 101


def is_written(fd: int) -> bool | None:
    """Tell whether another open file description can write to a file.

    A read lease is granted only while nobody has the file open for writing
    (fcntl(2), F_SETLEASE); it needs to be our own file, or CAP_LEASE.
    Otherwise the locks of QEMU are looked at.

    :param fd: a regular file, opened for reading only
    :returns: None where it cannot be told
    """
    return _leased(fd, fcntl.F_RDLCK)


def is_open(fd: int) -> bool | None:
    """Tell whether anybody else has a file open in any way.

    :param fd: a regular file, opened for writing
    :returns: None where it cannot be told
    """
    return _leased(fd, fcntl.F_WRLCK)


def _leased(fd: int, kind: int) -> bool | None:
    # Whoever opens the file before the lease is given back makes the kernel
    # send a signal to us: SIGIO, which ends a process, if not this one,
    # which nobody notices.
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EBUSY):
            return True
        return True if _qemu_writes(fd) else None
    # Given back at once: held, it would make the next opener wait.
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _qemu_writes(fd: int) -> bool:
    """Tell whether a QEMU holds its lock of writers."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _QEMU_WRITES, 1, 0)
    try:
        answer = fcntl.fcntl(fd, _F_OFD_GETLK, asked)
    except OSError:
        return False
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def is_claimed(path: str) -> bool:
    """Tell whether a block device is mounted or part of something.

    Source: open(2), O_EXCL on block devices.

    :raises OSError: the device cannot be opened
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno == errno.EBUSY:
            return True
        raise
    return False
