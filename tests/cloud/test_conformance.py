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


"""The driver ``cinder``, in front of the suite of a volume driver."""

from __future__ import annotations

import shutil
import tempfile
import unittest

from backupkit.drivers import volume as volume_
from backupkit.testing import sections
from backupkit.testing import suite
from backupkit.testing import volume
from backupkit.testing.volume import case
from tests.cloud import cinder
from tests.cloud import stand


class CinderVolumeDriverTest(volume.VolumeDriverSuite, unittest.TestCase):
    """Volumes of a type that several attachments may share."""

    granularity_bytes = stand.GIB

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix='backupkit-cloud-')
        self.addCleanup(shutil.rmtree, self.directory)
        stand.start_helper_directly(self)
        super().setUp()
        self.addCleanup(self._assert_nothing_attached)

    def _assert_nothing_attached(self) -> None:
        self.assertEqual([], cinder.cloud().devices())

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver(
            'cinder',
            **stand.options(self.directory, volume_type=cinder.SHARED_TYPE),
        )

    def make_filled(self, wanted: int = case.SIZE) -> tuple[str, bytearray]:
        """Fill what a volume of no certain size would have.

        The rest of the least volume that Cinder makes stays zero.
        """
        volume_id = self.make_volume(self.size(wanted))
        data = bytearray(self.random.randbytes(wanted))
        self.write(volume_id, 0, data)
        return volume_id, data + bytes(self.size(wanted) - wanted)

    def assert_bytes(
        self, expected: suite.Buffer, found: suite.Buffer, what: str
    ) -> None:
        """Compare without copies, which are large here."""
        if expected != found:
            super().assert_bytes(expected, found, what)
