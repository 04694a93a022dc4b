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


"""A repository in a store that promises little, in front of the suites."""

import dataclasses
import unittest

from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit.testing import lagging
from backupkit.testing.memory import array
from backupkit.testing.memory import target as memory
from backupkit.testing import roundtrip
from backupkit.testing import sections
from backupkit.testing import target


class LaggingTarget(memory.MemoryTarget):
    """A target whose listings are some changes behind."""

    capabilities = dataclasses.replace(
        memory.MemoryTarget.capabilities,
        store=lagging.LaggingStore.capabilities,
    )
    medium: lagging.LaggingMedium

    def open(self) -> lagging.LaggingStore:
        return lagging.LaggingStore(self.medium)


def load(medium: lagging.LaggingMedium) -> target_.Target:
    loaded = sections.load_target(
        'memory', chunk_size_bytes=16384, pack_size_bytes=131072
    )
    made = LaggingTarget('test', loaded.section)
    made.medium = medium
    return made


class LaggingTargetTest(target.TargetSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.medium = lagging.LaggingMedium(lag=20)
        super().setUp()

    def make_target(self) -> target_.Target:
        return load(self.medium)


class LaggingRoundTripTest(roundtrip.RoundTripSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.medium = lagging.LaggingMedium(lag=20)
        self.addCleanup(array.discard, self.id())
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver('memory', array=self.id())

    def make_target(self) -> target_.Target:
        return load(self.medium)
