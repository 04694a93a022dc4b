# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The whole world of the model: a store, a catalog, a host's cache."""

from __future__ import annotations

from typing import Any

from tests.unit.repository.protocol import catalog
from tests.unit.repository.protocol import store
from tests.unit.repository.protocol import values

#: Calls that change nothing, so that a search need not copy the world.
READS = frozenset(
    ('get', 'stat', 'listing', 'rows', 'recall', 'noted', 'last_number')
)


class World(store.Store, catalog.Catalog):
    """Answer every call that an actor can make."""

    def __init__(self, *, lagging: bool = False, racy: bool = False) -> None:
        store.Store.__init__(self, lagging=lagging, racy=racy)
        catalog.Catalog.__init__(self)
        self.cache: frozenset[values.Place] = frozenset()

    def copy(self) -> World:
        """Return a world that can change without changing this one."""
        twin = World(lagging=self.lagging, racy=self.racy)
        twin.objects = dict(self.objects)
        twin.unlisted = self.unlisted
        twin.ghosts = self.ghosts
        twin.runs = dict(self.runs)
        twin.condemned = dict(self.condemned)
        twin.cache = self.cache
        return twin

    def key(self) -> object:
        """Return a value that is equal for equal worlds."""
        return (
            frozenset(self.objects.items()),
            self.unlisted,
            self.ghosts,
            frozenset(self.runs.items()),
            frozenset(self.condemned.items()),
            self.cache,
        )

    def outcomes(self, call: values.Call) -> int:
        """Tell how many outcomes a call may have now."""
        return 1 << len(self.late()) if call.method == 'listing' else 1

    def apply(self, call: values.Call, choice: int = 0) -> Any:
        """Make a call; `choice` picks one of its outcomes."""
        self.choice = choice
        method = getattr(self, call.method)
        return method(*call.arguments, **dict(call.keywords))

    def recall(self) -> frozenset[values.Place]:
        """Return the places that this host remembers, true or not."""
        return self.cache

    def read_index(self, name: str) -> values.Index | None:
        """Return an index, and remember it on this host."""
        index = self.objects.get(name)
        if not isinstance(index, values.Index):
            return None
        self._remember(index, name)
        return index

    def end_commit(self, number: int, attempt: str) -> None:
        """Note the commit; the host remembers what the run stored."""
        super().end_commit(number, attempt)
        name = values.index_name(number, attempt)
        index = self.objects.get(name)
        if isinstance(index, values.Index):
            self._remember(index, name)

    def _remember(self, index: values.Index, name: str) -> None:
        self.cache |= {
            values.Place(digest, pack, name)
            for pack, digests in index.packs
            for digest in digests
        }
