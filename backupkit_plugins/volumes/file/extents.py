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

"""Which bytes of a file are data, and which are holes."""

from __future__ import annotations

from collections.abc import Iterator
import errno
import os
import stat

from backupkit import errors
from backupkit import model


def of(fd: int, size: int) -> Iterator[model.Extent]:
    """Yield data and holes of an open file, up to ``size``.

    All is data where that cannot be told, as for most block devices.

    :raises errors.VolumeChanged: the file ends before ``size``
    """
    offset = 0
    while offset < size:
        try:
            begin = min(size, os.lseek(fd, offset, os.SEEK_DATA))
        except OSError as exc:
            kind = model.ExtentKind.DATA
            if exc.errno == errno.ENXIO:
                kind = model.ExtentKind.ZERO
                _check_size(fd, size)
            yield model.Extent(offset, size - offset, kind)
            return
        if begin > offset:
            yield model.Extent(offset, begin - offset, model.ExtentKind.ZERO)
        if begin < size:
            end = min(size, _hole(fd, begin, size))
            yield model.Extent(begin, end - begin, model.ExtentKind.DATA)
            begin = end
        offset = begin


def _hole(fd: int, begin: int, size: int) -> int:
    """Return where the next hole begins."""
    try:
        return os.lseek(fd, begin, os.SEEK_HOLE)
    except OSError:
        _check_size(fd, size)
    # The reader will meet whatever is wrong, and say where.
    return size


def _check_size(fd: int, size: int) -> None:
    """Tell a hole at the end from a file that became shorter."""
    now = os.fstat(fd)
    if stat.S_ISREG(now.st_mode) and now.st_size < size:
        raise errors.VolumeChanged(
            f'the volume shrank from {size} to {now.st_size} bytes while it '
            'was read'
        )
