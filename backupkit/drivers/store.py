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

"""The contract of a store: named immutable objects, and little more.

What a store promises:

1. A ``put`` that returned is whole and durable: it survives a power cut.
2. No partial object is ever visible, whatever happens during a put.
3. Nothing that exists is silently replaced.
4. ``get`` of a range is exact or an error, never a short answer.
5. ``get`` and ``stat`` of a name are always current.
6. ``delete`` of a missing name succeeds.
7. ``list`` is complete, and put-if-absent is atomic, only where the
   capability says so.

All methods may be called from several threads at once.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import re
import types
from typing import Self

from backupkit.drivers import capability
from backupkit import errors

#: What holds bytes: the store reads from it and keeps no reference.
Buffer = bytes | bytearray | memoryview

#: Longest name of an object, in characters.
NAME_LIMIT = 200

_COMPONENT = '[a-z0-9][a-z0-9._-]*'
_NAME = re.compile(f'{_COMPONENT}(/{_COMPONENT})*')
_PREFIX = re.compile(f'({_COMPONENT}/)*')


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectStat:
    """What ``stat`` and ``list`` tell of an object."""

    name: str
    size_bytes: int


def check_name(name: str) -> str:
    """Return ``name`` where it is a legal object name.

    Components of lower case letters, digits, ``.``, ``_`` and ``-``, each
    beginning with a letter or digit, joined by single slashes: so a name
    is never absolute, holds no ``..`` and no hidden component.

    :raises errors.FormatError: it is none
    """
    if len(name) > NAME_LIMIT or not _NAME.fullmatch(name):
        raise errors.FormatError(f'{name[:NAME_LIMIT]!r} is no object name')
    return name


def check_prefix(prefix: str) -> str:
    """Return ``prefix`` where it is empty or whole components and a slash.

    :raises errors.FormatError: it is not
    """
    if len(prefix) > NAME_LIMIT or not _PREFIX.fullmatch(prefix):
        raise errors.FormatError(f'{prefix[:NAME_LIMIT]!r} is no prefix')
    return prefix


class Store(abc.ABC):
    """An opened place for objects; see the module's promises.

    Used as a context manager; :meth:`close` may be called twice.
    """

    #: Effective capabilities of this opened store.
    capabilities: capability.StoreCapabilities = capability.StoreCapabilities()

    @abc.abstractmethod
    def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """Keep the concatenated parts under ``name``, durably.

        :raises errors.ObjectExists: the name is taken
        :raises errors.TargetFull: no space; nothing is left behind
        :raises errors.TargetError: it failed; nothing visible is left
        """

    @abc.abstractmethod
    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Return ``length`` bytes from ``offset``, or all to the end.

        :raises errors.ObjectNotFound: there is no such object
        :raises errors.Damaged: the object ends before the range does
        """

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Fill the buffers, one behind the other, as :meth:`get` does.

        The default copies; a store that can read in place saves that.
        """
        data = memoryview(
            self.get(name, offset, sum(len(buffer) for buffer in buffers))
        )
        for buffer in buffers:
            buffer[:] = data[: len(buffer)]
            data = data[len(buffer) :]

    @abc.abstractmethod
    def stat(self, name: str) -> ObjectStat:
        """Tell the size of an object.

        :raises errors.ObjectNotFound: there is no such object
        """

    @abc.abstractmethod
    def list(self, prefix: str = '') -> Iterator[ObjectStat]:
        """Yield the objects whose names begin with ``prefix``, any order.

        ``prefix`` is empty or ends with a slash.
        """

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Remove an object; absent is fine."""

    def delete_many(self, names: Sequence[str]) -> None:
        """Remove objects, in any order; absent is fine.

        The default deletes one after the other; a store that can do many
        at once saves that. After an error any of them may be left.
        """
        for name in names:
            self.delete(name)

    def make_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Lend a new, empty file, which is an object when it was given back.

        By capability ``files``. The descriptor can be read and written
        anywhere, and what is a hole in it stays one. Where the context ends
        well the object is whole and durable, as after :meth:`put`; where it
        ends with an error there is none, and nothing is left.

        :raises errors.ObjectExists: the name is taken; when it is given back
        :raises errors.TargetError: it failed; nothing visible is left
        """
        raise errors.NotSupported('this store keeps no files')

    def open_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Lend the file that an object is, open for reading.

        By capability ``files``. For what :meth:`get` cannot do: to see
        holes, and to let the file system share or copy blocks.

        :raises errors.ObjectNotFound: there is no such object; on entry
        """
        raise errors.NotSupported('this store keeps no files')

    def sweep(self) -> int:
        """Remove what puts of dead processes left, and tell how many.

        Never touches a put that is still under way. The default store
        leaves nothing and so removes nothing.
        """
        return 0

    def close(self) -> None:
        """Let go of what the store holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()
