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


"""A store that hands every call on to another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib

from backupkit.drivers import store


class StoreWrapper(store.Store):
    """Base class of wrappers: override what shall behave otherwise.

    :param inner: the store that does the work; closing the wrapper closes
        it
    """

    def __init__(self, inner: store.Store) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Hand the call on to the inner store."""
        self.inner.put(name, parts)

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Hand the call on to the inner store."""
        return self.inner.get(name, offset, length)

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Hand the call on to the inner store."""
        self.inner.get_into(name, offset, buffers)

    def stat(self, name: str) -> store.ObjectStat:
        """Hand the call on to the inner store."""
        return self.inner.stat(name)

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """Hand the call on to the inner store."""
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        """Hand the call on to the inner store."""
        self.inner.delete(name)

    def delete_many(self, names: Sequence[str]) -> None:
        """Hand the call on to the inner store."""
        self.inner.delete_many(names)

    def make_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Hand the call on to the inner store."""
        return self.inner.make_file(name)

    def open_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Hand the call on to the inner store."""
        return self.inner.open_file(name)

    def sweep(self) -> int:
        """Hand the call on to the inner store."""
        return self.inner.sweep()

    def close(self) -> None:
        """Close the inner store."""
        self.inner.close()
