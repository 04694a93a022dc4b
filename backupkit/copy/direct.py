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

"""Reads and writes past the page cache.

Pages of the cache are fresh memory, which costs more than the transfer
itself where memory has to be asked back from a hypervisor, and what a
backup reads or writes is not wanted there anyway. So what is cached
already is read from the cache, and everything else goes straight between
the device and memory that is used again and again.

Where a file system has no O_DIRECT (tmpfs), plain calls are used.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import errno
import mmap
import os
import threading

#: Alignment of memory, offsets and lengths that every device accepts.
ALIGNMENT = 4096

#: Bytes of one call through memory of our own.
SCRATCH_BYTES = 4 << 20

_IOV_LIMIT = 1024

#: Places of a file that are asked for in the page cache.
_SAMPLES = 64

Block = bytearray | memoryview


def aligned(length: int) -> memoryview:
    """Return page-aligned memory; it is taken as it is touched."""
    memory = mmap.mmap(
        -1, max(length, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    # A kernel without huge pages refuses, and small ones do as well.
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)[:length]


def _reopen(fd: int, flags: int) -> int | None:
    """Open the file behind a descriptor again, past the cache.

    :returns: None where its file system cannot do that
    """
    try:
        return os.open(
            f'/proc/self/fd/{fd}', flags | os.O_DIRECT | os.O_CLOEXEC
        )
    except OSError:
        return None


def is_cached(fd: int) -> bool:
    """Tell whether the page cache holds nearly all of a file, by samples."""
    size = os.fstat(fd).st_size
    block = bytearray(1)
    try:
        for number in range(_SAMPLES):
            offset = size * number // _SAMPLES
            os.preadv(fd, [block], offset, os.RWF_NOWAIT)
    except OSError:
        return False
    return True


class _Scratch(threading.local):
    """Aligned memory of one thread."""

    def __init__(self) -> None:
        self.memory = aligned(SCRATCH_BYTES + 2 * ALIGNMENT)


_SCRATCH = _Scratch()


class DirectFile:
    """Positional reads and writes of an open file, in any alignment.

    May be used by several threads. The descriptor stays the caller's.

    :param fd: opened for reading, and for writing where that is wanted
    :param flags: ``os.O_RDONLY`` or ``os.O_RDWR``
    """

    def __init__(self, fd: int, flags: int) -> None:
        self._fd = fd
        self._opened = self._direct = _reopen(fd, flags)
        self._nowait = True

    def close(self) -> None:
        """Close what was opened here; twice is fine."""
        self._direct = None
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def read_into(self, offset: int, blocks: Sequence[Block]) -> int:
        """Fill the blocks from ``offset`` on.

        :returns: bytes read: fewer only where the file ends
        :raises OSError: as the system says
        """
        length = sum(len(block) for block in blocks)
        done = self._cached(offset, blocks)
        while done < length:
            left = rest(blocks, done)
            direct = self._direct
            if direct is None:
                count = os.preadv(self._fd, left[:_IOV_LIMIT], offset + done)
            else:
                count = self._uncached(
                    direct, offset + done, left, length - done
                )
            if not count:
                break
            done += count
        return done

    def _cached(self, offset: int, blocks: Sequence[Block]) -> int:
        """Read what the page cache holds, without waiting for more."""
        if not self._nowait:
            return 0
        try:
            return os.preadv(
                self._fd, blocks[:_IOV_LIMIT], offset, os.RWF_NOWAIT
            )
        except OSError as exc:
            if exc.errno != errno.EAGAIN:
                self._nowait = False
            return 0

    def _uncached(
        self, direct: int, offset: int, left: Sequence[Block], length: int
    ) -> int:
        if not (offset | length) % ALIGNMENT and _are_aligned(left):
            count = _try_direct(direct, left, offset)
            if count is not None:
                return count
        start = offset - offset % ALIGNMENT
        end = min(offset + length, start + SCRATCH_BYTES)
        wanted = -(-(end - start) // ALIGNMENT) * ALIGNMENT
        memory = _SCRATCH.memory[:wanted]
        try:
            count = os.preadv(direct, [memory], start)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            # Closed later: other threads may be using it.
            self._direct = None
            return os.preadv(self._fd, left[:_IOV_LIMIT], offset)
        count = min(start + count, end) - offset
        if count <= 0:
            return 0
        data = memory[offset - start : offset - start + count]
        for block in left:
            part = min(len(block), len(data))
            block[:part] = data[:part]
            data = data[part:]
        return count

    def write_from(self, offset: int, blocks: Sequence[Block]) -> None:
        """Write the blocks at ``offset``, straight where they allow it.

        :raises OSError: as the system says
        """
        length = sum(len(block) for block in blocks)
        done = 0
        while done < length:
            left = rest(blocks, done)
            at = offset + done
            direct = self._direct
            if direct is None or at % ALIGNMENT:
                room = min(length - done, -at % ALIGNMENT or length - done)
                done += os.pwritev(
                    self._fd, _first(left, room)[:_IOV_LIMIT], at
                )
            elif length - done < ALIGNMENT:
                done += os.pwritev(self._fd, left, at)
            else:
                done += self._write_direct(direct, at, left, length - done)

    def _write_direct(
        self, direct: int, at: int, left: Sequence[Block], length: int
    ) -> int:
        whole = length - length % ALIGNMENT
        try:
            return os.pwritev(direct, _first(left, whole)[:_IOV_LIMIT], at)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
        # Memory that is not aligned goes through memory that is.
        whole = min(whole, SCRATCH_BYTES)
        memory = _SCRATCH.memory[:whole]
        filled = 0
        for block in _first(left, whole):
            memory[filled : filled + len(block)] = block
            filled += len(block)
        try:
            return os.pwritev(direct, [memory], at)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
        self._direct = None
        return 0


def _are_aligned(blocks: Sequence[Block]) -> bool:
    """Tell whether blocks may be in whole pages: those of :func:`aligned`."""
    return all(
        isinstance(block, memoryview)
        and isinstance(block.obj, mmap.mmap)
        and not len(block) % ALIGNMENT
        for block in blocks
    )


def _try_direct(
    direct: int, blocks: Sequence[Block], offset: int
) -> int | None:
    """Read straight into blocks; None where their memory does not fit."""
    try:
        return os.preadv(direct, blocks[:_IOV_LIMIT], offset)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        return None


class Memory:
    """Blocks that are filled one part after the other."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._left = blocks

    def take(self, count: int) -> Sequence[Block]:
        """Return the memory of the next ``count`` bytes."""
        taken = _first(self._left, count)
        self._left = rest(self._left, count)
        return taken


def rest(blocks: Sequence[Block], count: int) -> Sequence[Block]:
    """Return what is left of blocks after ``count`` bytes."""
    if not count:
        return blocks
    left: list[Block] = []
    for block in blocks:
        if count >= len(block):
            count -= len(block)
        else:
            left.append(memoryview(block)[count:] if count else block)
            count = 0
    return left


def _first(blocks: Sequence[Block], count: int) -> Sequence[Block]:
    """Return the first ``count`` bytes of blocks."""
    first: list[Block] = []
    for block in blocks:
        if count <= 0:
            break
        first.append(
            block if len(block) <= count else memoryview(block)[:count]
        )
        count -= len(block)
    return first
