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


"""The store in memory, in front of the suite."""

import unittest

from backupkit.drivers import store as store_
from backupkit.testing.memory import store as memory
from backupkit.testing import store


class MemoryStoreTest(
    store.StoreSuite, store.FullStoreSuite, unittest.TestCase
):
    def setUp(self) -> None:
        self.medium = memory.Medium()
        super().setUp()

    def make_store(self) -> store_.Store:
        return memory.MemoryStore(self.medium)

    def make_small_store(self, room_bytes: int) -> store_.Store:
        return memory.MemoryStore(memory.Medium(limit_bytes=room_bytes))
