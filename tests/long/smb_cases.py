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

"""What must hold of the target ``smb``; a guest runs it."""

from __future__ import annotations

import unittest

from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import mounts
from backupkit.testing import exchange
from backupkit.testing import sections
from tests.conformance import vendors
from tests.guest import inside
from tests.long import far
from tests.long import far_stand
from tests.long import smb_server
from tests.nfs import rights

_SHARE = f'//{far.ADDRESS}/{smb_server.SHARE}'
_OPTIONS = (
    f'uid={inside.UID},gid={inside.UID},file_mode=0660,dir_mode=0770,hard'
)
_SECTION = 'target:test'


def _section(**changed: str) -> dict[str, str]:
    return {
        'backup_smb_share': _SHARE,
        'backup_smb_mount_options': _OPTIONS,
        'backup_smb_credentials': smb_server.CREDENTIALS,
        'mount_timeout_seconds': '30',
        **changed,
    }


class SmbCase(far_stand.FarStand):
    driver = 'smb'
    filesystem = 'cifs'

    def setUp(self) -> None:
        smb_server.give_credentials()
        far.do(smb_server.empty)
        super().setUp()

    def section(self, **changed: str) -> dict[str, str]:
        return _section(**changed)

    def entries(self) -> list[far.Entry]:
        return far.do(smb_server.entries)


class BackupsTest(SmbCase):
    def test_when_backups_live_and_die_then_all_is_as_it_was(self) -> None:
        self.live()

    def test_when_files_are_made_then_their_modes_are_as_promised(
        self,
    ) -> None:
        self.assert_modes()

    def test_when_nothing_is_said_then_the_newest_version_is_used(
        self,
    ) -> None:
        self.assert_mounted(_SHARE, 'vers=3.1.1', f'uid={inside.UID}', 'hard')

    def test_when_the_share_has_a_host_name_then_it_works(self) -> None:
        share = f'//{far.HOST}/{smb_server.SHARE}'
        self.configure(backup_smb_share=share)
        self.assert_mounted(share, f'addr={far.ADDRESS}')

    def test_when_it_is_encrypted_then_it_works(self) -> None:
        self.configure(backup_smb_mount_options=f'{_OPTIONS},seal')
        self.assert_mounted(_SHARE, 'seal')

    def test_when_an_old_version_is_asked_for_then_it_is_used(self) -> None:
        self.configure(backup_smb_mount_options=f'{_OPTIONS},vers=2.1')
        self.assert_mounted(_SHARE, 'vers=2.1')

    def test_when_it_is_mounted_then_the_kernel_tells_no_password(
        self,
    ) -> None:
        self.assert_mounted(_SHARE, f'username={inside.USER}')
        with open('/proc/self/mountinfo') as table:
            self.assertNotIn(smb_server.PASSWORD[:3], table.read())


class RefusalsTest(SmbCase):
    def test_when_the_password_is_wrong_then_that_is_told(self) -> None:
        smb_server.give_credentials('wrong-secret')
        told = self.refused(errors.TargetMissing, 'Permission denied', 30)
        self.assertNotIn('wrong-secret', told)

    def test_when_there_is_no_such_share_then_that_is_told(self) -> None:
        self.configure(backup_smb_share=f'//{far.ADDRESS}/none')
        self.refused(errors.TargetMissing, '//192.0.2.2/none', 30)

    def test_when_nobody_has_the_address_then_it_is_unavailable(
        self,
    ) -> None:
        self.configure(
            backup_smb_share=f'//{far.NOBODY}/{smb_server.SHARE}',
            mount_timeout_seconds='5',
        )
        self.refused(errors.TargetUnavailable, far.NOBODY, 5)

    def test_when_nobody_serves_then_it_is_unavailable(self) -> None:
        far.do(smb_server.stop)
        self.addCleanup(far.do, smb_server.start)
        self.configure(mount_timeout_seconds='5')
        self.refused(errors.TargetUnavailable, far.ADDRESS, 5)

    def test_when_the_server_is_silent_then_it_is_unavailable(self) -> None:
        far.pause()
        self.addCleanup(far.resume)
        self.configure(mount_timeout_seconds='5')
        self.refused(errors.TargetUnavailable, far.ADDRESS, 5)

    def test_when_an_option_is_not_allowed_then_it_is_named(self) -> None:
        self.configure(backup_smb_mount_options='vers=3,username=root')
        self.refused(errors.ConfigurationError, 'username', 0)


class ExchangeTest(exchange.ExchangeSuite, unittest.TestCase):
    """What ``smb`` writes ``posix`` reads, and the other way round."""

    def setUp(self) -> None:
        smb_server.give_credentials()
        far.do(smb_server.empty)
        lines = [f'{name} = {value}' for name, value in _section().items()]
        text = '\n'.join(lines)
        rights.configure(f'[{_SECTION}]\n{text}\n')
        self.addCleanup(mounts.release)
        super().setUp()

    def make_target(self) -> target_.Target:
        return sections.load_target(
            'smb',
            **_section(),
            chunk_size_bytes=vendors.CHUNK_BYTES,
            pack_size_bytes=131072,
        )

    def make_other_target(self) -> target_.Target:
        held = mounts.mounted(_SECTION, self.make_target().section, 'smb')
        return sections.load_target(
            'posix',
            backup_posix_path=self.enterContext(held).path,
            chunk_size_bytes=vendors.CHUNK_BYTES,
            pack_size_bytes=131072,
        )
