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

"""Raw images are read and written in place, and nothing else is."""

from __future__ import annotations

import errno
import os
import random
import stat
import tempfile
from typing import Any
import unittest
from unittest import mock

import hypothesis
from hypothesis import strategies

from backupkit.copy import raw
from backupkit import errors
from backupkit import model

_SIZE = (1 << 20) + 777


class RawCase(unittest.TestCase):
    """A directory, and an image in it."""

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.base = holder.name
        self.path = os.path.join(self.base, 'image')
        self.content = random.Random(10).randbytes(_SIZE)
        self.fill(self.content)

    def fill(self, data: bytes) -> None:
        """Make the image hold this."""
        with open(self.path, 'wb') as file:
            file.write(data)

    def image(self) -> bytes:
        """Return what the image holds."""
        with open(self.path, 'rb') as file:
            return file.read()

    def reader(self, path: str | None = None) -> raw.RawReader:
        """Return a reader of the image, or of another path."""
        whole = model.Extent(0, _SIZE, model.ExtentKind.DATA)
        made = raw.RawReader(path or self.path, _SIZE, [whole])
        self.addCleanup(made.close)
        return made

    def writer(self, *, reads_zero: bool = False) -> raw.RawWriter:
        """Return a writer of the image."""
        made = raw.RawWriter(self.path, _SIZE, reads_zero=reads_zero)
        self.addCleanup(made.close)
        return made


class OpenTest(RawCase):
    def test_when_a_link_took_the_place_then_it_is_refused(self) -> None:
        secret = os.path.join(self.base, 'secret')
        os.rename(self.path, secret)
        os.symlink(secret, self.path)
        with self.assertRaisesRegex(errors.SourceError, 'is a link'):
            self.reader()
        with self.assertRaisesRegex(errors.SourceError, 'is a link'):
            self.writer()

    def test_when_the_link_lies_in_shared_memory_then_it_is_refused(
        self,
    ) -> None:
        with tempfile.TemporaryDirectory(dir='/dev/shm') as place:
            link = os.path.join(place, 'image')
            os.symlink(self.path, link)
            with self.assertRaisesRegex(errors.SourceError, 'is a link'):
                self.reader(link)

    def test_when_it_is_neither_file_nor_device_then_it_is_refused(
        self,
    ) -> None:
        pipe = os.path.join(self.base, 'pipe')
        os.mkfifo(pipe)
        for path in (pipe, self.base, '/dev/null', '/dev/stdin'):
            with self.assertRaises(errors.SourceError):
                self.reader(path)

    def test_when_it_is_gone_then_that_is_said(self) -> None:
        with self.assertRaises(errors.VolumeNotFound):
            self.reader(os.path.join(self.base, 'none'))

    def test_when_closed_then_nothing_stays_open(self) -> None:
        before = os.listdir('/proc/self/fd')
        with self.reader() as one, self.writer() as two:
            one.close()
        two.close()
        self.assertEqual(before, os.listdir('/proc/self/fd'))


class ReadTest(RawCase):
    def test_when_read_then_the_bytes_are_there(self) -> None:
        blocks = [bytearray(4096), bytearray(_SIZE - 4096)]
        self.reader().read_into(0, blocks)
        self.assertEqual(self.content, b''.join(blocks))

    def test_when_it_became_shorter_then_that_is_said(self) -> None:
        reader = self.reader()
        os.truncate(self.path, 5000)
        with self.assertRaisesRegex(errors.VolumeChanged, 'ends at 5000'):
            reader.read_into(4096, [bytearray(4096)])

    def test_when_the_medium_fails_then_it_says_where(self) -> None:
        reader = self.reader()
        broken = OSError(errno.EIO, 'Input/output error')
        with (
            mock.patch.object(os, 'preadv', side_effect=broken, autospec=True),
            self.assertRaisesRegex(errors.SourceError, 'at 8192'),
        ):
            reader.read_into(8192, [bytearray(4096)])

    def test_when_extents_are_asked_for_then_they_are_as_given(self) -> None:
        whole = model.Extent(0, _SIZE, model.ExtentKind.DATA)
        self.assertEqual([whole], list(self.reader().extents()))


_WRITES = strategies.lists(
    strategies.tuples(
        strategies.integers(0, _SIZE - 1),
        strategies.integers(1, 70_000),
        strategies.booleans(),
    ),
    max_size=6,
)


class WriteTest(RawCase):
    @hypothesis.given(_WRITES, strategies.booleans())
    def test_when_written_and_zeroed_then_it_reads_so(
        self, writes: list[tuple[int, int, bool]], sparse: bool
    ) -> None:
        self.fill(b'' if sparse else self.content)
        os.truncate(self.path, _SIZE)
        expected = bytearray(self.image())
        writer = self.writer()
        for offset, length, zero in writes:
            length = min(length, _SIZE - offset)
            if zero:
                writer.zero(offset, length)
                expected[offset : offset + length] = bytes(length)
                continue
            (block,) = writer.make_buffers(1, length)
            block[:] = random.Random(offset).randbytes(length)
            writer.write(offset, [block])
            expected[offset : offset + length] = block
        writer.finish()
        self.assertEqual(expected, self.image())

    def test_when_a_hole_is_zeroed_then_it_stays_one(self) -> None:
        self.fill(b'')
        os.truncate(self.path, _SIZE)
        self.writer().zero(0, _SIZE)
        self.assertEqual(0, os.stat(self.path).st_blocks)

    def test_when_it_reads_as_zeros_anyway_then_nothing_is_written(
        self,
    ) -> None:
        with mock.patch.object(os, 'pwritev', autospec=True) as called:
            self.writer(reads_zero=True).zero(0, _SIZE)
        called.assert_not_called()

    def test_when_holes_cannot_be_told_then_all_is_written(self) -> None:
        writer = self.writer()
        refuse = OSError(errno.EINVAL, 'no SEEK_DATA')
        with mock.patch.object(os, 'lseek', side_effect=refuse, autospec=True):
            writer.zero(100, _SIZE - 100)
        expected = self.content[:100] + bytes(_SIZE - 100)
        self.assertEqual(expected, self.image())

    def test_when_it_is_a_device_then_all_is_written(self) -> None:
        """A device has no holes of which it could be told."""
        with (
            mock.patch.object(
                stat, 'S_ISREG', return_value=False, autospec=True
            ),
            mock.patch.object(
                stat, 'S_ISBLK', return_value=True, autospec=True
            ),
        ):
            writer = self.writer()
        seek = AssertionError('a device is not asked for holes')
        with mock.patch.object(os, 'lseek', side_effect=seek, autospec=True):
            writer.zero(0, _SIZE)
        self.assertEqual(bytes(_SIZE), self.image())

    def test_when_behind_the_end_then_it_is_refused(self) -> None:
        writer = self.writer()
        calls: list[Any] = [
            lambda: writer.write(_SIZE - 3, [bytearray(4)]),
            lambda: writer.zero(_SIZE, 1),
        ]
        for call in calls:
            with self.assertRaises(errors.DestinationTooSmall):
                call()
        self.assertEqual(self.content, self.image())

    def test_when_the_medium_fails_then_it_says_where(self) -> None:
        writer = self.writer()
        for code in (errno.EIO, errno.ENOSPC):
            broken = OSError(code, os.strerror(code))
            with (
                mock.patch.object(
                    os, 'pwritev', side_effect=broken, autospec=True
                ),
                self.assertRaisesRegex(errors.SourceError, 'at 4096'),
            ):
                writer.write(4096, [bytearray(4096)])

    def test_when_it_cannot_be_made_durable_then_that_is_said(self) -> None:
        writer = self.writer()
        broken = OSError(errno.EIO, 'Input/output error')
        with (
            mock.patch.object(os, 'fsync', side_effect=broken, autospec=True),
            self.assertRaisesRegex(errors.SourceError, 'durable'),
        ):
            writer.finish()
