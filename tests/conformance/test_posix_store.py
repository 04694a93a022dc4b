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


"""The store of the driver ``posix``, in front of the suite."""

import unittest

from backupkit.drivers import store as store_
from backupkit.testing import sections
from backupkit.testing import store
from backupkit_plugins.targets import posix
from tests.conformance import places


class PosixStoreTest(store.StoreSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.directory = places.directory(self, fast=False)
        super().setUp()

    def make_store(self) -> store_.Store:
        target = sections.load_target(
            'posix', backup_posix_path=self.directory
        )
        assert isinstance(target, posix.PosixTarget)
        return target.open()
