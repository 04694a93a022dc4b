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


"""A store that is asked for legal names only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib

from backupkit.drivers import store
from backupkit.drivers.wrappers import base


class CheckedNames(base.StoreWrapper):
    """Refuse names and prefixes that do not follow the grammar.

    So a driver never sees one, wherever the name came from.
    """

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Put under a legal name."""
        self.inner.put(store.check_name(name), parts)

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get by a legal name."""
        return self.inner.get(store.check_name(name), offset, length)

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        """Get by a legal name."""
        self.inner.get_into(store.check_name(name), offset, buffers)

    def stat(self, name: str) -> store.ObjectStat:
        """Stat by a legal name."""
        return self.inner.stat(store.check_name(name))

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """List by a legal prefix."""
        return self.inner.list(store.check_prefix(prefix))

    def delete(self, name: str) -> None:
        """Delete by a legal name."""
        self.inner.delete(store.check_name(name))

    def make_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Make a file of a legal name."""
        return self.inner.make_file(store.check_name(name))

    def open_file(self, name: str) -> contextlib.AbstractContextManager[int]:
        """Open the file of a legal name."""
        return self.inner.open_file(store.check_name(name))

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete by legal names."""
        self.inner.delete_many([store.check_name(name) for name in names])
