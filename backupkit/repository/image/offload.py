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

"""Copies that the storage makes by itself: no byte comes here."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

from backupkit.copy import control as control_
from backupkit.repository.image import holes

#: FICLONERANGE of linux/fs.h: source, its offset, length, destination's.
_FICLONERANGE = 0x4020940D
_RANGE = struct.Struct('=qQQQ')

_PIECE_BYTES = 64 << 20

_DECLINED = (
    errno.EOPNOTSUPP,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.ETXTBSY,
)


def bring(
    source: int,
    path: str,
    size_bytes: int,
    control: control_.Control,
    *,
    copying: bool,
) -> bool:
    """Bring the bytes of a file into another one of the same file system.

    The blocks are shared where the file system can do that. The destination
    must be a hole, or a file that is to be overwritten.

    :param copying: where it cannot share, let it copy
    :returns: False where it cannot; the destination is as it was
    :raises OSError: it failed on the way
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if not near(source, fd):
            return False
        unit = max(4096, os.fstatvfs(fd).f_frsize)
        whole = size_bytes // unit * unit
        if not whole:
            return False
        control.check()
        if _share(source, fd, whole):
            control.advance(whole)
            _tail(source, fd, whole, size_bytes)
            control.advance(size_bytes - whole)
            return True
        return copying and _copy(source, fd, size_bytes, control)
    finally:
        os.close(fd)


def near(one: int, other: int) -> bool:
    """Tell whether two open files are regular ones of one file system."""
    first, second = os.fstat(one), os.fstat(other)
    return (
        stat.S_ISREG(first.st_mode)
        and stat.S_ISREG(second.st_mode)
        and first.st_dev == second.st_dev
    )


def _share(source: int, fd: int, length: int) -> bool:
    try:
        fcntl.ioctl(fd, _FICLONERANGE, _RANGE.pack(source, 0, length, 0))
    except OSError as exc:
        if exc.errno in _DECLINED:
            return False
        raise
    return True


def _tail(source: int, fd: int, offset: int, end: int) -> None:
    """Copy what is no whole block."""
    while offset < end:
        data = os.pread(source, end - offset, offset)
        if not data:
            raise OSError(errno.EIO, f'the source ends at {offset}')
        offset += os.pwrite(fd, data, offset)


def _copy(
    source: int, fd: int, size_bytes: int, control: control_.Control
) -> bool:
    """Let the file system copy the data; holes stay holes."""
    told = 0
    for begin, end in holes.data(source, 0, size_bytes):
        done = begin
        while done < end:
            control.check()
            length = min(_PIECE_BYTES, end - done)
            try:
                count = os.copy_file_range(source, fd, length, done, done)
            except OSError as exc:
                if exc.errno in _DECLINED and not told:
                    return False
                raise
            if not count:
                raise OSError(errno.EIO, f'the source ends at {done}')
            done += count
            control.advance(done - told)
            told = done
    control.advance(size_bytes - told)
    return True
