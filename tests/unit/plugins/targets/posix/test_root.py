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


"""The root directory: when it is made, lost, or replaced."""

from __future__ import annotations

from collections.abc import Callable
import os
from typing import Any

from backupkit import errors
from backupkit_plugins.targets.posix import store as posix
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base


class RootTest(base.StoreTestCase):
    def test_when_only_read_then_root_is_not_made(self) -> None:
        self.assertEqual([], [*self.store.list()])
        self.assertEqual([], [*self.store.list('backups/')])
        self.assertEqual(0, self.store.sweep())
        self.store.delete('x')
        with self.assertRaises(errors.ObjectNotFound):
            self.store.get('x')
        with self.assertRaises(errors.ObjectNotFound):
            self.store.stat('x')
        self.assertFalse(os.path.exists(self.root))

    def test_when_put_then_root_is_made(self) -> None:
        self.store.put('x', [b'data'])
        self.assertEqual(b'data', self.store.get('x'))

    def test_when_another_makes_the_root_then_it_is_seen(self) -> None:
        self.open_store().put('x', [b'data'])
        self.assertEqual(['x'], self.names())

    def test_when_parent_is_missing_then_target_is_missing(self) -> None:
        with self.assertRaisesRegex(errors.TargetMissing, 'mounted'):
            posix.PosixStore(os.path.join(self.base, 'no', 'repository'))
        self.assertEqual([], os.listdir(self.base))

    def test_when_parent_goes_before_put_then_target_is_missing(
        self,
    ) -> None:
        parent = os.path.join(self.base, 'parent')
        os.mkdir(parent)
        with posix.PosixStore(os.path.join(parent, 'r')) as store:
            os.rmdir(parent)
            with self.assertRaises(errors.TargetMissing):
                store.put('x', [b'data'])

    def test_when_root_is_removed_then_target_is_missing(self) -> None:
        self.store.put('x', [b'data'])
        os.unlink(self.path('x'))
        os.rmdir(self.root)
        calls: list[Callable[[], object]] = [
            lambda: self.store.put('x', [b'data']),
            lambda: self.store.put('a/x', [b'data']),
            lambda: self.store.get('x'),
            lambda: self.store.stat('a/x'),
            lambda: [*self.store.list()],
            lambda: self.store.delete('x'),
            self.store.sweep,
        ]
        for call in calls:
            with self.assertRaises(errors.TargetMissing):
                call()
        self.assertFalse(os.path.exists(self.root))

    def test_when_root_is_replaced_then_the_opened_one_is_used(self) -> None:
        self.store.put('x', [b'data'])
        moved = self.root + '.moved'
        os.rename(self.root, moved)
        os.mkdir(self.root)
        self.store.put('y', [b'data'])
        self.assertEqual(['x', 'y'], self.names())
        self.assertEqual([], os.listdir(self.root))

    def test_when_root_is_a_file_then_it_is_an_error(self) -> None:
        with open(self.root, 'wb'):
            pass
        with self.assertRaises(errors.TargetError):
            self.open_store()

    def test_when_root_is_a_link_of_the_operator_then_it_is_followed(
        self,
    ) -> None:
        real = os.path.join(self.base, 'real')
        os.mkdir(real)
        os.symlink(real, self.root)
        self.open_store().put('x', [b'data'])
        self.assertEqual(['x'], os.listdir(real))

    def test_when_closed_then_it_cannot_be_used(self) -> None:
        self.store.put('a/x', [b'data'])
        self.store.close()
        self.store.close()
        with self.assertRaises(errors.TargetError):
            self.store.get('a/x')

    def test_when_many_directories_are_used_then_few_stay_open(self) -> None:
        for number in range(150):
            self.store.put(f'd{number}/x', [b'data'])
        before = len(os.listdir('/proc/self/fd'))
        self.store.close()
        closed = before - len(os.listdir('/proc/self/fd'))
        self.assertLessEqual(closed, 50)
        self.assertGreater(closed, 1)


class OtherFileSystemTest(base.StoreTestCase):
    def test_when_mounted_below_the_root_then_it_is_an_error(self) -> None:
        self.store.put('a/x', [b'data'])
        self.store.close()
        store = self.open_store()

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            result = real(*args, **kwargs)
            if name == 'fstat':
                below = os.readlink(f'/proc/self/fd/{args[0]}')
                if below == self.path('a'):
                    fields = [*result]
                    fields[2] += 1
                    return os.stat_result(fields)
            return result

        with seam.intercepted(intercept):
            with self.assertRaisesRegex(errors.TargetError, 'another file'):
                store.get('a/x')
            with self.assertRaisesRegex(errors.TargetError, 'another file'):
                store.put('a/y', [b'data'])
            with self.assertRaisesRegex(errors.TargetError, 'another file'):
                [*store.list()]
        self.assertEqual(b'data', self.open_store().get('a/x'))
