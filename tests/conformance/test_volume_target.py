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

"""The driver ``volume`` on backends of two kinds, in front of the suite."""

from typing import Any
import unittest

from backupkit.drivers import loader
from backupkit.drivers import target as target_
from backupkit.testing.memory import array
from backupkit.testing import sections
from backupkit.testing import target
from tests.conformance import copying
from tests.conformance import places


def load(backend: dict[str, Any], **options: Any) -> target_.Target:
    """Load the target ``test``, which keeps its backups on this backend."""
    conf = sections.configuration(
        {
            'backend:place': backend,
            'target:test': {'driver': 'volume', 'backend': 'place', **options},
        }
    )
    return loader.load_target(conf, 'test')


class MemoryVolumeTargetTest(target.TargetSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(array.discard, self.id())
        super().setUp()

    def make_target(self) -> target_.Target:
        return load({'driver': 'memory', 'array': self.id()})


class FileVolumeTargetTest(target.TargetSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.directory = places.directory(self)
        super().setUp()

    def make_target(self) -> target_.Target:
        return load({'driver': 'file', 'volumes_dir': self.directory})


class CopyingVolumeTargetTest(copying.CopyTests, FileVolumeTargetTest):
    def make_target(self) -> target_.Target:
        backend = {'driver': 'file', 'volumes_dir': self.directory}
        return load(backend, offload='copy')
