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

"""What the tests of power cuts have in common."""

from __future__ import annotations

import os
import unittest

from tests.unit.crash import powercut


class PowerCutCase(unittest.TestCase):
    """Base class: a repository's place, and what is written there."""

    def setUp(self) -> None:
        super().setUp()
        holder = powercut.directory()
        self.addCleanup(holder.cleanup)
        self.scratch = os.path.join(holder.name, 'scratch')
        base = os.path.join(holder.name, 'base')
        os.mkdir(base)
        self.root = os.path.join(base, 'repository')
        self.recorder = powercut.PowerCut(base)
