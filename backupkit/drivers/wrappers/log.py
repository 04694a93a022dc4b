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


"""A store whose calls can be followed in the debug log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import logging

from backupkit.drivers import store
from backupkit.drivers.wrappers import base

LOG = logging.getLogger(__name__)


class Logging(base.StoreWrapper):
    """Log each call with names and sizes, and never with data.

    :param inner: the store to follow
    :param target: name of its target, for the messages
    """

    def __init__(self, inner: store.Store, target: str) -> None:
        super().__init__(inner)
        self._target = target

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Put and tell what was put."""
        self.inner.put(name, parts)
        LOG.debug(
            'target %s: put %s, %d bytes',
            self._target,
            name,
            sum(memoryview(part).nbytes for part in parts),
        )

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get and tell which range was read."""
        data = self.inner.get(name, offset, length)
        LOG.debug(
            'target %s: get %s, %d bytes from %d',
            self._target,
            name,
            len(data),
            offset,
        )
        return data

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Get and tell which range was read."""
        self.inner.get_into(name, offset, buffers)
        LOG.debug(
            'target %s: get %s, %d bytes from %d',
            self._target,
            name,
            sum(memoryview(buffer).nbytes for buffer in buffers),
            offset,
        )

    def stat(self, name: str) -> store.ObjectStat:
        """Stat and tell the size."""
        found = self.inner.stat(name)
        LOG.debug(
            'target %s: stat %s, %d bytes',
            self._target,
            name,
            found.size_bytes,
        )
        return found

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """List and tell how many objects there were."""
        count = 0
        for found in self.inner.list(prefix):
            count += 1
            yield found
        LOG.debug(
            'target %s: list %s*, %d objects', self._target, prefix, count
        )

    def delete(self, name: str) -> None:
        """Delete and tell it."""
        self.inner.delete(name)
        LOG.debug('target %s: delete %s', self._target, name)

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete and tell which."""
        self.inner.delete_many(names)
        for name in names:
            LOG.debug('target %s: delete %s', self._target, name)

    @contextlib.contextmanager
    def make_file(self, name: str) -> Iterator[int]:
        """Make a file and tell it, once it is an object."""
        with self.inner.make_file(name) as fd:
            yield fd
        LOG.debug('target %s: made the file %s', self._target, name)

    @contextlib.contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        """Open a file and tell it."""
        with self.inner.open_file(name) as fd:
            LOG.debug('target %s: opened the file %s', self._target, name)
            yield fd

    def sweep(self) -> int:
        """Sweep and tell how much was removed."""
        removed = self.inner.sweep()
        LOG.debug('target %s: sweep, %d removed', self._target, removed)
        return removed
