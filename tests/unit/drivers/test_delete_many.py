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

"""Many deletes at once, through the wrappers."""

from __future__ import annotations

import unittest

from backupkit.drivers.wrappers import log
from backupkit.drivers.wrappers import names
from backupkit.drivers.wrappers import read_only
from backupkit import errors
from backupkit.testing.memory import store as memory


class DeleteManyTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.medium = memory.Medium()
        self.inner = memory.MemoryStore(self.medium)
        for name in ('a', 'b', 'c'):
            self.inner.put(name, [b'data'])

    def test_delete_many_when_a_name_is_illegal_then_nothing_goes(
        self,
    ) -> None:
        with self.assertRaises(errors.FormatError):
            names.CheckedNames(self.inner).delete_many(['a', '../b'])
        self.assertEqual({'a', 'b', 'c'}, set(self.medium.objects))

    def test_delete_many_when_names_are_legal_then_they_go(self) -> None:
        names.CheckedNames(self.inner).delete_many(['a', 'b'])
        self.assertEqual({'c'}, set(self.medium.objects))

    def test_delete_many_when_read_only_then_refused(self) -> None:
        with self.assertRaises(errors.TargetReadOnly):
            read_only.ReadOnly(self.inner, 'repo').delete_many(['a'])
        self.assertEqual({'a', 'b', 'c'}, set(self.medium.objects))

    def test_delete_many_when_it_is_logged_then_each_name_is(self) -> None:
        with self.assertLogs('backupkit', 'DEBUG') as told:
            log.Logging(self.inner, 'repo').delete_many(['a', 'c'])
        text = '\n'.join(told.output)
        self.assertIn('delete a', text)
        self.assertIn('delete c', text)
        self.assertNotIn('delete b', text)
