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


"""Directories for the drivers under test."""

import tempfile
import unittest

#: In memory, where most tests need not wait for a disk: what makes data
#: durable is tested by the drivers' own tests.
_FAST = '/dev/shm'


def directory(case: unittest.TestCase, *, fast: bool = True) -> str:
    """Return a new directory that is removed behind the test."""
    made = tempfile.TemporaryDirectory(dir=_FAST if fast else None)
    case.addCleanup(made.cleanup)
    return made.name
