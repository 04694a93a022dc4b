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

"""Fetches what is read in order before it is asked for, in long spans.

A request costs a cluster as much as the transfer of some megabytes, and a
restore asks for chunk after chunk. So where reads of an object come close
behind each other, what follows is fetched in spans, several at once, and
the reads are served from these. A read for which there is no span, or but
one that failed, is left to a request of its own, which also tells what is
wrong.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
import logging
import threading

from backupkit import errors
from backupkit_plugins.targets.swift import container as container_
from backupkit_plugins.targets.swift import failures
from backupkit_plugins.targets.swift import parsing
from backupkit_plugins.targets.swift import spans as spans_

LOG = logging.getLogger(__name__)

#: So much is taken from a connection before those who wait are told.
_PIECE_BYTES = 512 << 10
#: Objects whose reads are remembered.
_OBJECTS = 64


class ReadAhead:
    """Serves reads from spans. May be used by several threads.

    A span holds what the object was when it was fetched. Those of an object
    that this store deletes are dropped; what others delete can be read for
    as long as its span is there.

    :param count: spans in memory at the most; with 0 nothing is served
    """

    def __init__(
        self,
        container: container_.Container,
        count: int,
        span_bytes: int = spans_.SPAN_BYTES,
    ) -> None:
        self._container = container
        self._count = count
        self._span_bytes = span_bytes
        # Guards all that follows, and tells of every piece that comes.
        self._changed = threading.Condition()
        self._closed = False
        self._made = 0
        self._free: list[memoryview] = []
        #: The one that was not read from for the longest is the first.
        self._spans: list[spans_.Span] = []
        self._reads: collections.OrderedDict[str, spans_.Reads] = (
            collections.OrderedDict()
        )
        self._asked = 0
        #: Whether the last span that was done with was worth it.
        self._trusting = False

    def read(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> bool:
        """Fill the buffers, or return False where that is not to be had."""
        if not self._count:
            return False
        left = spans_.views_of(buffers)
        self._note(name, offset, sum(map(len, left)))
        while left:
            span = self._take(name, offset)
            if span is None:
                return False
            try:
                copied = self._copy(span, offset, left)
            finally:
                with self._changed:
                    self._release(span)
            if not copied:
                return False
            offset += copied
        return True

    def forget(self, name: str) -> None:
        """Drop what is there of an object."""
        with self._changed:
            self._reads.pop(name, None)
            for span in [one for one in self._spans if one.name == name]:
                self._drop(span)

    def close(self) -> None:
        """Stop fetching; nothing is served any more."""
        with self._changed:
            self._closed = True
            for span in list(self._spans):
                self._drop(span)

    def _note(self, name: str, offset: int, wanted: int) -> None:
        with self._changed:
            self._asked += wanted
            reads = self._reads.get(name)
            if reads is None or not reads.near(offset, self._span_bytes):
                size = reads.size if reads else None
                reads = spans_.Reads(offset, offset, size=size)
                self._reads[name] = reads
            self._reads.move_to_end(name)
            while len(self._reads) > _OBJECTS:
                self._reads.popitem(last=False)
            reads.note(offset, wanted)

    def _take(self, name: str, offset: int) -> spans_.Span | None:
        """Return the span to read from; it is to be released again."""
        with self._changed:
            reads = self._reads.get(name)
            if self._closed or reads is None:
                return None
            for span in self._spans:
                if span.covers(name, offset):
                    break
            else:
                if not reads.dense(
                    offset, self._span_bytes, trusting=self._trusting
                ):
                    return None
                begun = self._begin(name, reads, offset)
                if begun is None or not begun.covers(name, offset):
                    return None
                span = begun
            self._spans.remove(span)
            self._spans.append(span)
            span.seen = self._asked
            span.users += 1
            self._extend(reads, span)
            return span

    def _copy(
        self, span: spans_.Span, offset: int, left: list[memoryview]
    ) -> int:
        """Fill what a span has of it; 0 where that will never come."""
        wanted = offset - span.start + sum(map(len, left))
        with self._changed:
            while not span.over and span.filled < min(wanted, span.length):
                self._changed.wait()
            if span.filled < min(wanted, span.length):
                return 0
        copied = span.copy(offset, left)
        with self._changed:
            span.used += copied
            self._trusting = self._trusting or span.exhausted
        return copied

    def _begin(
        self, name: str, reads: spans_.Reads, offset: int
    ) -> spans_.Span | None:
        """Begin a span for an offset, if there is memory for it."""
        start, length = reads.span(offset, self._span_bytes)
        memory = self._memory() if length else None
        if memory is None:
            return None
        span = spans_.Span(name, start, length, memory, self._asked)
        reads.next = span.end
        self._spans.append(span)
        threading.Thread(
            target=self._fetch, args=(span,), name='ahead', daemon=True
        ).start()
        return span

    def _memory(self) -> memoryview | None:
        """Return memory for a span, of one that is done with if needed."""
        if not self._free and self._made < self._count:
            self._made += 1
            return memoryview(bytearray(self._span_bytes))
        if not self._free:
            idle = [span for span in self._spans if not span.users]
            idle.sort(key=lambda span: not span.exhausted)
            for span in idle:
                if self._is_behind(span):
                    self._trusting = span.used * 2 >= span.length
                    self._drop(span)
                    break
        return self._free.pop() if self._free else None

    def _is_behind(self, span: spans_.Span) -> bool:
        """Tell whether nobody is likely to read from a span any more."""
        reads = self._reads.get(span.name)
        if span.exhausted or reads is None:
            return True
        if reads.end >= span.end + self._span_bytes:
            return True
        return self._asked - span.seen >= self._count * self._span_bytes

    def _extend(self, reads: spans_.Reads, span: spans_.Span) -> None:
        """Begin those that follow a span from which is being read."""
        ahead = self._count
        if not self._trusting:
            ahead = int(span.used * 2 >= span.length)
        while (
            reads.next is not None
            and reads.size is not None
            and reads.next < reads.size
            and 0 <= reads.next - span.end < ahead * self._span_bytes
        ):
            if self._begin(span.name, reads, reads.next) is None:
                return

    def _fetch(self, span: spans_.Span) -> None:
        """Fill a span, in a thread of its own."""
        try:
            self._fill(span)
        except errors.BackupkitError as exc:
            LOG.debug('nothing is read ahead of %s: %s', span.name, exc)
        finally:
            with self._changed:
                if span.filled < span.length:
                    self._reads.pop(span.name, None)
                    self._drop(span)
                span.over = True
                self._release(span)
                self._changed.notify_all()

    def _fill(self, span: spans_.Span) -> None:
        action = f'get {span.name}'
        headers = {'Range': f'bytes={span.start}-{span.end - 1}'}
        with self._container.request(
            action, 'GET', span.name, headers=headers
        ) as answer:
            failures.expect(answer, action, 'GET', 206)
            size = parsing.object_size(
                action, answer.headers, span.start, span.end
            )
            self._learn(span, size)
            while span.filled < span.length:
                left = span.length - span.filled
                piece = answer.read(min(_PIECE_BYTES, left))
                if not piece or span.over:
                    raise failures.passing(f'cannot {action}: it was given up')
                end = span.filled + len(piece)
                span.memory[span.filled : end] = piece
                with self._changed:
                    span.filled = end
                    self._changed.notify_all()

    def _learn(self, span: spans_.Span, size: int) -> None:
        """Take the size of an object, and begin what it has room for."""
        with self._changed:
            span.length = min(span.length, size - span.start)
            reads = self._reads.get(span.name)
            if reads is not None and reads.size != size:
                reads.size = size
                if reads.next is not None:
                    reads.next = min(reads.next, size)
                self._extend(reads, span)

    def _drop(self, span: spans_.Span) -> None:
        """Take a span away; its memory is free when nobody uses it."""
        if span not in self._spans:
            return
        self._spans.remove(span)
        span.over = True
        if not span.users:
            self._free.append(span.memory)
        self._changed.notify_all()

    def _release(self, span: spans_.Span) -> None:
        span.users -= 1
        if not span.users and span not in self._spans:
            self._free.append(span.memory)
