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

"""What the locks of QEMU tell of the use of an image.

Each QEMU with an image open holds locks on bytes of it (block/file-posix.c
and block.h of QEMU): from 100 on for what it does with the image, from 200
on for what others must not do meanwhile. NFS passes them on, so that they
tell of other hosts too. Leases, which tell more, NFS does not have.
"""

from __future__ import annotations

import fcntl
import os

from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import locks

_F_OFD_GETLK = 36
_F_OFD_SETLK = 37

#: For what an image is used begins at one, what is refused at the other.
_USES, _REFUSES = 100, 200
_COUNT = 64
_READ, _WRITE, _RESIZE = 0, 1, 3


def is_written(files: files_.Files, name: str) -> bool:
    """Tell whether a QEMU can write to an image; absent is no."""
    return _is_used(files, name, _WRITE, 1)


def is_open(files: files_.Files, name: str) -> bool:
    """Tell whether a QEMU has an image open in any way; absent is no."""
    return _is_used(files, name, 0, _COUNT)


def _is_used(files: files_.Files, name: str, use: int, count: int) -> bool:
    try:
        with files.opened(name) as fd:
            return _is_locked(fd, _USES + use, count)
    except FileNotFoundError:
        return False


def take(fd: int) -> bool:
    """Lock an open image as a QEMU does that writes to it.

    Others see its use then, here and on other hosts. The locks end when
    the descriptor is closed.

    :param fd: open for reading at least
    :returns: whether nobody has it open already
    """
    for start in (
        *(_USES + use for use in (_READ, _WRITE, _RESIZE)),
        *(_REFUSES + use for use in (_WRITE, _RESIZE)),
    ):
        asked = locks.FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, start, 1, 0)
        fcntl.fcntl(fd, _F_OFD_SETLK, asked)
    # As QEMU: what is ours is shown first, so that of two one gives way.
    return not any(
        _is_locked(fd, start, 1)
        for start in (
            *(_REFUSES + use for use in (_READ, _WRITE, _RESIZE)),
            *(_USES + use for use in (_WRITE, _RESIZE)),
        )
    )


def _is_locked(fd: int, start: int, length: int) -> bool:
    """Tell whether another open file has a lock on some bytes."""
    asked = locks.FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    answer = fcntl.fcntl(fd, _F_OFD_GETLK, asked)
    return bool(locks.FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
