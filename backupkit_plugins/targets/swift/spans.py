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

"""Spans of objects, and which reads tell that it is time for one."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

#: What one request fetches: long enough to make little of its own cost.
SPAN_BYTES = 8 << 20


@dataclasses.dataclass(slots=True, eq=False)
class Span:
    """A range of an object that is being fetched, or has been.

    ``users`` read from its memory or fill it. ``over`` is whether nothing
    more will come. ``seen`` is when it was last read from, as whoever keeps
    it counts.
    """

    name: str
    start: int
    length: int
    memory: memoryview
    seen: int
    filled: int = 0
    used: int = 0
    users: int = 1
    over: bool = False

    @property
    def end(self) -> int:
        """Where it ends in its object."""
        return self.start + self.length

    @property
    def exhausted(self) -> bool:
        """Whether all was read but perhaps a few bytes, as at an end."""
        return self.used * 64 >= self.length * 63

    def covers(self, name: str, offset: int) -> bool:
        """Tell whether a byte of an object lies in it."""
        return self.name == name and self.start <= offset < self.end

    def copy(self, offset: int, views: list[memoryview]) -> int:
        """Fill views from an offset of the object on; return the bytes.

        On return the list has what is left to be filled.
        """
        at = offset - self.start
        while views and at < self.length:
            view = views[0]
            count = min(len(view), self.length - at)
            view[:count] = self.memory[at : at + count]
            at += count
            views[:1] = [view[count:]] if count < len(view) else []
        return at - (offset - self.start)


@dataclasses.dataclass(slots=True)
class Reads:
    """The reads of one object, as far as they were near each other.

    ``next`` is where the next span begins, once there was one; ``size`` is
    that of the object, once it is known.
    """

    first: int
    end: int
    calls: int = 0
    asked: int = 0
    next: int | None = None
    size: int | None = None

    def near(self, offset: int, span_bytes: int) -> bool:
        """Tell whether a read goes on where others were.

        Several threads read somewhat before each other and behind.
        """
        behind = max(self.first, self.end - 2 * span_bytes)
        return behind - span_bytes <= offset <= self.end + span_bytes

    def note(self, offset: int, wanted: int) -> None:
        """Count one more read."""
        self.calls += 1
        self.asked += wanted
        self.first = min(self.first, offset)
        self.end = max(self.end, offset + wanted)

    def dense(self, offset: int, span_bytes: int, *, trusting: bool) -> bool:
        """Tell whether most of what follows an offset will be read too.

        :param trusting: it was so elsewhere: the beginning is enough
        """
        if self.next is not None and offset < self.next:
            return False
        if trusting and self.first < span_bytes // 8:
            return True
        return (
            self.calls > 1
            and self.asked >= span_bytes // 4
            and self.asked * 2 >= self.end - self.first
        )

    def span(self, offset: int, span_bytes: int) -> tuple[int, int]:
        """Return start and length of a span for an offset.

        It begins where the last one ended, if that is not far away.
        """
        start = offset
        if self.next is not None and 0 <= offset - self.next < span_bytes:
            start = self.next
        if self.size is None:
            return start, span_bytes
        return start, max(0, min(span_bytes, self.size - start))


def views_of(
    buffers: Sequence[bytearray | memoryview],
) -> list[memoryview]:
    """Return the buffers that are not empty, as bytes."""
    views = (memoryview(buffer).cast('B') for buffer in buffers)
    return [view for view in views if len(view)]
