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


"""The target driver around the store."""

from __future__ import annotations

import os
import tempfile
import unittest

from backupkit import errors
from backupkit.testing import sections
from backupkit_plugins.targets import posix


class PosixTargetTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.base = holder.name
        self.root = os.path.join(self.base, 'repository')

    def _target(self, path: str, pool: str = '') -> posix.PosixTarget:
        target = sections.load_target(
            'posix', 'repo', backup_posix_path=path, storage_pool=pool
        )
        assert isinstance(target, posix.PosixTarget)
        return target

    def test_when_constructed_then_nothing_is_touched(self) -> None:
        self._target('/no/such/place')

    def test_when_opened_then_objects_lie_below_the_path(self) -> None:
        with self._target(self.root).open() as store:
            store.put('a/x', [b'data'])
        self.assertTrue(os.path.isfile(os.path.join(self.root, 'a', 'x')))

    def test_when_checked_then_nothing_is_made(self) -> None:
        capabilities = self._target(self.root).check()
        self.assertTrue(capabilities.repository)
        self.assertTrue(capabilities.store.list_complete)
        self.assertTrue(capabilities.store.put_if_absent)
        self.assertEqual([], os.listdir(self.base))

    def test_when_path_is_relative_then_the_option_is_named(self) -> None:
        for path in ('repository', './repository'):
            target = self._target(path)
            for call in (target.check, target.open, target.storage_identity):
                with self.assertRaisesRegex(
                    errors.ConfigurationError, 'backup_posix_path'
                ):
                    call()

    def test_when_path_is_a_file_then_check_refuses(self) -> None:
        with open(self.root, 'wb'):
            pass
        with self.assertRaisesRegex(
            errors.ConfigurationError, 'not a directory'
        ):
            self._target(self.root).check()

    def test_when_parent_is_missing_then_target_is_missing(self) -> None:
        target = self._target(os.path.join(self.base, 'no', 'repository'))
        with self.assertRaises(errors.TargetMissing):
            target.check()
        with self.assertRaises(errors.TargetMissing):
            target.open()
        self.assertIsNone(target.storage_identity())

    def test_when_path_ends_with_a_slash_then_it_is_the_same(self) -> None:
        with self._target(self.root + '//').open() as store:
            store.put('x', [b'data'])
        self.assertEqual(['x'], os.listdir(self.root))

    def test_when_on_one_file_system_then_identity_is_the_same(self) -> None:
        first = self._target(self.root, 'gold').storage_identity()
        os.mkdir(self.root)
        again = self._target(self.root, 'gold').storage_identity()
        self.assertIsNotNone(first)
        self.assertEqual(first, again)

    def test_when_pool_differs_then_identity_differs(self) -> None:
        gold = self._target(self.root, 'gold').storage_identity()
        tin = self._target(self.root, 'tin').storage_identity()
        self.assertNotEqual(gold, tin)

    def test_when_on_another_file_system_then_identity_differs(self) -> None:
        here = self._target(self.root).storage_identity()
        proc = self._target('/proc/self').storage_identity()
        self.assertNotEqual(here, proc)
