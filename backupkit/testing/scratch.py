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


"""A place of one's own within a store that others use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import threading

from backupkit.drivers import store
from backupkit.drivers.wrappers import base
from backupkit.repository import target


class Scratch:
    """Names below one prefix, and a list of all that were ever put there.

    :param prefix: ends with a slash
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = store.check_prefix(prefix)
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def open(self, opened: store.Store) -> ScratchStore:
        """Return the part of an opened store that lies below the prefix."""
        return ScratchStore(opened, self)

    def note(self, name: str) -> None:
        """Remember a name before something is put there."""
        with self._lock:
            self._names.add(name)

    def remove(self, opened: store.Store) -> None:
        """Delete everything below the prefix, listed or not."""
        listed = {found.name for found in opened.list(self.prefix)}
        with self._lock:
            for name in listed | self._names:
                opened.delete(name)
            self._names.clear()


class ScratchStore(base.StoreWrapper):
    """The part of a store that lies below a prefix, as a store."""

    def __init__(self, inner: store.Store, scratch: Scratch) -> None:
        super().__init__(inner)
        self._scratch = scratch
        self._prefix = scratch.prefix

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Put below the prefix."""
        self._scratch.note(self._prefix + name)
        self.inner.put(self._prefix + name, parts)

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get from below the prefix."""
        return self.inner.get(self._prefix + name, offset, length)

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Get from below the prefix."""
        self.inner.get_into(self._prefix + name, offset, buffers)

    def stat(self, name: str) -> store.ObjectStat:
        """Stat below the prefix."""
        found = self.inner.stat(self._prefix + name)
        return store.ObjectStat(name, found.size_bytes)

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """List what is below both prefixes."""
        for found in self.inner.list(self._prefix + prefix):
            yield store.ObjectStat(
                found.name.removeprefix(self._prefix), found.size_bytes
            )

    def delete(self, name: str) -> None:
        """Delete below the prefix."""
        self.inner.delete(self._prefix + name)

    def make_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Make a file below the prefix."""
        self._scratch.note(self._prefix + name)
        return self.inner.make_file(self._prefix + name)

    def open_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Open a file below the prefix."""
        return self.inner.open_file(self._prefix + name)

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete the objects below the prefix."""
        self.inner.delete_many([self._prefix + name for name in names])


def scratch_target(
    configured: target.RepositoryTarget,
    scratch: Scratch,
    check: Callable[[], None] | None = None,
) -> target.RepositoryTarget:
    """Return a target like the configured one, in a place of its own.

    Of the same class, options and wrappers, so that all that is the
    driver's own is what is used.

    :param check: raises where the run that uses it is to stop
    """
    driver: type[target.RepositoryTarget] = type(configured)

    def open_scratch(self: target.RepositoryTarget) -> store.Store:
        return scratch.open(configured.open())

    derived: type[target.RepositoryTarget] = type(
        driver.__name__, (driver,), {'open': open_scratch}
    )
    made = derived(configured.name, configured.section)
    made.patience = configured.patience
    wrapper = configured.store_wrapper
    if check:
        made.store_wrapper = lambda opened, *_: wrapper(opened, check)
    else:
        made.store_wrapper = wrapper
    return made
