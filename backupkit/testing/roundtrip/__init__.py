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


"""The round trip of any volume driver with any target.

::

    class MyRoundTripTest(roundtrip.RoundTripSuite, unittest.TestCase):
        def make_driver(self):
            return MyVolumeDriver('test', self.section)

        def make_target(self):
            return MyTarget('test', self.other_section)
"""

from __future__ import annotations

from backupkit.testing.roundtrip import repeating
from backupkit.testing.roundtrip import restoring


class RoundTripSuite(restoring.RestoreTests, repeating.RepeatTests):
    """What comes back is what was there, whatever was in between.

    The hooks are :meth:`make_driver` and :meth:`make_target`; those that a
    volume driver's suite has beyond are here too.
    """
