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


"""Moving bytes between buffers and a file, all of them or an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import errno
import os

from backupkit_plugins.targets.posix import fsops

_IOV_MAX = os.sysconf('SC_IOV_MAX')
# Enough for large requests to the disk, and little enough that the first
# are under way while the next are copied.
_BATCH_BYTES = 8 * 1024 * 1024


def write(fd: int, parts: Sequence[fsops.Buffer]) -> int:
    """Write the parts one behind the other into an empty file.

    Writing back starts at once, so that the fsync at the end has little to
    wait for, and the pages written do not push others out of memory.

    :returns: how many bytes these are
    """
    offset = 0
    for batch in _batches(parts):
        start = offset
        views = batch
        while views:
            done = fsops.pwritev(fd, views, offset)
            if done <= 0:
                raise OSError(errno.EIO, 'nothing was written')
            offset += done
            views = _rest(views, done)
        forget(fd, start, offset - start)
    return offset


def read(fd: int, length: int, offset: int) -> bytes:
    """Read a range, shorter only where the file ends."""
    pieces = []
    while length > 0:
        piece = fsops.pread(fd, length, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b''.join(pieces)


def read_into(
    fd: int, buffers: Sequence[bytearray | memoryview], offset: int
) -> int:
    """Fill the buffers, and tell how many bytes there were for them."""
    start = offset
    for batch in _batches(buffers):
        views = batch
        while views:
            done = fsops.preadv(fd, views, offset)
            if done <= 0:
                return offset - start
            offset += done
            views = _rest(views, done)
    return offset - start


def forget(fd: int, offset: int = 0, length: int = 0) -> None:
    """Let go of cached pages; a length of 0 means to the end."""
    # It is only advice: to get it refused harms nobody.
    with contextlib.suppress(OSError):
        fsops.drop_pages(fd, offset, length)


def _batches(parts: Sequence[fsops.Buffer]) -> Iterator[list[memoryview]]:
    """Cut the parts into lists that one system call takes."""
    batch: list[memoryview] = []
    size = 0
    for part in parts:
        view = memoryview(part).cast('B')
        while view:
            piece = view[: _BATCH_BYTES - size]
            batch.append(piece)
            size += len(piece)
            view = view[len(piece) :]
            if size == _BATCH_BYTES or len(batch) == _IOV_MAX:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _rest(views: list[memoryview], done: int) -> list[memoryview]:
    """Return what remains of the views behind the first bytes."""
    for number, view in enumerate(views):
        if done < len(view):
            return [view[done:], *views[number + 1 :]]
        done -= len(view)
    return []
