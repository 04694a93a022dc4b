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

"""The driver ``swift``, in front of the suites of stores and targets."""

import unittest

from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit.testing import store
from backupkit.testing.target import committing
from backupkit.testing.target import describing
from backupkit.testing.target import keeping
from backupkit.testing.target import stopping
from backupkit.testing.target import transferring
from tests.swift import stand


class SwiftStoreTest(store.StoreSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.container = stand.container()
        super().setUp()

    def make_store(self) -> store_.Store:
        return stand.load(container=self.container).open()


class SwiftTargetTest(
    describing.DescribeTests,
    keeping.KeepTests,
    committing.CommitTests,
    stopping.StopTests,
    transferring.TransferTests,
    unittest.TestCase,
):
    """The suite of a target but for its loops over faults.

    These are thousands of requests; ``test_faults`` has the cluster's own.
    """

    def setUp(self) -> None:
        self.container = stand.container()
        super().setUp()

    def make_target(self) -> target_.Target:
        return stand.load(container=self.container)
