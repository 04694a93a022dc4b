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

"""What must hold of the target ``glusterfs``; a guest runs it."""

from __future__ import annotations

import unittest

from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import mounts
from backupkit.testing import exchange
from backupkit.testing import sections
from tests.conformance import vendors
from tests.long import far
from tests.long import far_stand
from tests.long import gluster_server
from tests.nfs import rights

_SHARE = f'{far.ADDRESS}:/{gluster_server.VOLUME}'
_SECTION = 'target:test'


def _section(**changed: str) -> dict[str, str]:
    return {
        'backup_glusterfs_share': _SHARE,
        'mount_timeout_seconds': '60',
        **changed,
    }


class GlusterfsCase(far_stand.FarStand):
    driver = 'glusterfs'
    filesystem = 'fuse.glusterfs'

    def setUp(self) -> None:
        far.do(gluster_server.empty)
        super().setUp()

    def section(self, **changed: str) -> dict[str, str]:
        return _section(**changed)

    def entries(self) -> list[far.Entry]:
        return far.do(gluster_server.entries)


class BackupsTest(GlusterfsCase):
    def test_when_backups_live_and_die_then_all_is_as_it_was(self) -> None:
        self.live()

    def test_when_files_are_made_then_their_modes_are_as_promised(
        self,
    ) -> None:
        self.assert_modes()

    def test_when_it_is_mounted_then_it_is_as_it_was_asked_for(self) -> None:
        self.assert_mounted(_SHARE)

    def test_when_the_share_has_a_host_name_then_it_works(self) -> None:
        share = f'{far.HOST}:/{gluster_server.VOLUME}'
        self.configure(backup_glusterfs_share=share)
        self.assert_mounted(share)

    def test_when_options_are_given_then_it_works(self) -> None:
        self.configure(
            backup_glusterfs_mount_options='log-level=WARNING,'
            'attribute-timeout=0,entry-timeout=0,direct-io-mode=enable,'
            f'backup-volfile-servers={far.HOST}:{far.NOBODY}'
        )
        self.assert_mounted(_SHARE)


class RefusalsTest(GlusterfsCase):
    def test_when_there_is_no_such_volume_then_that_is_told(self) -> None:
        self.configure(
            backup_glusterfs_share=f'{far.ADDRESS}:/none',
            mount_timeout_seconds='20',
        )
        self.refused(errors.TargetUnavailable, '/none', 20)

    def test_when_nobody_has_the_address_then_it_is_unavailable(
        self,
    ) -> None:
        self.configure(
            backup_glusterfs_share=f'{far.NOBODY}:/{gluster_server.VOLUME}',
            mount_timeout_seconds='5',
        )
        self.refused(errors.TargetUnavailable, far.NOBODY, 5)

    def test_when_the_server_is_silent_then_it_is_unavailable(self) -> None:
        far.pause()
        self.addCleanup(far.resume)
        self.configure(mount_timeout_seconds='5')
        self.refused(errors.TargetUnavailable, far.ADDRESS, 5)

    def test_when_an_option_is_not_allowed_then_it_is_named(self) -> None:
        self.configure(backup_glusterfs_mount_options='log-file=/etc/x')
        self.refused(errors.ConfigurationError, 'log-file', 0)


class ExchangeTest(exchange.ExchangeSuite, unittest.TestCase):
    """What ``glusterfs`` writes ``posix`` reads, and the other way round."""

    def setUp(self) -> None:
        far.do(gluster_server.empty)
        rights.configure(f'[{_SECTION}]\nbackup_glusterfs_share = {_SHARE}\n')
        self.addCleanup(mounts.release)
        super().setUp()

    def make_target(self) -> target_.Target:
        return sections.load_target(
            'glusterfs',
            backup_glusterfs_share=_SHARE,
            chunk_size_bytes=vendors.CHUNK_BYTES,
            pack_size_bytes=131072,
        )

    def make_other_target(self) -> target_.Target:
        held = mounts.mounted(
            _SECTION, self.make_target().section, 'glusterfs'
        )
        return sections.load_target(
            'posix',
            backup_posix_path=self.enterContext(held).path,
            chunk_size_bytes=vendors.CHUNK_BYTES,
            pack_size_bytes=131072,
        )
