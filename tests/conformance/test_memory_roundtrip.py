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


"""The round trip from memory to memory."""

import unittest

from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit.testing.memory import array
from backupkit.testing.memory import store
from backupkit.testing import roundtrip
from backupkit.testing import sections


class MemoryRoundTripTest(roundtrip.RoundTripSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(array.discard, self.id())
        self.addCleanup(store.discard, self.id())
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver('memory', array=self.id())

    def make_target(self) -> target_.Target:
        return sections.load_target(
            'memory',
            medium=self.id(),
            chunk_size_bytes=65536,
            pack_size_bytes=1048576,
        )
