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


"""The conformance suite of a target.

::

    class MyTargetTest(target.TargetSuite, unittest.TestCase):
        def make_target(self):
            return MyTarget('test', self.section)
"""

from __future__ import annotations

from backupkit.testing.target import committing
from backupkit.testing.target import describing
from backupkit.testing.target import failing
from backupkit.testing.target import keeping
from backupkit.testing.target import missing
from backupkit.testing.target import stopping
from backupkit.testing.target import transferring


class TargetSuite(
    describing.DescribeTests,
    keeping.KeepTests,
    committing.CommitTests,
    stopping.StopTests,
    transferring.TransferTests,
    failing.FaultTests,
):
    """All that the contract of a target promises, where its place is there.

    The hook is :meth:`make_target`.
    """


class MissingTargetSuite(missing.MissingTests):
    """What the contract promises of a target whose place is not there.

    For targets whose place may be missing: not mounted, say. The hooks are
    :meth:`make_target` and :meth:`make_missing_target`.
    """
