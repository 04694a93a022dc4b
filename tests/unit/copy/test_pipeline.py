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

"""The pipeline hands on every block once, whatever the extents are."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
import threading
import unittest
from unittest import mock

import hypothesis
from hypothesis import strategies

from backupkit.copy import control
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit import errors
from backupkit import model

KINDS = list(model.ExtentKind)
DATA, ZERO, SAME = (
    model.ExtentKind.DATA,
    model.ExtentKind.ZERO,
    model.ExtentKind.SAME,
)


def tiled(
    lengths: Sequence[tuple[int, model.ExtentKind]],
) -> list[model.Extent]:
    """Return extents of these lengths, one behind the other."""
    made = []
    at = 0
    for length, kind in lengths:
        made.append(model.Extent(at, length, kind))
        at += length
    return made


class Reader(interface.Reader):
    """A volume whose every byte tells where it lies."""

    def __init__(self, extents: list[model.Extent]) -> None:
        self._extents = extents
        self.size_bytes = extents[-1].end if extents else 0
        self.error: BaseException | None = None
        self.error_at = 0

    def extents(self) -> Iterator[model.Extent]:
        return iter(self._extents)

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        length = sum(map(len, buffers))
        if self.error and offset <= self.error_at < offset + length:
            raise self.error
        for buffer in buffers:
            buffer[:] = content(offset, len(buffer))
            offset += len(buffer)


def content(offset: int, length: int) -> bytes:
    """Return what the reader holds there."""
    return bytes(
        (at * 7 + (at >> 8)) & 255 for at in range(offset, offset + length)
    )


class Writer(interface.Writer):
    """Notes what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, model.ExtentKind]] = []
        self.data: dict[int, bytes] = {}
        self.threads: collections.Counter[int] = collections.Counter()
        self.error: BaseException | None = None
        self.error_at = -1
        self.finished = False

    def _note(self, offset: int, length: int, kind: model.ExtentKind) -> None:
        if self.error and offset <= self.error_at < offset + length:
            raise self.error
        self.calls.append((offset, length, kind))
        self.threads[threading.get_ident()] += 1

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        self._note(offset, sum(map(len, buffers)), DATA)
        for buffer in buffers:
            self.data[offset] = bytes(buffer)
            offset += len(buffer)

    def zero(self, offset: int, length: int) -> None:
        self._note(offset, length, ZERO)

    def same(self, offset: int, length: int) -> None:
        self._note(offset, length, SAME)

    def finish(self) -> None:
        self.finished = True


def run(
    reader: Reader,
    writer: Writer,
    steer: control.Control | None = None,
    **how: int,
) -> None:
    """Copy, in blocks of 4 bytes unless said otherwise."""
    how = {'block_bytes': 4, 'threads': 1, **how}
    pipeline.copy(reader, writer, steer or control.Control(), **how)


def _stopping_at(done_bytes: int) -> control.Control:
    """Return a control that suspends the run when it has come so far."""

    def tell(told: control.Progress) -> None:
        if told.done_bytes >= done_bytes:
            steer.suspend()

    steer = control.Control(tell)
    return steer


_EXTENTS = strategies.lists(
    strategies.tuples(
        strategies.integers(0, 40), strategies.sampled_from(KINDS)
    ),
    max_size=12,
).map(tiled)


class AlignedTest(unittest.TestCase):
    @hypothesis.given(_EXTENTS, strategies.integers(1, 16))
    def test_when_extents_lie_anyhow_then_blocks_are_right(
        self, extents: list[model.Extent], block: int
    ) -> None:
        size = extents[-1].end if extents else 0
        found = list(pipeline.aligned(iter(extents), size, block))
        at = 0
        for extent, after in zip(found, [*found[1:], None]):
            self.assertEqual(at, extent.offset)
            self.assertGreater(extent.length, 0)
            self.assertTrue(extent.end % block == 0 or extent.end == size)
            self.assertNotEqual(extent.kind, after.kind if after else None)
            at = extent.end
        self.assertEqual(size, at)
        kinds = [kind for e in extents for kind in [e.kind] * e.length]
        for extent in found:
            for begin in range(extent.offset, extent.end, block):
                touched = set(kinds[begin : min(begin + block, size)])
                expected = touched.pop() if len(touched) == 1 else DATA
                self.assertEqual(expected, extent.kind)

    @hypothesis.given(_EXTENTS, strategies.integers(1, 16))
    def test_when_cut_into_batches_then_only_data_is_cut(
        self, extents: list[model.Extent], limit: int
    ) -> None:
        found = list(pipeline.batches(iter(extents), limit))
        data = [one for one in found if one.kind == DATA]
        self.assertTrue(all(0 < one.length <= limit for one in data))
        others = [one for one in extents if one.kind != DATA]
        self.assertEqual(others, [one for one in found if one.kind != DATA])
        total = sum(e.length for e in extents)
        self.assertEqual(total, sum(e.length for e in found))


class CopyCase(unittest.TestCase):
    """Batches of 64 bytes, which blocks of most sizes do not divide."""

    def setUp(self) -> None:
        super().setUp()
        small = mock.patch.object(pipeline, 'BATCH_BYTES', 64)
        small.start()
        self.addCleanup(small.stop)


class CopyTest(CopyCase):
    @hypothesis.given(
        _EXTENTS, strategies.integers(1, 16), strategies.sampled_from([1, 3])
    )
    def test_when_copied_then_every_byte_is_handed_on_once(
        self, extents: list[model.Extent], block: int, threads: int
    ) -> None:
        reader, writer = Reader(extents), Writer()
        run(reader, writer, block_bytes=block, threads=threads)
        at = 0
        handed = []
        for offset, length, kind in sorted(writer.calls):
            self.assertEqual((at, 0), (offset, offset % block))
            at += length
            handed.append(model.Extent(offset, length, kind))
        self.assertEqual(reader.size_bytes, at)
        self.assertEqual(
            list(pipeline.aligned(iter(extents), reader.size_bytes, block)),
            list(pipeline.aligned(iter(handed), reader.size_bytes, block)),
        )
        for offset, data in writer.data.items():
            self.assertEqual(0, offset % block)
            self.assertEqual(content(offset, len(data)), data)
        self.assertFalse(writer.finished)

    def test_when_large_then_batches_go_to_all_threads(self) -> None:
        """Each waits in its first write until all of them are there."""
        threads = 3
        meeting = threading.Barrier(threads, timeout=60)

        class Meeting(Writer):
            def write(
                self, offset: int, buffers: Sequence[interface.Block]
            ) -> None:
                if offset < threads * pipeline.BATCH_BYTES:
                    meeting.wait()
                self._note(offset, sum(map(len, buffers)), DATA)

        class Quick(Reader):
            def read_into(
                self, offset: int, buffers: Sequence[interface.Block]
            ) -> None:
                pass

        size = 5 * pipeline.BATCH_BYTES + 50
        writer = Meeting()
        run(
            Quick(tiled([(size, DATA)])),
            writer,
            block_bytes=16,
            threads=threads,
        )
        self.assertEqual(threads, len(writer.threads))
        self.assertEqual(size, sum(length for _, length, _ in writer.calls))
        self.assertIn(
            (5 * pipeline.BATCH_BYTES, 50, DATA), sorted(writer.calls)
        )

    def test_when_blocks_are_larger_than_a_batch_then_each_goes_whole(
        self,
    ) -> None:
        block = 2 * pipeline.BATCH_BYTES

        class Quick(Reader):
            def read_into(
                self, offset: int, buffers: Sequence[interface.Block]
            ) -> None:
                pass

        writer = Writer()
        run(Quick(tiled([(block + 7, DATA)])), writer, block_bytes=block)
        self.assertEqual([(0, block, DATA), (block, 7, DATA)], writer.calls)

    def test_when_copied_then_progress_counts_all_and_what_was_read(
        self,
    ) -> None:
        told: list[control.Progress] = []
        steer = control.Control(told.append)
        reader = Reader(tiled([(8, DATA), (8, ZERO), (8, SAME), (5, DATA)]))
        run(reader, Writer(), steer)
        self.assertEqual((29, 13), (told[-1].done_bytes, told[-1].read_bytes))
        done = [one.done_bytes for one in told]
        self.assertEqual(sorted(done), done)

    def test_when_the_volume_is_empty_then_nothing_is_handed_on(self) -> None:
        for threads in (1, 2):
            writer = Writer()
            run(Reader([]), writer, threads=threads)
            self.assertEqual([], writer.calls)


class EndTest(CopyCase):
    def test_when_reading_fails_then_that_error_comes_out(self) -> None:
        for threads in (1, 3):
            reader, writer = Reader(tiled([(64, DATA), (8, ZERO)])), Writer()
            reader.error, reader.error_at = errors.SourceError('bad'), 40
            with self.assertRaises(errors.SourceError) as raised:
                run(reader, writer, threads=threads)
            self.assertIs(reader.error, raised.exception)

    def test_when_writing_fails_then_that_error_comes_out(self) -> None:
        for threads in (1, 3):
            for at in (10, 66, 74):
                reader = Reader(tiled([(64, DATA), (8, ZERO), (8, SAME)]))
                writer = Writer()
                writer.error = errors.TargetFull('full')
                writer.error_at = at
                with self.assertRaises(errors.TargetFull) as raised:
                    run(reader, writer, threads=threads)
                self.assertIs(writer.error, raised.exception)

    def test_when_extents_fail_then_that_error_comes_out(self) -> None:
        class Broken(Reader):
            def extents(self) -> Iterator[model.Extent]:
                yield model.Extent(0, 8, DATA)
                yield model.Extent(8, 8, ZERO)
                raise errors.VolumeChanged('shrank')

        for threads in (1, 3):
            with self.assertRaises(errors.VolumeChanged):
                run(Broken(tiled([(32, DATA)])), Writer(), threads=threads)

    def test_when_one_thread_fails_then_the_others_take_no_more(self) -> None:
        reader = Reader(tiled([(8, DATA), (8, ZERO)] * 500))
        writer = Writer()
        writer.error, writer.error_at = errors.TargetFull('full'), 17
        with self.assertRaises(errors.TargetFull):
            run(reader, writer, threads=1)
        self.assertEqual([(0, 8, DATA), (8, 8, ZERO)], writer.calls)

    def test_when_stopped_before_then_nothing_is_read(self) -> None:
        for threads in (1, 3):
            steer, writer = control.Control(), Writer()
            steer.cancel()
            with self.assertRaises(errors.Cancelled):
                run(Reader(tiled([(9, DATA)])), writer, steer, threads=threads)
            self.assertEqual([], writer.calls)

    def test_when_stopped_midway_then_it_ends_behind_that_batch(self) -> None:
        for threads in (1, 3):
            steer = _stopping_at(32)
            writer = Writer()
            reader = Reader(tiled([(8, DATA), (8, ZERO)] * 100))
            with self.assertRaises(errors.Suspended):
                run(reader, writer, steer, threads=threads)
            self.assertLessEqual(len(writer.calls), 4 + threads)
