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

"""Shares of GlusterFS and SMB, mounted and unmounted on the stage."""

from __future__ import annotations

import os

from backupkit import errors
from backupkit.privileged import kinds
from backupkit.privileged import shares
from tests.unit.privileged import hostile
from tests.unit.privileged import stage

GLUSTERFS = """\
[target:gluster]
driver = glusterfs
backup_glusterfs_share = server:/volume
backup_glusterfs_mount_options = log-level=ERROR
"""
SMB = """\
[target:smb]
driver = smb
backup_smb_share = //server/share
backup_smb_mount_options = vers=3,uid=7
backup_smb_credentials = /etc/smb.credentials
"""
SECRET = 'pa,ss%"word'

_FUSE = '36 25 0:99 / %s rw,nosuid,nodev,noexec - fuse.glusterfs %s rw\\n'
_CIFS = '36 25 0:99 / %s rw,nosuid,nodev,noexec - cifs %s rw,vers=3.1.1\\n'


class OtherKindTest(stage.StageTest):
    def setUp(self) -> None:
        super().setUp()
        self.configure(GLUSTERFS + SMB)
        self.program('MOUNT', self.mounting(_FUSE))
        self.put_credentials(f'username=backup\npassword={SECRET}\n')
        path = shares.find('target:smb').path
        self.log_in(
            f'printf %s "$told" > {self.top}/told; '
            f'printf "{_CIFS}" {path} //server/share >> {self.table}'
        )

    def put_credentials(self, text: str, mode: int = 0o600) -> None:
        path = self.top / 'etc/smb.credentials'
        path.write_text(text)
        path.chmod(mode)

    def test_when_it_is_of_glusterfs_then_its_program_mounts_it(self) -> None:
        place = stage.mount('target:gluster', '')
        self.assertEqual(
            [
                *('MOUNT', '-t', 'glusterfs', '-o'),
                'log-level=ERROR,nosuid,nodev,noexec',
                *('--', 'server:/volume', place),
            ],
            self.lines(),
        )
        self.assertEqual(place, stage.mount('target:gluster', ''))
        self.assertTrue(stage.unmount('target:gluster'))
        self.assertEqual(0, self.mounted())

    def test_when_it_is_of_smb_then_the_password_is_on_no_line(self) -> None:
        place = stage.mount('target:smb', '')
        self.assertEqual(['LOG_IN', '-I'], self.lines())
        told = (self.top / 'told').read_text()
        self.assertIn('vers=3,uid=7,iocharset=utf8,nosuid,nodev,noexec', told)
        users = (self.top / f'{place[1:]}.users').read_text()
        self.assertEqual(
            'vers=3,uid=7;credentials=/etc/smb.credentials', users
        )
        self.assertEqual(place, stage.mount('target:smb', ''))
        self.assertTrue(stage.unmount('target:smb'))
        self.assertEqual(0, self.mounted())

    def test_when_the_credentials_are_not_roots_then_nothing_is_run(
        self,
    ) -> None:
        for mode in (0o644, 0o660, 0o602):
            self.put_credentials(f'username=x\npassword={SECRET}\n', mode)
            with self.assertRaises(errors.PrivilegeError) as caught:
                stage.mount('target:smb', '')
            self.assertNotIn('pa,ss', str(caught.exception))
        self.put_credentials(f'password={SECRET}\n')
        with self.assertRaises(errors.ConfigurationError) as told:
            stage.mount('target:smb', '')
        self.assertNotIn('pa,ss', str(told.exception))
        self.assertEqual([], self.lines())

    def test_when_the_wrong_type_is_mounted_then_it_is_taken_away(
        self,
    ) -> None:
        self.program('MOUNT', self.mounting(_CIFS))
        with self.assertRaisesRegex(errors.TargetMissing, 'cifs'):
            stage.mount('target:gluster', '')
        self.assertEqual(0, self.mounted())

    def test_when_a_version_is_asked_for_then_it_is_refused(self) -> None:
        for name in ('target:gluster', 'target:smb'):
            for version in ('3', '4.2', *hostile.VERSIONS):
                with self.assertRaises(errors.PrivilegeError):
                    stage.mount(name, version)
        self.assertEqual([], self.lines())


class FindTest(stage.StageTest):
    def test_when_a_section_has_a_share_then_its_kind_is_known(self) -> None:
        self.configure(
            stage.CONFIGURATION
            + SMB
            + GLUSTERFS.replace('backup_glusterfs_s', 'glusterfs_backup_s')
        )
        self.assertEqual(
            [kinds.NFS, kinds.GLUSTERFS, kinds.SMB],
            [
                shares.find(f'target:{name}').kind
                for name in ('share', 'gluster', 'smb')
            ],
        )
        self.assertEqual(
            '/etc/smb.credentials', shares.find('target:smb').credentials
        )

    def test_when_a_section_has_two_shares_then_it_is_refused(self) -> None:
        for line in (
            'backup_nfs_share = server:/x',
            'backup_share = server:/x',
            'backup_glusterfs_share = server:/x',
        ):
            self.configure(f'{SMB}{line}\n')
            with self.assertRaisesRegex(errors.ConfigurationError, 'only one'):
                shares.find('target:smb')

    def test_when_credentials_are_missing_then_that_is_told(self) -> None:
        self.configure(SMB.rpartition('backup_smb_cred')[0])
        with self.assertRaisesRegex(
            errors.ConfigurationError, 'backup_smb_credentials is missing'
        ):
            shares.find('target:smb')

    def test_when_one_share_is_used_in_two_ways_then_it_is_refused(
        self,
    ) -> None:
        other = SMB.replace('target:smb', 'target:too')
        for text in (
            SMB + other.replace('/etc/smb.credentials', '/etc/others'),
            SMB + other.replace('uid=7', 'uid=8'),
            # The same name for shares of two types.
            GLUSTERFS.replace('log-level=ERROR', 'ro')
            + '[target:smb]\nbackup_nfs_share = server:/volume\n'
            + 'backup_nfs_mount_options = ro\n',
        ):
            self.configure(text)
            with self.assertRaisesRegex(
                errors.ConfigurationError, 'different mount options'
            ):
                shares.find('target:smb')
        self.configure(SMB + other)
        self.assertEqual(shares.find('target:smb'), shares.find('target:too'))

    def test_when_shares_are_hostile_then_nothing_is_run(self) -> None:
        for kind, several in hostile.OTHER_SHARES.items():
            for share in several:
                if '\0' in share or not share.isprintable():
                    continue
                self.assert_refused(kind, f'backup_{kind}_share', share)

    def test_when_options_are_hostile_then_nothing_is_run(self) -> None:
        for kind, several in hostile.OTHER_OPTIONS.items():
            for options in several:
                if '\0' in options or not options.isprintable():
                    continue
                option = f'backup_{kind}_mount_options'
                self.assert_refused(kind, option, options)

    def test_when_credentials_are_hostile_then_nothing_is_run(self) -> None:
        for path in hostile.PATHS:
            if path.strip() and path.isprintable():
                self.assert_refused('smb', 'backup_smb_credentials', path)

    def assert_refused(self, kind: str, option: str, value: str) -> None:
        name, text = {
            'glusterfs': ('target:gluster', GLUSTERFS),
            'smb': ('target:smb', SMB),
        }[kind]
        lines = [line for line in text.splitlines() if option not in line]
        escaped = value.replace('$', '$$')
        lines.append(f'{option} = "{escaped}"')
        self.configure('\n'.join(lines) + '\n')
        with (
            self.subTest(kind=kind, value=value[:80]),
            self.assertRaises(
                (errors.ConfigurationError, errors.PrivilegeError)
            ),
        ):
            stage.mount(name, '')
        self.assertEqual([], self.lines())
        self.assertFalse(os.path.lexists(self.top / 'mounted'))
