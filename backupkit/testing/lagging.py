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


"""A store that promises no more than the contract demands.

Object stores of several servers behave like this one: a listing comes from
a server that has not heard of the latest changes, and two puts of one name
at the same time can both be accepted. Here it happens deterministically.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit import errors
from backupkit.testing.memory import store as memory


class LaggingMedium(memory.Medium):
    """A medium whose list of names is some changes behind its objects.

    :param lag: how many changes it is behind
    """

    def __init__(self, lag: int = 3, limit_bytes: int | None = None) -> None:
        super().__init__(limit_bytes)
        self._lag = lag
        self._listed: dict[str, int] = {}
        self._changes: list[tuple[str, int | None]] = []

    def change(self, name: str, size_bytes: int | None) -> None:
        """Note a put, or a delete where the size is None."""
        with self.lock:
            self._changes.append((name, size_bytes))
            self._catch_up(self._lag)

    def catch_up(self) -> None:
        """Bring the list up to date, as it is when all is quiet."""
        with self.lock:
            self._catch_up(0)

    def listing(self) -> list[store.ObjectStat]:
        """Return what the list holds now."""
        with self.lock:
            return [store.ObjectStat(*item) for item in self._listed.items()]

    def _catch_up(self, lag: int) -> None:
        while len(self._changes) > lag:
            name, size_bytes = self._changes.pop(0)
            if size_bytes is None:
                self._listed.pop(name, None)
            else:
                self._listed[name] = size_bytes


class LaggingStore(memory.MemoryStore):
    """A store whose listings lag and whose puts can race.

    :param kept: where the objects are; other stores may use it too
    :param between: called with the name in each put, after it has seen that
        the name is free and before it stores; what another put stores
        meanwhile is overwritten
    """

    capabilities = capability.StoreCapabilities(
        list_complete=False, put_if_absent=False
    )

    def __init__(
        self,
        kept: LaggingMedium,
        between: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(kept)
        self._lagging = kept
        self._between = between

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Look first, then store: not in one step."""
        self._refuse_taken(name)
        if self._between:
            self._between(name)
        with self._lagging.lock:
            self._lagging.objects.pop(name, None)
        super().put(name, parts)
        self._lagging.change(name, len(self._lagging.objects[name]))

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """Yield what the list of names holds, behind as it is."""
        store.check_prefix(prefix)
        for found in self._lagging.listing():
            if found.name.startswith(prefix):
                yield found

    def delete(self, name: str) -> None:
        """Delete the object now, and its name from the list later."""
        super().delete(name)
        self._lagging.change(name, None)

    def _refuse_taken(self, name: str) -> None:
        try:
            found = self.stat(name)
        except errors.ObjectNotFound:
            return
        raise errors.ObjectExists(
            f'object {name} of {found.size_bytes} bytes exists already'
        )
