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

"""How far a restore has come: what of its volume is written, and durable.

The ranges are kept in the catalog while the restore goes on. Whoever goes
on with it does not write them again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent import futures
import json
import logging
import threading

from backupkit.copy import interface
from backupkit import errors
from backupkit import model

LOG = logging.getLogger(__name__)

#: What is written between two entries, at the least; and the share of the
#: volume, where that is more.
STEP_BYTES = 32 << 20
_SHARE = 100

#: A text longer than this is not kept.
_TEXT_LIMIT = 60_000


class Progressing(interface.Writer):
    """A writer whose progress is kept.

    The writer is made durable, and the entry written, in a thread of its
    own, so that the copy goes on meanwhile, but for no more than a step.

    :param writer: that writes; where it cannot be flushed nothing is kept
    :param keep: keeps a text in place of the one before
    :param before: the text that was kept last, or empty
    :param free_zeros: zeros are there already, and done again at no cost
    """

    def __init__(
        self,
        writer: interface.Writer,
        size_bytes: int,
        keep: Callable[[str], None],
        before: str = '',
        *,
        free_zeros: bool = False,
    ) -> None:
        self._writer = writer
        self._keep = keep
        self._free_zeros = free_zeros
        self._step = max(STEP_BYTES, size_bytes // _SHARE)
        self._lock = threading.Lock()
        self._before = tuple(_decode(before, size_bytes))
        self._ranges = [(one.offset, one.end) for one in self._before]
        self._new = 0
        self._keeping: futures.Future[None] | None = None
        self._pool: futures.ThreadPoolExecutor | None = None
        self._overtaken: errors.RunAborted | None = None

    def make_buffers(
        self, count: int, block_bytes: int
    ) -> Sequence[interface.Block]:
        return self._writer.make_buffers(count, block_bytes)

    def done(self) -> Sequence[model.Extent]:
        return self._before

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        self._writer.write(offset, buffers)
        length = sum(len(buffer) for buffer in buffers)
        self._note(offset, length, length)

    def zero(self, offset: int, length: int) -> None:
        self._writer.zero(offset, length)
        self._note(offset, length, 0 if self._free_zeros else length)

    def _note(self, offset: int, length: int, cost: int) -> None:
        """Note a range that is written.

        :param cost: bytes of it that took time
        :raises errors.RunAborted: another process works on the run now
        """
        with self._lock:
            if self._overtaken is not None:
                raise self._overtaken
            self._ranges.append((offset, offset + length))
            self._new += cost
            if self._new < self._step:
                return
            if self._keeping is not None:
                # Else a slow storage would be ever further behind.
                self._keeping.result()
            self._new = 0
            self._ranges = _merged(self._ranges)
            if self._pool is None:
                self._pool = futures.ThreadPoolExecutor(1, 'progress')
            self._keeping = self._pool.submit(self._enter, list(self._ranges))

    def _enter(self, ranges: list[tuple[int, int]]) -> None:
        """Make sure that what is written is durable, and then keep it."""
        text = json.dumps(ranges)
        try:
            if len(text) < _TEXT_LIMIT and self._writer.flush():
                self._keep(text)
        except errors.RunAborted as exc:
            self._overtaken = exc
        except errors.BackupkitError as exc:
            # The end of the copy tells what is wrong, if anything is.
            LOG.warning('how far the restore has come is not kept: %s', exc)

    def flush(self) -> bool:
        return self._writer.flush()

    def finish(self) -> None:
        self._wait()
        self._writer.finish()

    def close(self) -> None:
        """Wait for an entry that is on its way; the writer stays open."""
        self._wait()

    def _wait(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
        if self._overtaken is not None:
            raise self._overtaken


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _decode(text: str, size_bytes: int) -> list[model.Extent]:
    """Return the ranges that were kept; none where they make no sense."""
    try:
        ranges = [(int(begin), int(end)) for begin, end in json.loads(text)]
    except (ValueError, TypeError):
        return []
    if any(not 0 <= begin < end <= size_bytes for begin, end in ranges):
        return []
    return [
        model.Extent(begin, end - begin, model.ExtentKind.DATA)
        for begin, end in _merged(ranges)
    ]
