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


"""What is particular to the driver ``nfs``: the share, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import os
import stat
import tempfile
from typing import Any
import unittest
from unittest import mock

from backupkit.drivers import patience
from backupkit import errors
from backupkit.testing.memory import catalog
from backupkit_plugins import share as share_
from backupkit_plugins.targets import nfs
from tests.conformance import shares
from tests.conformance import test_nfs_target


class NfsTestCase(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.share = shares.Share(self, holder.name)
        self.target = test_nfs_target.load()
        self.coordinator = catalog.MemoryCoordinator()


class ShareTest(NfsTestCase):
    def test_make_when_loaded_then_nothing_is_mounted(self) -> None:
        self.assertEqual(0, self.share.entered)

    def test_open_when_closed_then_the_share_is_left(self) -> None:
        store = self.target.open()
        store.put('a', [b'x'])
        self.assertEqual(1, self.share.users)
        store.close()
        store.close()
        self.assertEqual(0, self.share.users)
        self.assertEqual(['a'], os.listdir(self.share.directory))

    def test_open_when_the_root_is_not_the_mount_then_share_is_left(
        self,
    ) -> None:
        good = self.share.mount(shares.SHARE)
        # Another mount has come into its place.
        lost = dataclasses.replace(good, mount_id=good.mount_id + 1000000)
        mount = mock.Mock(return_value=lost)
        self.enterContext(mock.patch.object(self.share, 'mount', mount))
        with self.assertRaisesRegex(errors.TargetMissing, shares.SHARE):
            self.target.open()
        self.assertEqual(0, self.share.users)
        self.assertEqual([], os.listdir(good.path))

    def test_open_when_it_cannot_be_mounted_then_that_is_told(self) -> None:
        self.share.error = errors.TargetUnavailable('no answer from nas')
        for call in (
            self.target.open,
            self.target.check,
            self.target.storage_identity,
        ):
            with self.assertRaisesRegex(errors.TargetUnavailable, 'nas'):
                call()

    def test_check_when_mounted_then_nothing_is_written(self) -> None:
        self.assertTrue(self.target.check().store.put_if_absent)
        self.assertEqual([], os.listdir(self.share.directory))
        self.assertEqual(0, self.share.users)

    def test_options_when_named_as_in_cinder_then_known(self) -> None:
        names = {
            name
            for option in nfs.NfsTarget.get_options()
            for name in (
                option.dest,
                *(old.name for old in option.deprecated_opts),
            )
        }
        self.assertLessEqual(
            {
                'backup_nfs_share',
                'backup_share',
                'backup_nfs_mount_options',
                'backup_mount_options',
                'backup_mount_point_base',
                'backup_mount_attempts',
            },
            names,
        )

    def test_modes_when_made_then_as_promised(self) -> None:
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        self.target.prepare_repository(self.coordinator)
        for path, directories, files in os.walk(self.share.directory):
            for name in directories:
                mode = os.stat(os.path.join(path, name)).st_mode
                self.assertEqual(0o770, stat.S_IMODE(mode), name)
            for name in files:
                mode = os.stat(os.path.join(path, name)).st_mode
                self.assertEqual(0o660, stat.S_IMODE(mode), name)


class IdentityTest(NfsTestCase):
    def system(self) -> str:
        found = self.target.storage_identity()
        assert found is not None
        return found.system

    def path(self) -> str:
        return os.path.join(self.share.directory, share_.NAME)

    def test_identity_when_none_was_put_then_the_share_by_name(self) -> None:
        self.assertEqual(f'share-{shares.SHARE}', self.system())
        self.assertEqual([], os.listdir(self.share.directory))

    def test_identity_when_put_then_the_same_by_every_name(self) -> None:
        self.target.prepare_repository(self.coordinator)
        first = self.system()
        other = test_nfs_target.load(storage_pool='slow')
        self.assertRegex(first, 'share-[0-9a-f]{32}$')
        found = other.storage_identity()
        assert found is not None
        self.assertEqual((first, 'slow'), (found.system, found.pool))

    def test_identity_when_there_is_one_then_it_stays(self) -> None:
        self.target.prepare_repository(self.coordinator)
        first = self.system()
        self.target.prepare_repository(self.coordinator)
        root = os.open(self.share.directory, os.O_RDONLY)
        self.addCleanup(os.close, root)
        share_.put(root)
        self.assertEqual(first, self.system())
        hidden = [n for n in os.listdir(root) if n.startswith('.')]
        self.assertEqual([share_.NAME], hidden)

    def test_identity_when_it_is_no_id_then_the_share_by_name(self) -> None:
        outside = os.path.join(tempfile.gettempdir(), 'no-such-id')
        planted: dict[str, Callable[[], None]] = {
            'file': lambda: self.write(b'x' * 5000),
            'empty': lambda: self.write(b''),
            'fifo': lambda: os.mkfifo(self.path()),
        }
        for name, plant in planted.items():
            with self.subTest(name):
                plant()
                self.assertEqual(f'share-{shares.SHARE}', self.system())
                os.unlink(self.path())
        os.symlink(outside, self.path())
        with self.assertRaises(errors.TargetError):
            self.system()
        self.assertFalse(os.path.exists(outside))

    def write(self, data: bytes) -> None:
        with open(self.path(), 'wb') as file:
            file.write(data)

    def test_prepare_when_read_only_then_no_id_is_put(self) -> None:
        target = test_nfs_target.load(read_only=True)
        with self.assertRaises(errors.TargetReadOnly):
            target.prepare_repository(self.coordinator)
        self.assertEqual([], os.listdir(self.share.directory))


class RemarkTest(NfsTestCase):
    def cures(self, options: str) -> str:
        target = test_nfs_target.load(backup_nfs_mount_options=options)
        return ' '.join(remark.cure for remark in target.remarks())

    def test_remarks_when_hard_then_only_the_export_is_told(self) -> None:
        told = self.target.remarks()
        self.assertEqual([''], [remark.cure for remark in told])
        self.assertIn('"async"', told[0].text)
        self.assertEqual('', self.cures('hard,vers=4.2').strip())

    def test_remarks_when_soft_then_warned(self) -> None:
        for options in ('soft', 'vers=4.2,softerr', 'soft,timeo=10'):
            self.assertIn('softerr', self.cures(options))

    def test_remarks_when_locks_are_local_then_warned(self) -> None:
        for options in ('nolock', 'vers=3,local_lock=all'):
            self.assertIn('nolock', self.cures(options))


class AskedPatience(patience.Patience):
    """Notes what it is asked to wait for."""

    def __init__(self) -> None:
        super().__init__('test', 60.0)
        self.asked: list[str] = []

    def call(
        self, what: str, function: Callable[[], Any], **settings: Any
    ) -> Any:
        self.asked.append(what)
        return super().call(what, function, **settings)


class HangTest(NfsTestCase):
    def test_calls_when_the_share_hangs_then_each_has_its_time(self) -> None:
        self.target.patience = asked = AskedPatience()
        self.target.check()
        self.target.storage_identity()
        self.target.prepare_repository(self.coordinator)
        self.assertLessEqual(
            {
                'check',
                'read the storage id',
                'put the storage id',
                'open',
                'close',
            },
            set(asked.asked),
        )
