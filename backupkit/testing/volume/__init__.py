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


"""The conformance suite of a volume driver.

::

    class MyVolumeDriverTest(volume.VolumeDriverSuite, unittest.TestCase):
        def make_driver(self):
            return MyVolumeDriver('test', self.section)
"""

from __future__ import annotations

from backupkit.testing.volume import attaching
from backupkit.testing.volume import changing
from backupkit.testing.volume import creating
from backupkit.testing.volume import describing
from backupkit.testing.volume import mapping
from backupkit.testing.volume import snapshots


class VolumeDriverSuite(
    describing.DescribeTests,
    attaching.AttachTests,
    mapping.MapTests,
    changing.ChangeTests,
    snapshots.SnapshotTests,
    creating.CreateTests,
):
    """All that the contract of a volume driver promises.

    The hook is :meth:`make_driver`. A driver that cannot create volumes
    defines ``make_volume`` too, and one whose volumes cannot have any size
    sets ``granularity_bytes``.
    """
