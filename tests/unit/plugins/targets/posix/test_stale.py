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


"""What was open is stale: a file server removed it, or exports it anew."""

from __future__ import annotations

from collections.abc import Callable
import errno
import os
from typing import Any
import unittest
from unittest import mock

from backupkit import errors
from backupkit_plugins.targets.posix import fsops
from backupkit_plugins.targets.posix import publishing
from backupkit_plugins.targets.posix import store as store_
from tests.unit.crash import seam
from tests.unit.plugins.targets.posix import base

_DATA = b'data of an object'
_NAME = base.PACK

#: What nobody hears of that fails: nothing depends on it.
_UNHEARD = frozenset({'close', 'unlink', 'fstatvfs', 'drop_pages', 'rmdir'})


class StaleTest(base.StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store.put('config', [_DATA])

    def each(
        self, action: Callable[[], object], *, late: bool = False
    ) -> None:
        """Let each call of an action be stale once; it must not be seen."""

        def fault(name: str, real: Callable[[], Any]) -> Any:
            if late or name in _UNHEARD:
                real()
            if name in _UNHEARD:
                return None
            raise OSError(errno.ESTALE, 'Stale file handle')

        number = 0
        calls: list[str] = ['']
        while len(calls) > number:
            number += 1
            self.store.close()
            self.store = self.open_store()
            with (
                base.at_call(number, fault) as calls,
                self.subTest(call=number, late=late),
            ):
                action()

    def put(self) -> None:
        self.store.put(_NAME, [_DATA])
        self.assertEqual(_DATA, self.open_store().get(_NAME))
        self.open_store().delete(_NAME)

    def test_put_when_a_call_is_stale_once_then_succeeds(self) -> None:
        self.each(self.put)

    def test_put_when_stale_behind_a_call_then_it_is_ours(self) -> None:
        self.each(self.put, late=True)

    def test_get_when_a_call_is_stale_once_then_exact(self) -> None:
        buffer = bytearray(len(_DATA))

        def get() -> None:
            self.assertEqual(_DATA, self.store.get('config'))
            buffer[:] = bytes(len(_DATA))
            self.store.get_into('config', 0, [buffer])
            self.assertEqual(_DATA, buffer)
            self.assertEqual(len(_DATA), self.store.stat('config').size_bytes)

        self.each(get)

    def test_delete_when_a_call_is_stale_once_then_gone(self) -> None:
        other = store_.PosixStore(self.root)
        self.addCleanup(other.close)

        def delete() -> None:
            other.put(_NAME, [_DATA])
            self.store.delete(_NAME)
            self.assertEqual(['config'], self.names())

        self.each(delete)

    def test_list_when_a_call_is_stale_once_then_complete(self) -> None:
        self.store.put(_NAME, [_DATA])
        self.each(
            lambda: self.assertEqual(sorted((_NAME, 'config')), self.names())
        )

    def test_call_when_always_stale_then_opened_three_times_more(
        self,
    ) -> None:
        opened = 0

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            nonlocal opened
            if name in ('open_file', 'lstat', 'create', 'listdir'):
                raise OSError(errno.ESTALE, 'Stale file handle')
            opened += name == 'open_root'
            return real(*args, **kwargs)

        calls: list[Callable[[], object]] = [
            lambda: self.store.get('config'),
            lambda: self.store.stat('config'),
            lambda: self.store.get_into('config', 0, [bytearray(1)]),
            self.names,
        ]
        with seam.intercepted(intercept):
            for call in calls:
                opened = 0
                with self.assertRaisesRegex(errors.TargetMissing, 'Stale'):
                    call()
                self.assertEqual(3, opened)
            with self.assertRaisesRegex(errors.TargetMissing, 'Stale'):
                self.store.put('other', [b''])

    def test_call_when_another_file_system_came_then_refused(self) -> None:
        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            result = real(*args, **kwargs)
            if name == 'fstat':
                fields = [*result]
                fields[2] += 1
                return os.stat_result(fields)
            return result

        def fault(name: str, real: Callable[[], Any]) -> Any:
            if name == 'open_file':
                raise OSError(errno.ESTALE, 'Stale file handle')
            return real()

        self.store.stat('config')
        with (
            base.at_call(1, fault),
            seam.intercepted(intercept),
            self.assertRaisesRegex(errors.TargetMissing, 'mount was'),
        ):
            self.store.get('config')
        self.assertEqual(['config'], sorted(os.listdir(self.root)))


class OurOwnTest(unittest.TestCase):
    """The file that a lost reply was about."""

    def test_put_when_another_took_the_name_then_it_is_not_ours(
        self,
    ) -> None:
        mine = os.stat_result([0o100660, 7, 1, 1, 0, 0, 4, 0, 5, 0])
        theirs = os.stat_result([0o100660, 8, 1, 1, 0, 0, 4, 0, 5, 0])
        again = os.stat_result([0o100660, 7, 1, 1, 0, 0, 9, 0, 6, 0])
        self.assertTrue(publishing.is_same(mine, mine))
        for other in (theirs, again, None):
            self.assertFalse(publishing.is_same(mine, other))


class RootTest(base.StoreTestCase):
    """A root that is expected to be a certain mount."""

    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.root)
        self.lost = False
        self.checks = 0
        self.store = store_.PosixStore(self.root, self.check)
        self.addCleanup(self.store.close)

    def check(self, fd: int) -> None:
        self.checks += 1
        self.assertTrue(os.path.samestat(os.fstat(fd), os.stat(self.root)))
        if self.lost:
            raise errors.TargetMissing('nas:/a is not mounted any more')

    def test_open_when_not_the_mount_then_refused(self) -> None:
        self.lost = True
        with self.assertRaisesRegex(errors.TargetMissing, 'nas:/a'):
            store_.PosixStore(self.root, self.check)

    def test_call_when_the_mount_is_lost_then_nothing_is_written(
        self,
    ) -> None:
        self.store.put('a', [_DATA])
        self.lost = True

        def fault(name: str, real: Callable[[], Any]) -> Any:
            raise OSError(errno.ESTALE, 'Stale file handle')

        with (
            base.at_call(1, fault),
            self.assertRaisesRegex(errors.TargetMissing, 'nas:/a'),
        ):
            self.store.put('b', [_DATA])
        self.assertEqual(['a'], os.listdir(self.root))

    def test_call_when_nothing_is_stale_then_checked_once(self) -> None:
        self.store.put('a/b', [_DATA])
        self.assertEqual(_DATA, self.store.get('a/b'))
        self.assertEqual(1, self.checks)

    def test_stat_when_absent_then_the_server_is_asked_anew(self) -> None:
        opened = 0

        def intercept(
            name: str, real: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            nonlocal opened
            opened += name == 'open_root'
            return real(*args, **kwargs)

        with (
            seam.intercepted(intercept),
            self.assertRaises(errors.ObjectNotFound),
        ):
            self.store.stat('a/b')
        self.assertEqual(1, opened)


class AccessTest(base.StoreTestCase):
    def refused(self, uid: int) -> str:
        """Return what a user is told who may not write here."""
        os.mkdir(self.root)
        os.chmod(self.root, 0o755)
        self.enterContext(
            mock.patch.object(os, 'geteuid', autospec=True, return_value=uid)
        )
        self.enterContext(
            mock.patch.object(
                fsops, 'access', autospec=True, return_value=False
            )
        )
        with self.assertRaises(errors.TargetError) as raised:
            self.store.check_access(write=True)
        return str(raised.exception)

    def test_check_when_the_owner_does_not_fit_then_all_is_told(self) -> None:
        told = self.refused(54321)
        self.assertIn(f'cannot use {self.root}: ', told)
        owner = os.stat(self.root)
        self.assertIn(
            f'owned by uid {owner.st_uid}, gid {owner.st_gid} with mode 0755',
            told,
        )
        self.assertIn('this process has uid 54321 and gid', told)
        self.assertIn('let uid 54321 own it', told)

    def test_check_when_root_is_refused_then_told_of_squashing(self) -> None:
        self.assertIn('take root for nobody', self.refused(0))

    def test_check_when_it_may_then_nothing_is_made(self) -> None:
        self.store.check_access(write=True)
        self.assertFalse(os.path.exists(self.root))
        os.mkdir(self.root)
        self.store.check_access(write=True)
        self.assertEqual([], os.listdir(self.root))
