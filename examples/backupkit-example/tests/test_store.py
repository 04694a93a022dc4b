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


"""The suite of a store, over the store of the driver ``sqlite``."""

import os
import tempfile
import unittest

from backupkit.testing import store as suite
from backupkit_example import store


class SqliteStoreTest(
    suite.StoreSuite, suite.FullStoreSuite, unittest.TestCase
):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, 'vault.sqlite')
        super().setUp()

    def make_store(self) -> store.SqliteStore:
        return store.SqliteStore(self.path)

    def make_small_store(self, room_bytes: int) -> store.SqliteStore:
        made = store.SqliteStore(f'{self.path}-small')
        made.limit(room_bytes)
        return made
