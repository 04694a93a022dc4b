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

"""What is particular to the driver ``glusterfs``."""

from __future__ import annotations

import tempfile
import unittest

from backupkit.testing.memory import catalog
from backupkit_plugins.targets import glusterfs
from tests.conformance import shares
from tests.conformance import test_glusterfs_target


class GlusterfsTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.share = shares.Share(self, holder.name)

    def cures(self, options: str | None) -> str:
        target = test_glusterfs_target.load(
            backup_glusterfs_mount_options=options
        )
        return '|'.join(remark.cure for remark in target.remarks())

    def test_make_when_loaded_then_nothing_is_mounted(self) -> None:
        test_glusterfs_target.load()
        self.assertEqual(0, self.share.entered)

    def test_identity_when_none_was_put_then_the_share_by_name(self) -> None:
        target = test_glusterfs_target.load(storage_pool='slow')
        found = target.storage_identity()
        assert found is not None
        self.assertEqual(
            (f'share-{test_glusterfs_target.SHARE}', 'slow'),
            (found.system, found.pool),
        )
        target.prepare_repository(catalog.MemoryCoordinator())
        found = target.storage_identity()
        assert found is not None
        self.assertRegex(found.system, 'share-[0-9a-f]{32}$')
        self.assertEqual(0, self.share.users)

    def test_options_when_named_then_no_other_type_is_among_them(self) -> None:
        names = {
            option.dest for option in glusterfs.GlusterfsTarget.get_options()
        }
        self.assertIn('backup_glusterfs_share', names)
        self.assertIn('backup_mount_point_base', names)
        self.assertFalse({'backup_nfs_share', 'backup_smb_share'} & names)

    def test_remarks_when_one_server_is_named_then_others_are_asked_for(
        self,
    ) -> None:
        for options in (None, 'log-level=ERROR'):
            self.assertIn('backup-volfile-servers', self.cures(options))
        self.assertEqual('', self.cures('ro,backup-volfile-servers=s2'))
