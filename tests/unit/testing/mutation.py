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


"""Runs a suite over a driver that breaks a promise."""

from collections.abc import Callable
from typing import Any
import unittest


def failures(suite: type, **hooks: Callable[..., Any]) -> set[str]:
    """Return the names of the tests of a suite that fail with these hooks.

    A test that fails stops the suite: one is enough.
    """
    case = type('Mutant', (suite, unittest.TestCase), hooks)
    result = unittest.TestResult()
    result.failfast = True
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    found = [*result.failures, *result.errors]
    return {test.id().split('.')[-1].partition(' ')[0] for test, _ in found}
