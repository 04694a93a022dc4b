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


"""Every call that the POSIX store makes into the kernel.

The store reaches its file system through these functions alone, by their
names in this module. So a test can stand in for any of them: fail the Nth
call, shorten a write, or record all of them and work out what a power cut
could leave. Each function is one system call, and all paths but the
root's are single names relative to an open directory.
"""

from __future__ import annotations

from collections.abc import Sequence
import fcntl
import os

from backupkit.copy import direct as direct_

Buffer = bytes | bytearray | memoryview

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A FIFO or a terminal that somebody planted must neither block nor become
# ours.
_PLANTED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_root(path: str) -> int:
    """Open the directory that the operator named, links and all."""
    return os.open(path, _DIRECTORY)


def open_directory(parent: int, name: str) -> int:
    """Open a directory below another, unless it is a link."""
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def open_file(directory: int, name: str, *, write: bool = False) -> int:
    """Open what is there, unless it is a link; it may be no file."""
    access = os.O_RDWR if write else os.O_RDONLY
    return os.open(name, access | _PLANTED, dir_fd=directory)


def create(directory: int, name: str, mode: int) -> int:
    """Make a file that was not there and open it for writing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, mode, dir_fd=directory)


def close(fd: int) -> None:
    """Close a descriptor."""
    os.close(fd)


def mkdir(parent: int, name: str, mode: int) -> None:
    """Make a directory."""
    os.mkdir(name, mode, dir_fd=parent)


def rmdir(parent: int, name: str) -> None:
    """Remove an empty directory."""
    os.rmdir(name, dir_fd=parent)


def link(directory: int, name: str, new_name: str) -> None:
    """Give a file a second name, unless that is taken."""
    os.link(
        name,
        new_name,
        src_dir_fd=directory,
        dst_dir_fd=directory,
        follow_symlinks=False,
    )


def unlink(directory: int, name: str) -> None:
    """Remove a name that is not a directory's."""
    os.unlink(name, dir_fd=directory)


def fchmod(fd: int, mode: int) -> None:
    """Set the mode of an open file or directory."""
    os.fchmod(fd, mode)


def flock(fd: int, operation: int) -> None:
    """Lock or try to lock a file, as :func:`fcntl.flock` does."""
    fcntl.flock(fd, operation)


def pwritev(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
    """Write some of the buffers and tell how many bytes."""
    return os.pwritev(fd, buffers, offset)


def set_direct(fd: int, *, direct: bool) -> None:
    """Let writes go past the page cache or through it, as open(2) says."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    flags = flags | os.O_DIRECT if direct else flags & ~os.O_DIRECT
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)


def pread(fd: int, length: int, offset: int) -> bytes:
    """Read at most so many bytes."""
    return os.pread(fd, length, offset)


def preadv(
    fd: int, buffers: Sequence[bytearray | memoryview], offset: int
) -> int:
    """Fill some of the buffers and tell how many bytes."""
    return os.preadv(fd, buffers, offset)


def read_direct(
    fd: int, buffers: Sequence[bytearray | memoryview], offset: int
) -> int:
    """Fill the buffers, from the page cache or past it, to the file's end.

    The one call that is several: it may need the file opened once more.
    """
    file = direct_.DirectFile(fd, os.O_RDONLY)
    try:
        return file.read_into(offset, buffers)
    finally:
        file.close()


def fsync(fd: int) -> None:
    """Make a file's content, or a directory's names, durable."""
    os.fsync(fd)


def drop_pages(fd: int, offset: int, length: int) -> None:
    """Start to write dirty pages back, and forget clean ones."""
    os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


def fstat(fd: int) -> os.stat_result:
    """Describe what a descriptor has open."""
    return os.fstat(fd)


def lstat(directory: int, name: str) -> os.stat_result:
    """Describe what a name stands for, a link as a link."""
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def access(directory: int, mode: int) -> bool:
    """Tell whether this process may use an open directory so."""
    return os.access('.', mode, dir_fd=directory, effective_ids=True)


def listdir(directory: int) -> list[str]:
    """Return every name in a directory that was just opened."""
    return os.listdir(directory)


def fstatvfs(fd: int) -> os.statvfs_result:
    """Describe the file system of a descriptor."""
    return os.fstatvfs(fd)
