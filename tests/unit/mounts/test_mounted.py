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

"""The client's side, with a privileged daemon that only pretends."""

from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import tempfile
import threading
import types
import unittest
from unittest import mock

from backupkit import errors
from backupkit import mounts
from backupkit.mounts import brick
from backupkit.mounts import calls
from backupkit.mounts import holding
from backupkit.mounts import share as share_
from backupkit.privileged import mountinfo

# After ours, which keeps eventlet out of it.
from os_brick import exception
from os_brick.remotefs import remotefs

SHARE = 'server:/export'
NAME = 'target:share'


class ClientTest(unittest.TestCase):
    """A directory to mount below, and a table of mounts that is a file."""

    def setUp(self) -> None:
        super().setUp()
        self.base = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.base)
        self.table = self.base / 'mountinfo'
        self.table.write_text('')
        self.section = types.SimpleNamespace(
            backup_nfs_share=SHARE,
            backup_nfs_mount_options='hard',
            backup_mount_point_base=str(self.base),
            backup_mount_attempts=3,
            mount_timeout_seconds=5,
        )
        self.path: str = remotefs.RemoteFsClient(
            'nfs', None, nfs_mount_point_base=str(self.base)
        ).get_mount_point(SHARE)
        self.replace(mountinfo, 'MOUNTINFO', str(self.table))
        self.replace(holding, 'LINGER_SECONDS', 0)
        self.replace(brick, '_PAUSE_SECONDS', 0)
        self.replace(holding, '_holds', {})
        # Each call of the daemon as (name, version or None).
        self.asked: list[tuple[str, str | None]] = []
        #: What the next mounts fail with, one after the other.
        self.failures: list[errors.BackupkitError] = []
        self.replace(calls, 'mount', self.mount)
        self.replace(calls, 'unmount', self.unmount)
        # Before the pretence ends: what was left is given back a bit later.
        self.addCleanup(self.settle)

    def replace(self, place: object, name: str, value: object) -> None:
        patch = mock.patch.object(place, name, value)
        patch.start()
        self.addCleanup(patch.stop)

    def mount(self, name: str, version: str) -> str:
        self.asked.append((name, version))
        if self.failures:
            raise self.failures.pop(0)
        self.put_mount()
        return self.path

    def put_mount(self, source: str = SHARE, number: int = 36) -> None:
        pathlib.Path(f'{self.path}.users').write_text(
            self.section.backup_nfs_mount_options
        )
        self.table.write_text(
            f'{number} 25 0:99 / {self.path} rw,nosuid,nodev,noexec - nfs4 '
            f'{source} rw,vers=4.2\n'
        )

    def unmount(self, name: str) -> bool:
        self.asked.append((name, None))
        with open(f'{self.path}.users') as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self.table.write_text('')
        return True

    def settle(self) -> None:
        """Wait until what was left is given back."""
        for hold in holding._holds.values():
            timer = hold._timer
            if timer is not None:
                timer.join()
        holding.release()


class MountedTest(ClientTest):
    def test_when_it_is_not_mounted_then_it_is_for_a_while(self) -> None:
        with mounts.mounted(NAME, self.section) as mount:
            self.assertEqual(
                mounts.Mount(self.path, os.makedev(0, 99), 36, SHARE, '4.2'),
                mount,
            )
        self.settle()
        self.assertEqual([(NAME, '4.2'), (NAME, None)], self.asked)
        self.assertEqual('', self.table.read_text())

    def test_when_it_is_mounted_then_no_daemon_is_asked(self) -> None:
        self.put_mount()
        with open(f'{self.path}.users') as other:
            fcntl.flock(other, fcntl.LOCK_SH)
            with mounts.mounted(NAME, self.section) as mount:
                self.assertEqual(SHARE, mount.source)
            self.settle()
            self.assertEqual([], self.asked)
        self.assertNotEqual('', self.table.read_text())

    def test_when_it_is_entered_again_then_one_mount_serves_all(self) -> None:
        self.replace(holding, 'LINGER_SECONDS', 600)
        for _number in range(3):
            with (
                mounts.mounted(NAME, self.section),
                mounts.mounted(NAME, self.section),
            ):
                self.assertNotEqual('', self.table.read_text())
        self.assertEqual([(NAME, '4.2')], self.asked)
        mounts.release()
        self.assertEqual([(NAME, '4.2'), (NAME, None)], self.asked)

    def test_when_it_is_in_use_then_release_leaves_it(self) -> None:
        with mounts.mounted(NAME, self.section):
            mounts.release()
            self.assertEqual(1, len(self.asked))

    def test_when_another_thread_leaves_then_it_is_given_back(self) -> None:
        context = mounts.mounted(NAME, self.section)
        context.__enter__()
        thread = threading.Thread(
            target=context.__exit__, args=(None, None, None)
        )
        thread.start()
        thread.join()
        self.settle()
        self.assertEqual('', self.table.read_text())

    def test_when_the_block_fails_then_it_is_given_back(self) -> None:
        with (
            self.assertRaisesRegex(KeyError, 'own'),
            mounts.mounted(NAME, self.section),
        ):
            raise KeyError('own')
        self.settle()
        self.assertEqual('', self.table.read_text())

    def test_when_something_else_is_mounted_then_it_is_refused(self) -> None:
        self.put_mount('other:/export')
        with (
            self.assertRaisesRegex(errors.TargetMissing, 'other:/export'),
            mounts.mounted(NAME, self.section),
        ):
            self.fail('it was entered')
        self.assertEqual([], self.asked)

    def test_when_the_mount_in_use_is_lost_then_that_is_an_error(self) -> None:
        with mounts.mounted(NAME, self.section):
            self.table.write_text('')
            with (
                self.assertRaisesRegex(errors.TargetMissing, 'is lost'),
                mounts.mounted(NAME, self.section),
            ):
                self.fail('it was entered')

    def test_when_an_idle_mount_is_lost_then_it_is_mounted_anew(self) -> None:
        self.replace(holding, 'LINGER_SECONDS', 600)
        with mounts.mounted(NAME, self.section):
            pass
        self.table.write_text('')
        with mounts.mounted(NAME, self.section):
            self.assertNotEqual('', self.table.read_text())
        mounts.release()
        self.assertEqual(2, self.asked.count((NAME, '4.2')))

    def test_when_options_differ_then_it_is_refused(self) -> None:
        other = types.SimpleNamespace(**vars(self.section))
        other.backup_nfs_mount_options = 'soft'
        with (
            mounts.mounted(NAME, self.section),
            self.assertRaisesRegex(errors.ConfigurationError, "'hard'"),
            mounts.mounted('target:other', other),
        ):
            self.fail('it was entered')
        self.settle()
        holding._holds.clear()
        self.put_mount()
        with (
            self.assertRaisesRegex(errors.ConfigurationError, "'hard'"),
            mounts.mounted('target:other', other),
        ):
            self.fail('it was entered')

    def test_when_a_section_is_wrong_then_no_daemon_is_asked(self) -> None:
        for option, value in (
            ('backup_nfs_share', None),
            ('backup_nfs_share', 'server'),
            ('backup_nfs_mount_options', 'suid'),
        ):
            section = types.SimpleNamespace(
                **{**vars(self.section), option: value}
            )
            with (
                self.assertRaisesRegex(
                    errors.ConfigurationError, r'\[target:share\]'
                ),
                mounts.mounted(NAME, section),
            ):
                self.fail('it was entered')
        self.assertEqual([], self.asked)

    def test_when_it_is_about_to_be_unmounted_then_that_is_waited_for(
        self,
    ) -> None:
        self.section.mount_timeout_seconds = 0.2
        self.put_mount()
        with open(f'{self.path}.users') as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with (
                self.assertRaisesRegex(errors.TargetUnavailable, 'about to'),
                mounts.mounted(NAME, self.section),
            ):
                self.fail('it was entered')
        with mounts.mounted(NAME, self.section):
            pass

    def test_when_the_daemons_directory_is_closed_then_that_is_told(
        self,
    ) -> None:
        with (
            mock.patch.object(
                os, 'open', side_effect=PermissionError(13, 'x'), autospec=True
            ),
            self.assertRaisesRegex(errors.PrivilegeError, 'group'),
            mounts.mounted(NAME, self.section),
        ):
            self.fail('it was entered')

    def test_when_no_mount_is_to_be_seen_then_it_gives_up(self) -> None:
        self.replace(calls, 'mount', mock.Mock(return_value=self.path))
        with (
            self.assertRaisesRegex(errors.PrivilegeError, 'namespace'),
            mounts.mounted(NAME, self.section),
        ):
            self.fail('it was entered')

    def test_when_it_cannot_be_unmounted_then_it_stays(self) -> None:
        self.replace(
            calls, 'unmount', mock.Mock(side_effect=errors.PrivilegeError('x'))
        )
        with self.assertLogs('backupkit.mounts.holding', 'WARNING') as logged:
            with mounts.mounted(NAME, self.section):
                pass
            self.settle()
        self.assertIn('stays mounted: x', logged.output[-1])

    def test_when_all_is_done_then_no_descriptor_is_left(self) -> None:
        before = len(os.listdir('/proc/self/fd'))
        for _number in range(5):
            with mounts.mounted(NAME, self.section):
                pass
            self.settle()
        self.put_mount('other:/export')
        with (
            self.assertRaises(errors.TargetMissing),
            mounts.mounted(NAME, self.section),
        ):
            self.fail('it was entered')
        self.assertEqual(before, len(os.listdir('/proc/self/fd')))


class OtherKindsTest(ClientTest):
    """Shares of other types, which have no versions to choose from."""

    def mount_one(self, kind: str, source: str, **more: str) -> str:
        settings = vars(self.section) | {
            f'backup_{kind}_share': source,
            f'backup_{kind}_mount_options': 'ro',
            **more,
        }
        section = types.SimpleNamespace(**settings)
        share = share_.read(NAME, section, kind)
        self.path = share.path
        users = pathlib.Path(f'{self.path}.users')
        (name,) = share.kind.filesystems

        def put(source: str = source, number: int = 36) -> None:
            users.write_text(share.terms)
            self.table.write_text(
                f'{number} 25 0:99 / {self.path} rw,nosuid,nodev,noexec - '
                f'{name} {source} rw\n'
            )

        self.replace(self, 'put_mount', put)
        with mounts.mounted(NAME, section, kind) as mount:
            self.assertEqual((self.path, source), (mount.path, mount.source))
        self.settle()
        return share.terms

    def test_when_it_is_of_glusterfs_then_it_is_mounted_once(self) -> None:
        self.assertEqual('ro', self.mount_one('glusterfs', 'server:/volume'))
        self.assertEqual([(NAME, ''), (NAME, None)], self.asked)

    def test_when_it_is_of_smb_then_it_is_mounted_once(self) -> None:
        terms = self.mount_one(
            'smb', '//server/share', backup_smb_credentials='/etc/smb'
        )
        self.assertEqual('ro;credentials=/etc/smb', terms)
        self.assertEqual([(NAME, ''), (NAME, None)], self.asked)

    def test_when_its_server_is_away_then_it_is_tried_again(self) -> None:
        self.failures = [errors.TargetUnavailable('away')]
        self.mount_one('glusterfs', 'server:/volume')
        self.assertEqual([(NAME, '')] * 2 + [(NAME, None)], self.asked)

    def test_when_it_has_no_credentials_then_that_is_told(self) -> None:
        with self.assertRaisesRegex(
            errors.ConfigurationError,
            r'\[target:share\]: backup_smb_credentials is missing',
        ):
            self.mount_one('smb', '//server/share', backup_smb_credentials='')
        self.assertEqual([], self.asked)


class CheckTest(unittest.TestCase):
    def test_when_a_descriptor_lies_elsewhere_then_it_is_refused(self) -> None:
        entry = mountinfo.at('/proc')
        assert entry is not None
        mount = mounts.Mount('/proc', entry.device, entry.mount_id, 'p', '')
        inside = os.open('/proc', os.O_RDONLY)
        self.addCleanup(os.close, inside)
        outside = os.open('/', os.O_RDONLY)
        self.addCleanup(os.close, outside)
        mount.check(inside)
        with self.assertRaises(errors.TargetMissing):
            mount.check(outside)


class VersionTest(ClientTest):
    def enter(self) -> None:
        with mounts.mounted(NAME, self.section):
            pass
        self.settle()

    def versions(self) -> list[str]:
        return [
            version for _name, version in self.asked if version is not None
        ]

    def test_when_the_server_knows_no_new_version_then_older_are_tried(
        self,
    ) -> None:
        for options in ('hard', ''):
            self.asked.clear()
            self.section.backup_nfs_mount_options = options
            self.failures = [
                errors.NotSupported('no'),
                errors.NotSupported('no'),
            ]
            self.enter()
            self.assertEqual(['4.2', '4.1', ''], self.versions())

    def test_when_the_options_name_a_version_then_only_that_is_tried(
        self,
    ) -> None:
        for options in ('vers=3', 'hard,nfsvers=4.1', 'vers=4,minorversion=1'):
            self.asked.clear()
            self.section.backup_nfs_mount_options = options
            self.enter()
            self.assertEqual([''], self.versions())

    def test_when_the_server_denies_it_then_nothing_else_is_tried(
        self,
    ) -> None:
        self.failures = [errors.TargetMissing('denied')]
        with self.assertRaisesRegex(errors.TargetMissing, 'denied'):
            self.enter()
        self.assertEqual(['4.2'], self.versions())

    def test_when_the_first_real_error_comes_late_then_it_is_told(
        self,
    ) -> None:
        self.failures = [
            errors.NotSupported('no'),
            errors.TargetMissing('yes'),
        ]
        with self.assertRaisesRegex(errors.TargetMissing, 'yes'):
            self.enter()
        self.assertEqual(['4.2', '4.1'], self.versions())

    def test_when_the_server_is_away_then_it_is_tried_again(self) -> None:
        self.failures = [
            errors.TargetUnavailable('first'),
            errors.TargetUnavailable('second'),
        ]
        self.enter()
        self.assertEqual(['4.2', '4.2', '4.2'], self.versions())

    def test_when_it_stays_away_then_the_first_error_is_told(self) -> None:
        self.failures = [
            errors.TargetUnavailable(str(number)) for number in range(9)
        ]
        with self.assertRaisesRegex(errors.TargetUnavailable, '0'):
            self.enter()
        self.assertEqual(['4.2'] * 3, self.versions())

    def test_when_no_version_is_known_then_the_server_may_be_down(
        self,
    ) -> None:
        self.section.backup_mount_attempts = 1
        self.failures = [errors.NotSupported('none')] * 3
        with self.assertRaisesRegex(errors.TargetUnavailable, 'none'):
            self.enter()

    def test_when_the_time_is_over_then_no_more_is_tried(self) -> None:
        self.section.mount_timeout_seconds = -1
        with self.assertRaisesRegex(errors.TargetUnavailable, 'within'):
            self.enter()
        self.assertEqual([], self.versions())

    def test_when_the_daemon_mounts_elsewhere_then_it_is_refused(self) -> None:
        pathlib.Path(f'{self.path}.users').write_text('')
        self.replace(calls, 'mount', mock.Mock(return_value='/elsewhere'))
        with self.assertRaisesRegex(errors.ConfigurationError, '/elsewhere'):
            self.enter()
        self.assertEqual([(NAME, None)], self.asked)

    def test_when_os_brick_asks_for_more_then_it_is_refused(self) -> None:
        share = share_.read(NAME, self.section, 'nfs')
        executor = brick._Executor(share, float('inf'))
        head = ('mount', '-t', 'nfs', '-o')
        for words in (
            ('rm', '-rf', '/'),
            ('mkdir', '-p', '/etc'),
            (*head, 'hard,suid', SHARE, self.path),
            (*head, 'hard', SHARE, '/etc'),
            (*head, 'hard', 'evil:/x', self.path),
            (*head, 'hard', SHARE, self.path, '-v'),
            ('mount', '-t', 'nfs', SHARE, self.path),
        ):
            with (
                self.subTest(words=words),
                self.assertRaises(exception.BrickException),
            ):
                executor(*words)
        self.assertEqual([], self.asked)
