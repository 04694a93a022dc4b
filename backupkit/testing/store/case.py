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


"""What the tests of a store are given."""

from __future__ import annotations

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit import errors
from backupkit.testing import suite


class StoreCase(suite.Suite):
    """Opens the store under test."""

    #: Longest name of an object that is put; less where the store under
    #: test is a part of another one.
    name_limit = store.NAME_LIMIT

    def make_store(self) -> store.Store:
        """Return the store under test, opened. The hook of the suite.

        The first call in a test opens a place without objects; further
        calls in the same test open the same place once more.
        """
        raise NotImplementedError('a suite needs its hook make_store')

    def setUp(self) -> None:
        """Open the store, to be closed when the test ends."""
        super().setUp()
        self.store = self.open_again()

    def open_again(self) -> store.Store:
        """Open the same place once more."""
        opened = self.make_store()
        self.addCleanup(opened.close)
        return opened

    @property
    def promised(self) -> capability.StoreCapabilities:
        """What the opened store promises beyond the contract."""
        return self.store.capabilities

    def names(self, prefix: str = '') -> list[str]:
        """Return the names that the store lists, sorted."""
        return sorted(found.name for found in self.store.list(prefix))

    def assert_absent(self, name: str) -> None:
        """Assert that nothing of an object is to be seen."""
        with self.assertRaises(errors.ObjectNotFound):
            self.store.stat(name)
        with self.assertRaises(errors.ObjectNotFound):
            self.store.get(name)
        if self.promised.list_complete:
            self.assertNotIn(name, self.names())

    def assert_holds(self, name: str, data: bytes) -> None:
        """Assert that an object is there, whole."""
        self.assertEqual(
            store.ObjectStat(name, len(data)), self.store.stat(name)
        )
        self.assert_bytes(data, self.store.get(name), name)
        if self.promised.list_complete:
            self.assertIn(name, self.names())
