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

"""The bed itself: what the other tests take for granted."""

from __future__ import annotations

import os
import pathlib
import sys
import unittest

import backupkit
from tests.guest import inside
from tests.guest import root


class BedTest(unittest.TestCase):
    def test_when_tests_run_then_it_is_as_the_service_user(self) -> None:
        self.assertEqual((inside.UID,) * 3, os.getresuid())
        self.assertEqual((inside.UID,) * 3, os.getresgid())
        self.assertEqual([], os.getgroups())

    def test_when_the_project_is_imported_then_it_is_the_installed_one(
        self,
    ) -> None:
        path = pathlib.Path(backupkit.__file__)
        self.assertTrue(path.is_relative_to(sys.prefix), path)

    def test_when_root_is_asked_then_root_does_it(self) -> None:
        self.assertEqual(0, root.do(os.getuid))

    def test_when_root_fails_then_its_error_is_told(self) -> None:
        with self.assertRaisesRegex(root.RootError, '/no/such'):
            root.do(os.listdir, '/no/such')
