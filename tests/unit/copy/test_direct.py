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

"""Reads and writes past the page cache, and wherever that cannot be."""

from __future__ import annotations

import errno
import mmap
import os
import random
import tempfile
from typing import Any
import unittest
from unittest import mock

import hypothesis
from hypothesis import strategies

from backupkit.copy import direct

_SIZE = 3 * direct.ALIGNMENT + 1234


class DirectCase(unittest.TestCase):
    """A file with known bytes, on the file system of the tests."""

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.content = random.Random(8).randbytes(_SIZE)
        self.path = os.path.join(holder.name, 'file')
        with open(self.path, 'wb') as file:
            file.write(self.content)
            file.flush()
            os.fsync(file.fileno())
        self.fd = os.open(self.path, os.O_RDWR)
        self.addCleanup(os.close, self.fd)

    def open(self) -> direct.DirectFile:
        """Return the file as it is read and written."""
        opened = direct.DirectFile(self.fd, os.O_RDWR)
        self.addCleanup(opened.close)
        return opened

    def pretended(self) -> direct.DirectFile:
        """Return it as where O_DIRECT works, whatever is below the tests."""

        def reopen(fd: int, flags: int) -> int:
            return os.open(f'/proc/self/fd/{fd}', flags)

        with mock.patch.object(direct, '_reopen', reopen):
            opened = self.open()
        opened._nowait = False
        return opened

    def forget(self) -> None:
        """Take the file out of the page cache."""
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def failing(self, name: str, *codes: int) -> Any:
        """Let direct calls fail with these errors in turn, then work."""
        real = getattr(os, name)
        left = list(codes)

        def call(fd: int, *arguments: Any) -> Any:
            if fd != self.fd and left:
                code = left.pop(0)
                raise OSError(code, os.strerror(code))
            return real(fd, *arguments)

        return mock.patch.object(os, name, call)

    def assert_reads(self, opened: direct.DirectFile) -> None:
        """Read all, in two blocks, from the first byte and the third."""
        for begin in (0, 3):
            one, two = bytearray(5000), bytearray(_SIZE)
            count = opened.read_into(begin, [one, two])
            self.assertEqual(_SIZE - begin, count)
            self.assertEqual(self.content[begin:], (one + two)[:count])


class ReadTest(DirectCase):
    @hypothesis.given(
        strategies.integers(0, _SIZE + 50),
        strategies.lists(strategies.integers(1, 9000), max_size=4),
        strategies.booleans(),
        strategies.booleans(),
    )
    def test_when_read_anywhere_then_the_bytes_are_those_of_the_file(
        self, begin: int, lengths: list[int], cold: bool, nowait: bool
    ) -> None:
        opened = self.open()
        opened._nowait = nowait
        if cold:
            self.forget()
        blocks = [bytearray(length) for length in lengths]
        count = opened.read_into(begin, blocks)
        expected = self.content[begin : begin + sum(lengths)]
        self.assertEqual(len(expected), count)
        self.assertEqual(expected, b''.join(blocks)[:count])

    def test_when_more_than_one_scratch_is_read_then_all_comes(self) -> None:
        size = direct.SCRATCH_BYTES + 3 * direct.ALIGNMENT + 7
        self.content = random.Random(9).randbytes(size)
        os.pwrite(self.fd, self.content, 0)
        self.forget()
        opened = self.open()
        opened._nowait = False
        block = bytearray(size - 5)
        self.assertEqual(size - 5, opened.read_into(5, [block]))
        self.assertEqual(self.content[5:], block)

    def test_when_memory_is_aligned_then_it_is_read_into(self) -> None:
        size = 4 * direct.ALIGNMENT
        self.content = random.Random(8).randbytes(size)
        os.pwrite(self.fd, self.content, 0)
        self.forget()
        opened = self.open()
        opened._nowait = False
        memory = direct.aligned(size)
        blocks = [memory[: size // 2], memory[size // 2 :]]
        # Memory that is none of ours is no detour of theirs.
        with mock.patch.object(direct, '_SCRATCH', None):
            self.assertEqual(size, opened.read_into(0, blocks))
        self.assertEqual(self.content, bytes(memory))

    def test_when_slices_are_not_aligned_then_the_bytes_are_right(
        self,
    ) -> None:
        size = 2 * direct.ALIGNMENT
        self.content = random.Random(7).randbytes(size)
        os.pwrite(self.fd, self.content, 0)
        self.forget()
        opened = self.open()
        opened._nowait = False
        memory = direct.aligned(size + 100)[100:]
        self.assertEqual(size, opened.read_into(0, [memory]))
        self.assertEqual(self.content, bytes(memory))

    def test_when_there_are_many_blocks_then_all_are_filled(self) -> None:
        blocks = [bytearray(3) for _ in range(2500)]
        self.assertEqual(7500, self.open().read_into(1, blocks))
        self.assertEqual(self.content[1:7501], b''.join(blocks))

    def test_when_direct_opening_is_refused_then_plain_calls_are_used(
        self,
    ) -> None:
        refuse = OSError(errno.EINVAL, 'no O_DIRECT')
        with mock.patch.object(os, 'open', side_effect=refuse, autospec=True):
            opened = self.open()
        self.forget()
        self.assert_reads(opened)

    def test_when_direct_reading_is_refused_then_plain_calls_are_used(
        self,
    ) -> None:
        opened = self.pretended()
        with self.failing('preadv', errno.EINVAL):
            self.assert_reads(opened)
        self.assertIsNone(opened._direct)

    def test_when_nowait_is_not_known_then_reads_go_on_without(self) -> None:
        real = os.preadv
        asked = []

        def preadv(fd: int, blocks: Any, offset: int, flags: int = 0) -> int:
            if flags:
                asked.append(flags)
                raise OSError(errno.EOPNOTSUPP, 'no RWF_NOWAIT')
            return real(fd, blocks, offset)

        with mock.patch.object(os, 'preadv', preadv):
            self.assert_reads(self.open())
        self.assertEqual([os.RWF_NOWAIT], asked)

    def test_when_the_cache_holds_nothing_then_it_is_asked_again(self) -> None:
        real = os.preadv
        asked = []

        def preadv(fd: int, blocks: Any, offset: int, flags: int = 0) -> int:
            if flags:
                asked.append(flags)
                raise OSError(errno.EAGAIN, 'not cached')
            return real(fd, blocks, offset)

        with mock.patch.object(os, 'preadv', preadv):
            self.assert_reads(self.open())
        self.assertEqual(2, len(asked))

    def test_when_reads_are_short_then_they_go_on(self) -> None:
        real = os.preadv

        def preadv(fd: int, blocks: Any, offset: int, flags: int = 0) -> int:
            return real(fd, [memoryview(blocks[0])[:4096]], offset, flags)

        with mock.patch.object(os, 'preadv', preadv):
            self.assert_reads(self.open())

    def test_when_the_medium_fails_then_the_error_comes_out(self) -> None:
        opened = self.pretended()
        with (
            self.failing('preadv', errno.EIO),
            self.assertRaises(OSError) as raised,
        ):
            opened.read_into(0, [bytearray(4096)])
        self.assertEqual(errno.EIO, raised.exception.errno)

    def test_when_closed_twice_then_the_callers_descriptor_stays(self) -> None:
        opened = self.open()
        opened.close()
        opened.close()
        self.assertEqual(_SIZE, os.fstat(self.fd).st_size)
        self.assert_reads(opened)


class WriteTest(DirectCase):
    @hypothesis.given(
        strategies.integers(0, 9000),
        strategies.lists(strategies.integers(1, 9000), max_size=4),
        strategies.booleans(),
    )
    def test_when_written_anywhere_then_only_that_changes(
        self, begin: int, lengths: list[int], aligned: bool
    ) -> None:
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, self.content, 0)
        made = random.Random(begin)
        blocks = []
        for length in lengths:
            block = direct.aligned(length) if aligned else bytearray(length)
            block[:] = made.randbytes(length)
            blocks.append(block)
        self.open().write_from(begin, blocks)
        data = b''.join(blocks)
        expected = bytearray(self.content)
        expected[begin : begin + len(data)] = data
        self.assertEqual(expected, os.pread(self.fd, 1 << 20, 0))

    def test_when_direct_writing_is_refused_then_plain_calls_are_used(
        self,
    ) -> None:
        for codes in ([errno.EINVAL], [errno.EINVAL] * 2):
            data = bytearray(os.urandom(2 * direct.ALIGNMENT + 5))
            with self.failing('pwritev', *codes):
                self.pretended().write_from(0, [data])
            self.assertEqual(data, os.pread(self.fd, len(data), 0))

    def test_when_the_medium_fails_then_the_error_comes_out(self) -> None:
        for code in (errno.EIO, errno.ENOSPC):
            with (
                self.failing('pwritev', code),
                self.assertRaises(OSError) as raised,
            ):
                self.pretended().write_from(0, [bytearray(8192)])
            self.assertEqual(code, raised.exception.errno)


class MemoryTest(unittest.TestCase):
    def test_when_taken_then_it_begins_at_a_page_and_is_zero(self) -> None:
        for length in (0, 1, 4096, 5000):
            memory = direct.aligned(length)
            self.assertEqual(bytes(length), memory)

    def test_when_the_kernel_has_no_huge_pages_then_small_ones_do(
        self,
    ) -> None:
        class Small(mmap.mmap):
            def madvise(self, *arguments: int) -> None:
                raise OSError(errno.EINVAL, 'no such advice')

        with mock.patch.object(mmap, 'mmap', Small):
            memory = direct.aligned(5000)
        memory[:4] = b'fine'
        self.assertEqual(b'fine', memory[:4])
