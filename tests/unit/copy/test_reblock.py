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
"""Readers that are asked for blocks of another size than their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import random
import unittest

import hypothesis
from hypothesis import strategies

from backupkit.copy import control
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.copy import reblock
from backupkit import model


class WholeReader(interface.Reader):
    """Refuses to be read in anything but whole blocks at their places."""

    def __init__(self, data: bytes, block_bytes: int) -> None:
        self._data = data
        self._block = block_bytes
        self.size_bytes = len(data)
        self.read_bytes = 0
        self.closed = False

    def extents(self) -> Iterator[model.Extent]:
        if self._data:
            yield model.Extent(0, len(self._data), model.ExtentKind.DATA)

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        for buffer in buffers:
            if offset % self._block:
                raise AssertionError(f'{offset} is in a block')
            if len(buffer) != min(self._block, len(self._data) - offset):
                raise AssertionError(f'{len(buffer)} is no whole block')
            buffer[:] = self._data[offset : offset + len(buffer)]
            offset += len(buffer)
            self.read_bytes += len(buffer)

    def close(self) -> None:
        self.closed = True


class Taker(interface.Writer):
    """Takes what comes, and where."""

    def __init__(self, size_bytes: int) -> None:
        self.data = bytearray(size_bytes)

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        for buffer in buffers:
            self.data[offset : offset + len(buffer)] = buffer
            offset += len(buffer)

    def zero(self, offset: int, length: int) -> None:
        raise AssertionError('nothing is zero')

    def finish(self) -> None:
        pass


class ReblockedTestCase(unittest.TestCase):
    @hypothesis.given(
        size=strategies.integers(0, 40_000),
        theirs=strategies.integers(1000, 9000),
        ours=strategies.integers(4000, 9000),
        threads=strategies.sampled_from((1, 2)),
    )
    def test_with_any_blocks_then_all_bytes_come(
        self, size: int, theirs: int, ours: int, threads: int
    ) -> None:
        data = random.Random(size).randbytes(size)
        reader = reblock.Reblocked(WholeReader(data, theirs), theirs)
        writer = Taker(size)
        pipeline.copy(
            reader,
            writer,
            control.Control(),
            block_bytes=ours,
            threads=threads,
        )
        self.assertEqual(data, bytes(writer.data))

    def test_with_its_own_blocks_then_each_is_read_once(self) -> None:
        data = random.Random(7).randbytes(1000)
        inner = WholeReader(data, 64)
        reader = reblock.Reblocked(inner, 64)
        buffers = [bytearray(64) for _ in range(15)] + [bytearray(40)]
        reader.read_into(0, buffers)
        self.assertEqual(data, b''.join(buffers))
        self.assertEqual(1000, inner.read_bytes)

    def test_with_smaller_blocks_then_each_of_its_own_is_read_once(
        self,
    ) -> None:
        data = random.Random(8).randbytes(1024)
        inner = WholeReader(data, 256)
        reader = reblock.Reblocked(inner, 256)
        buffers = [bytearray(64) for _ in range(16)]
        reader.read_into(0, buffers)
        self.assertEqual(data, b''.join(buffers))
        self.assertEqual(1024, inner.read_bytes)

    def test_when_closed_then_what_was_lent_stays_open(self) -> None:
        inner = WholeReader(b'abc', 2)
        reader = reblock.Reblocked(inner, 2)
        reader.close()
        self.assertFalse(inner.closed)
        self.assertIsNone(reader.descriptor())
