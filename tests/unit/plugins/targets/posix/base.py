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


"""What the tests of the POSIX store begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import itertools
import os
import tempfile
from typing import Any
import unittest

from backupkit_plugins.targets.posix import store as store_
from backupkit_plugins.targets.posix import temporary
from tests.unit.crash import seam

PACK = 'backups/aa/bb/one/packs/0000/p1'
MANIFEST = 'backups/aa/bb/one/manifest'


class StoreTestCase(unittest.TestCase):
    """Has an open store whose root does not exist yet."""

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.base = holder.name
        self.root = os.path.join(self.base, 'repository')
        self.store = self.open_store()

    def open_store(self) -> store_.PosixStore:
        """Open the same store once more, as another process would."""
        store = store_.PosixStore(self.root)
        self.addCleanup(store.close)
        return store

    def path(self, name: str) -> str:
        """Return where an object lies."""
        return os.path.join(self.root, name)

    def names(self) -> list[str]:
        """Return the names of all objects."""
        return sorted(found.name for found in self.store.list())

    def leftovers(self) -> list[str]:
        """Return the paths of all temporary files."""
        return [
            os.path.join(directory, name)
            for directory, _, names in os.walk(self.root)
            for name in names
            if name.startswith(temporary.PREFIX)
        ]


@contextlib.contextmanager
def at_call(
    number: int, fault: Callable[[str, Callable[[], Any]], Any]
) -> Iterator[list[str]]:
    """Let ``fault`` do the Nth call of the seam, the first being 1.

    ``fault`` is given the call's name, and what does it really.

    :returns: the names of the calls so far
    """
    calls: list[str] = []
    counter = itertools.count(1)

    def intercept(
        name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        calls.append(name)
        if next(counter) == number:
            return fault(name, lambda: real(*args, **kwargs))
        return real(*args, **kwargs)

    with seam.intercepted(intercept):
        yield calls
