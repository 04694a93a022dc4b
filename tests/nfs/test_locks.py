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

"""Locks that other hosts see, in the version of NFS that has none itself."""

from __future__ import annotations

import fcntl
import os

from backupkit import mounts
from backupkit.testing import sections
from tests.guest import root
from tests.nfs import kernel
from tests.nfs import locks
from tests.nfs import rights
from tests.nfs import server
from tests.nfs import stand

_MIB = 1024**2
_SECTION = 'target:test'


class LocksTest(stand.NfsStand):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for do in (root.do, server.do):
            cls.addClassCleanup(do, locks.end)
            do(locks.begin)

    def test_when_nfs_3_has_locks_then_backups_use_them(self) -> None:
        self.configure(options='vers=3')
        with self.connect() as kit:
            self.fill('db01', 1, 2 * _MIB)
            made = kit.create_backup('local:db01')
            (mounted,) = server.mounts()
            self.assertLessEqual(
                {'vers=3', 'local_lock=none'}, mounted.options
            )
            kit.collect_garbage()
            self.assert_contents(kit, {made.backup_id: self.digest('db01')})
            self.assert_nothing_left(kit)

    def test_when_a_file_is_locked_then_the_server_knows_it(self) -> None:
        for options in ('vers=3', 'vers=4.2'):
            with self.subTest(options):
                self.assert_lock_is_seen(options)
        self.assert_lock_is_seen('vers=3,nolock', seen=False)

    def assert_lock_is_seen(self, options: str, *, seen: bool = True) -> None:
        directory = server.do(kernel.make_directory, self.exported)
        given = {
            'backup_nfs_share': f'{kernel.ADDRESS}:{directory}',
            'backup_nfs_mount_options': options,
        }
        lines = '\n'.join(f'{name} = {value}' for name, value in given.items())
        rights.configure(f'[{_SECTION}]\n{lines}\n')
        section = sections.load_target('nfs', **given).section
        with mounts.mounted(_SECTION, section) as mount:
            fd = os.open(f'{mount.path}/file', os.O_RDWR | os.O_CREAT, 0o660)
            try:
                path = f'{directory}/file'
                self.assertFalse(server.do(locks.is_locked, path))
                fcntl.flock(fd, fcntl.LOCK_EX)
                self.assertEqual(seen, server.do(locks.is_locked, path))
                fcntl.flock(fd, fcntl.LOCK_UN)
                self.assertFalse(server.do(locks.is_locked, path))
            finally:
                os.close(fd)
        mounts.release()
