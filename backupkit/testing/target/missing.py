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


"""Tests of a target whose place is not there."""

from __future__ import annotations

from backupkit.drivers import target
from backupkit import errors
from backupkit.repository import target as repository_target
from backupkit.testing.target import case


class MissingTests(case.TargetCase):
    """Tests of a target that was not mounted, or not made."""

    def make_missing_target(self) -> target.Target:
        """Return a target whose place is not there. A hook."""
        raise NotImplementedError('a suite needs its hook make_missing_target')

    def test_open_when_place_is_missing_then_says_so(self) -> None:
        """Guards: Target.backup raises TargetError."""
        missing = self.make_missing_target()
        self.target = self.cycle.target = missing
        with self.assertRaises(errors.TargetMissing):
            self.cycle.backup(self.make_volume())
        if isinstance(missing, repository_target.RepositoryTarget):
            with self.assertRaises(errors.TargetMissing):
                missing.open()
