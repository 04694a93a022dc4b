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

from backupkit.copy import direct
from backupkit.copy import interface
from backupkit import errors
from backupkit import model

_ZEROS = direct.aligned(1 << 20)


#: Where names of devices and of our own files are links, which nobody else
#: can make there; but for what everybody may write.
_KERNELS = ('/dev/', '/proc/self/fd/')
_SHARED = '/dev/shm/'  # noqa: S108 - not for our use


def _open(path: str, flags: int) -> int:
    """Open a regular file or block device; nothing else is opened.

    Somebody may have put a link in a file's place since it was attached.

    :raises OSError: ELOOP for a link that is not the kernel's own
    """
    if not path.startswith(_KERNELS) or path.startswith(_SHARED):
        flags |= os.O_NOFOLLOW
    # A pipe in its place would else be waited for.
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, 'it is neither a file nor a block device')


class _RawFile:
    """An open file or device, closed when left."""

    def __init__(self, path: str, flags: int) -> None:
        self.path = path
        try:
            self._fd = _open(path, flags)
        except FileNotFoundError as exc:
            raise errors.VolumeNotFound(f'{path} does not exist') from exc
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise errors.SourceError(
                    f'{path} is a link: links are not followed'
                ) from exc
            raise errors.SourceError(
                f'cannot open {path}: {exc.strerror}'
            ) from exc
        self._file = direct.DirectFile(
            self._fd, flags & (os.O_RDWR | os.O_RDONLY)
        )

    def close(self) -> None:
        """Close it; closing twice is fine."""
        self._file.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


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

    def extents(self) -> Iterator[model.Extent]:
        return iter(self._extents)

    def descriptor(self) -> int | None:
        return self._fd

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        length = sum(len(buffer) for buffer in buffers)
        try:
            count = self._file.read_into(offset, buffers)
        except OSError as exc:
            raise errors.SourceError(
                f'cannot read {self.path} at {offset}: {exc.strerror}'
            ) from exc
        if count < length:
            raise errors.VolumeChanged(
                f'{self.path} ends at {offset + count} of '
                f'{self.size_bytes} bytes: it became shorter while it was '
                'read'
            )


class RawWriter(_RawFile, interface.Writer):
    """Writes a raw volume at its path.

    :param reads_zero: the volume reads as zeros where nothing was written
    """

    def __init__(
        self, path: str, size_bytes: int, *, reads_zero: bool
    ) -> None:
        super().__init__(path, os.O_RDWR)
        self._size = size_bytes
        self._reads_zero = reads_zero
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def make_buffers(
        self, count: int, block_bytes: int
    ) -> Sequence[interface.Block]:
        memory = direct.aligned(count * block_bytes)
        return [
            memory[at : at + block_bytes]
            for at in range(0, count * block_bytes, block_bytes)
        ]

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        self._check_range(offset, sum(map(len, buffers)))
        try:
            self._file.write_from(offset, buffers)
        except OSError as exc:
            raise self._failed(offset, exc) from exc

    def _check_range(self, offset: int, length: int) -> None:
        """Refuse to write behind the end: a file would silently grow."""
        if offset + length > self._size:
            raise errors.DestinationTooSmall(
                f'{self.path} has {self._size} bytes, and {offset + length} '
                'are needed'
            )

    def _failed(self, offset: int, exc: OSError) -> errors.SourceError:
        return errors.SourceError(
            f'cannot write {self.path} at {offset}: {exc.strerror}'
        )

    def zero(self, offset: int, length: int) -> None:
        self._check_range(offset, length)
        if self._reads_zero:
            return
        end = offset + length
        for begin, stop in self._stored_ranges(offset, end):
            for at in range(begin, stop, len(_ZEROS)):
                self.write(at, [_ZEROS[: min(len(_ZEROS), stop - at)]])

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

    def flush(self) -> bool:
        self.finish()
        return True

    def finish(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as exc:
            raise errors.SourceError(
                f'cannot make {self.path} durable: {exc.strerror}'
            ) from exc
