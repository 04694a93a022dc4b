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


"""The driver ``file``, in front of the suite of a volume driver."""

import unittest

from backupkit.drivers import volume as volume_
from backupkit.testing import sections
from backupkit.testing import volume
from tests.conformance import places


class FileVolumeDriverTest(volume.VolumeDriverSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.directory = places.directory(self, fast=False)
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver('file', volumes_dir=self.directory)


class FileQcow2VolumeDriverTest(volume.VolumeDriverSuite, unittest.TestCase):
    """Of volumes that are declared to be qcow2."""

    granularity_bytes = 512
    volume_format = 'qcow2'

    def setUp(self) -> None:
        self.directory = places.directory(self, fast=False)
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver(
            'file',
            volumes_dir=self.directory,
            qcow2_volumes='*',
            dirty_bitmaps='true',
        )
