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


"""The suite of a target, over the driver ``sqlite``."""

import tempfile
import unittest

from backupkit.drivers import target
from backupkit.testing import sections
from backupkit.testing import target as suite


class SqliteTargetTest(
    suite.TargetSuite, suite.MissingTargetSuite, unittest.TestCase
):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        super().setUp()

    def make_target(self) -> target.Target:
        return sections.load_target(
            'sqlite', database=f'{self.directory}/vault.sqlite'
        )

    def make_missing_target(self) -> target.Target:
        return sections.load_target(
            'sqlite', database=f'{self.directory}/no/such/vault.sqlite'
        )
