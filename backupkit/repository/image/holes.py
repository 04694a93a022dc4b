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

"""Holes of a file, which read as zeros and hold no space."""

from __future__ import annotations

from collections.abc import Iterator
import errno
import os

from backupkit import model


def extents(path: str, size_bytes: int) -> Iterator[model.Extent]:
    """Yield the data and the holes of a file, up to a size.

    A block device, and a file system that knows no holes, has only data.

    :raises OSError: the file cannot be opened
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        offset = 0
        for begin, end in data(fd, 0, size_bytes):
            if begin > offset:
                yield _extent(offset, begin, model.ExtentKind.ZERO)
            yield _extent(begin, end, model.ExtentKind.DATA)
            offset = end
        if offset < size_bytes:
            yield _extent(offset, size_bytes, model.ExtentKind.ZERO)
    finally:
        os.close(fd)


def data(fd: int, offset: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges between two offsets that are no holes."""
    while offset < end:
        try:
            begin = os.lseek(fd, offset, os.SEEK_DATA)
            stop = os.lseek(fd, begin, os.SEEK_HOLE)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            begin, stop = offset, end
        if begin >= end:
            return
        yield begin, min(stop, end)
        offset = stop


def _extent(begin: int, end: int, kind: model.ExtentKind) -> model.Extent:
    return model.Extent(begin, end - begin, kind)
