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

"""Raw images and block devices, read and written in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import errno
import os
import stat
from types import TracebackType
from typing import Self

from backupkit.copy import interface
from backupkit import errors
from backupkit import model

_ZEROS = bytes(1 << 20)
_IOV_LIMIT = 1024


class _RawFile:
    """An open file or device, closed when left."""

    def __init__(self, path: str, flags: int) -> None:
        self.path = path
        try:
            self._fd = os.open(path, flags | os.O_CLOEXEC)
        except FileNotFoundError as exc:
            raise errors.VolumeNotFound(f'{path} does not exist') from exc
        except OSError as exc:
            raise errors.SourceError(
                f'cannot open {path}: {exc.strerror}'
            ) from exc

    def close(self) -> None:
        """Close it; closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class RawReader(_RawFile, interface.Reader):
    """Reads a raw volume at its path.

    :param size_bytes: of the volume; a file that ends earlier is an error
    :param extents: what is known of its bytes; used once
    """

    def __init__(
        self, path: str, size_bytes: int, extents: Iterable[model.Extent]
    ) -> None:
        super().__init__(path, os.O_RDONLY)
        self.size_bytes = size_bytes
        self._extents = extents
        self._drop = not _is_cached(self._fd, size_bytes)

    def extents(self) -> Iterator[model.Extent]:
        return iter(self._extents)

    def read_into(self, offset: int, buffers: Sequence[bytearray]) -> None:
        length = sum(len(buffer) for buffer in buffers)
        start = offset
        views: list[bytearray | memoryview] = list(buffers)
        while length:
            count = self._read(offset, views)
            offset += count
            length -= count
            if length:
                views = _rest(views, count)
        if self._drop:
            os.posix_fadvise(
                self._fd, start, offset - start, os.POSIX_FADV_DONTNEED
            )

    def _read(
        self, offset: int, views: list[bytearray | memoryview]
    ) -> int:
        try:
            count = os.preadv(self._fd, views[:_IOV_LIMIT], offset)
        except OSError as exc:
            raise errors.SourceError(
                f'cannot read {self.path} at {offset}: {exc.strerror}'
            ) from exc
        if not count:
            raise errors.VolumeChanged(
                f'{self.path} ends at {offset} of {self.size_bytes} bytes: '
                'it became shorter while it was read'
            )
        return count


def _is_cached(fd: int, size_bytes: int) -> bool:
    """Guess whether others use the volume's pages: then they stay.

    A volume that was not in the page cache when we came shall not be left
    there by us. The first and middle pages stand for the rest.
    """
    try:
        os.preadv(fd, [bytearray(1)], size_bytes // 2, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class RawWriter(_RawFile, interface.Writer):
    """Writes a raw volume at its path.

    :param reads_zero: the volume reads as zeros where nothing was written
    """

    def __init__(
        self, path: str, size_bytes: int, reads_zero: bool
    ) -> None:
        super().__init__(path, os.O_RDWR)
        self._size = size_bytes
        self._reads_zero = reads_zero
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def write(self, offset: int, buffers: Sequence[bytearray]) -> None:
        length = sum(len(buffer) for buffer in buffers)
        start = offset
        views: list[bytearray | memoryview] = list(buffers)
        while length:
            count = self._write(offset, views)
            offset += count
            length -= count
            if length:
                views = _rest(views, count)
        # Begins the writing back now, so that the end need not wait long.
        os.posix_fadvise(
            self._fd, start, offset - start, os.POSIX_FADV_DONTNEED
        )

    def _write(
        self, offset: int, views: Sequence[bytes | bytearray | memoryview]
    ) -> int:
        try:
            return os.pwritev(self._fd, views[:_IOV_LIMIT], offset)
        except OSError as exc:
            raise self._failed(offset, exc) from exc

    def _failed(self, offset: int, exc: OSError) -> errors.SourceError:
        return errors.SourceError(
            f'cannot write {self.path} at {offset}: {exc.strerror}'
        )

    def zero(self, offset: int, length: int) -> None:
        if self._reads_zero:
            return
        end = offset + length
        for begin, stop in self._stored_ranges(offset, end):
            while begin < stop:
                piece = _ZEROS[: min(len(_ZEROS), stop - begin)]
                begin += self._write(begin, [piece])

    def _stored_ranges(
        self, offset: int, end: int
    ) -> Iterator[tuple[int, int]]:
        """Yield what is not a hole: holes read as zeros already."""
        if not self._regular:
            yield offset, end
            return
        while offset < end:
            try:
                begin = os.lseek(self._fd, offset, os.SEEK_DATA)
            except OSError as exc:
                if exc.errno == errno.ENXIO:
                    return
                yield offset, end
                return
            if begin >= end:
                return
            stop = min(end, os.lseek(self._fd, begin, os.SEEK_HOLE))
            yield begin, stop
            offset = stop

    def finish(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as exc:
            raise errors.SourceError(
                f'cannot make {self.path} durable: {exc.strerror}'
            ) from exc


def _rest(
    views: Sequence[bytearray | memoryview], count: int
) -> list[bytearray | memoryview]:
    """Return what is left of buffers after ``count`` bytes."""
    left: list[bytearray | memoryview] = []
    for view in views:
        if count >= len(view):
            count -= len(view)
        else:
            left.append(memoryview(view)[count:])
            count = 0
    return left
