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

"""The copy itself: a few threads that read, and hand on what they read.

Each thread takes the next batch of adjacent blocks, reads it into buffers
of its own that are used again, and hands it to the writer. Everything that
costs time there (reading, hashing, compressing, writing) lets go of the
interpreter's lock; Python's own work is per batch or per block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import threading

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit import model

#: Moves the bytes from a reader to a writer, in blocks of so many bytes.
Move = Callable[
    [interface.Reader, interface.Writer, control_.Control, int], None
]

#: Bytes of one batch: enough to make a read worth its call.
BATCH_BYTES = 4 << 20


def copy(
    reader: interface.Reader,
    writer: interface.Writer,
    control: control_.Control,
    *,
    block_bytes: int,
    threads: int,
) -> None:
    """Copy everything from a reader to a writer, in blocks.

    On return every block of the reader was handed on exactly once, but for
    those that the writer has already; the writer is not finished yet. The
    first error of any thread is raised when all threads have stopped.

    :raises errors.Cancelled: as asked through ``control``
    """
    work = _Work(reader, control, block_bytes, writer.done())
    if threads == 1:
        work.run(writer)
        return
    workers = [
        threading.Thread(target=work.run_guarded, args=(writer,), daemon=True)
        for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    work.raise_error()
    control.check()


class _Work:
    """What the threads share: the batches, and the first error."""

    def __init__(
        self,
        reader: interface.Reader,
        control: control_.Control,
        block_bytes: int,
        done: Sequence[model.Extent] = (),
    ) -> None:
        self._reader = reader
        self._control = control
        self._block = block_bytes
        # Batches begin where blocks do, whatever the size of those.
        self._count = max(1, BATCH_BYTES // block_bytes)
        self._lock = threading.Lock()
        extents = aligned(reader.extents(), reader.size_bytes, block_bytes)
        if done:
            control.advance(sum(extent.length for extent in done))
            extents = remaining(extents, done)
        self._batches = batches(extents, self._count * block_bytes)
        self._error: BaseException | None = None

    def _next(self) -> model.Extent | None:
        with self._lock:
            if self._error is not None or self._control.stopped:
                return None
            return next(self._batches, None)

    def run_guarded(self, writer: interface.Writer) -> None:
        """Run in a thread: keep the first error for the caller."""
        try:
            self.run(writer)
        except BaseException as exc:  # noqa: BLE001 - raised by the caller
            with self._lock:
                if self._error is None:
                    self._error = exc

    def raise_error(self) -> None:
        """Raise the first error of any thread."""
        if self._error is not None:
            raise self._error

    def run(self, writer: interface.Writer) -> None:
        """Copy batches until there are no more, or the run was stopped."""
        buffers = writer.make_buffers(self._count, self._block)
        while (extent := self._next()) is not None:
            if extent.kind == model.ExtentKind.ZERO:
                writer.zero(extent.offset, extent.length)
                self._control.advance(extent.length)
            elif extent.kind == model.ExtentKind.SAME:
                writer.same(extent.offset, extent.length)
                self._control.advance(extent.length)
            else:
                self._copy(extent, buffers, writer)
        self._control.check()

    def _copy(
        self,
        extent: model.Extent,
        buffers: Sequence[interface.Block],
        writer: interface.Writer,
    ) -> None:
        whole, rest = divmod(extent.length, self._block)
        used = buffers[:whole]
        if rest:
            used = [*used, *writer.make_buffers(1, rest)]
        self._reader.read_into(extent.offset, used)
        writer.write(extent.offset, used)
        self._control.advance(extent.length, extent.length)


def aligned(
    extents: Iterator[model.Extent], size_bytes: int, block_bytes: int
) -> Iterator[model.Extent]:
    """Yield extents on block borders, neighbours of one kind merged.

    A block that extents of several kinds touch is ``data``. The last
    block may be short.
    """
    current: model.Extent | None = None
    for extent in _split(extents, size_bytes, block_bytes):
        if current and current.kind == extent.kind:
            current = model.Extent(
                current.offset, extent.end - current.offset, current.kind
            )
            continue
        if current:
            yield current
        current = extent
    if current:
        yield current


def _split(
    extents: Iterator[model.Extent], size_bytes: int, block_bytes: int
) -> Iterator[model.Extent]:
    """Yield aligned pieces; what crosses a border becomes data."""
    begin = 0
    kind: model.ExtentKind | None = None
    for extent in extents:
        if not extent.length:
            continue
        if kind is not None and extent.kind != kind:
            # The block that holds the border is data; so may be more than
            # one border in it.
            border = extent.offset // block_bytes * block_bytes
            if border > begin:
                yield model.Extent(begin, border - begin, kind)
                begin = border
            if extent.offset > begin:
                end = min(begin + block_bytes, size_bytes)
                if extent.end < end:
                    kind = model.ExtentKind.DATA
                    continue
                yield model.Extent(begin, end - begin, model.ExtentKind.DATA)
                begin = end
        kind = extent.kind
    if kind is not None and size_bytes > begin:
        yield model.Extent(begin, size_bytes - begin, kind)


def remaining(
    extents: Iterator[model.Extent], done: Sequence[model.Extent]
) -> Iterator[model.Extent]:
    """Yield what of the extents is not done; both are in order."""
    left = list(reversed(done))
    for extent in extents:
        offset = extent.offset
        while left and left[-1].offset < extent.end:
            if left[-1].offset > offset:
                length = left[-1].offset - offset
                yield model.Extent(offset, length, extent.kind)
            offset = max(offset, left[-1].end)
            if left[-1].end > extent.end:
                break
            left.pop()
        if offset < extent.end:
            yield model.Extent(offset, extent.end - offset, extent.kind)


def batches(
    extents: Iterator[model.Extent], batch_bytes: int
) -> Iterator[model.Extent]:
    """Yield extents with ``data`` cut into batches."""
    for extent in extents:
        if extent.kind != model.ExtentKind.DATA:
            yield extent
            continue
        offset = extent.offset
        while offset < extent.end:
            length = min(batch_bytes, extent.end - offset)
            yield model.Extent(offset, length, extent.kind)
            offset += length
