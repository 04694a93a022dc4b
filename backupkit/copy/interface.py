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

"""What the pipeline moves bytes between.

A reader is a volume or a backup that is read; a writer one that is
written. Both work in *blocks*: aligned ranges of ``block_bytes``, the last
of which may be shorter.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
import types
from typing import Self

from backupkit import model

#: Memory of one block; ``bytearray`` unless a writer asks for another kind.
Block = bytearray | memoryview


class Closing:
    """Something that is closed when its ``with`` block is left."""

    def close(self) -> None:
        """Let go of what it holds; twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()


class Reader(Closing, abc.ABC):
    """Something whose plain bytes can be read in any order.

    ``read_into`` is called by several threads at once, for ranges that
    ``extents`` called ``data``; for one that is ``same`` only where what
    is kept of it is damaged.
    """

    #: Plain size of what is read.
    size_bytes: int

    #: Whether ``extents`` may be ``same``.
    tells_changes: bool = False

    @abc.abstractmethod
    def extents(self) -> Iterator[model.Extent]:
        """Yield extents in order that tile ``[0, size_bytes)``."""

    @abc.abstractmethod
    def read_into(self, offset: int, buffers: Sequence[Block]) -> None:
        """Fill the buffers, one behind the other, from ``offset`` on.

        :raises errors.SourceError: the range cannot be read whole
        :raises errors.IntegrityError: what was read is not what was kept
        """

    def descriptor(self) -> int | None:
        """Return an open file that holds the bytes at their places.

        None where there is no such file. It stays the reader's: for copies
        that the storage makes by itself.
        """
        return None


class Writer(Closing, abc.ABC):
    """Something that takes plain bytes in any order, each range once.

    All methods but ``finish`` are called by several threads at once.
    """

    def make_buffers(self, count: int, block_bytes: int) -> Sequence[Block]:
        """Return memory for blocks, of the kind that suits ``write`` best.

        Each thread asks once and uses the memory again for every batch.
        """
        return [bytearray(block_bytes) for _ in range(count)]

    @abc.abstractmethod
    def write(self, offset: int, buffers: Sequence[Block]) -> None:
        """Take the buffers, whose bytes lie one behind the other.

        The caller may use them again as soon as this returns.
        """

    @abc.abstractmethod
    def zero(self, offset: int, length: int) -> None:
        """Take a range that reads as zeros."""

    def same(self, offset: int, length: int) -> None:
        """Take a range that is as in the parent.

        Only called where the reader yields ``same`` extents, which it does
        only against the parent of this very writer.
        """
        raise NotImplementedError

    def done(self) -> Sequence[model.Extent]:
        """Return ranges that need not be handed on, in order.

        An earlier attempt has brought them. They begin and end where blocks
        do. Handing them on all the same does no harm.
        """
        return ()

    def flush(self) -> bool:
        """Make durable what was taken so far, while more may come.

        :returns: False where only :meth:`finish` can do that
        """
        return False

    @abc.abstractmethod
    def finish(self) -> None:
        """Make everything taken so far durable."""
