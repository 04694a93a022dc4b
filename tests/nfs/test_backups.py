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

"""Backups on a share: as a service user, with root squashed."""

from __future__ import annotations

from tests.guest import inside
from tests.guest import machine
from tests.guest import root
from tests.nfs import kernel
from tests.nfs import server
from tests.nfs import stand

_MIB = 1024**2


class BackupsTest(stand.NfsStand):
    def live(self) -> None:
        """Make, verify, restore, delete backups; then collect."""
        contents = {}
        with self.connect() as kit:
            contents['first'] = self.fill('db01', 1, 4 * _MIB)
            first = kit.create_backup('local:db01')
            with (self.volumes / 'db01').open('r+b') as image:
                image.write(b'changed')
            contents['second'] = self.digest('db01')
            second = kit.create_backup('local:db01')
            self.assertEqual(first.backup_id, second.parent_id)
            self.assertLess(second.stored_bytes, _MIB)
            both = {first.backup_id, second.backup_id}
            self.assert_verified(kit, both, full=True)
            self.assert_contents(
                kit,
                {
                    first.backup_id: contents['first'],
                    second.backup_id: contents['second'],
                },
            )
            kit.delete_backup(first.backup_id)
            kit.collect_garbage()
            self.assert_contents(kit, {second.backup_id: contents['second']})
            self.assert_sound(kit)
            self.assert_nothing_left(kit)

    def assert_mounted(self, address: str, *options: str) -> None:
        """Check that the share is mounted once, and how."""
        (mounted,) = server.mounts()
        self.assertEqual(f'{address}:{self.directory}', mounted.source)
        # They are nobody's to leave out.
        expected = {'nosuid', 'nodev', 'noexec', *options}
        self.assertEqual(expected, expected & mounted.options)

    def lives_with(self, address: str, given: str, *options: str) -> None:
        self.configure(address, options=given)
        with self.connect() as kit:
            self.fill('db01', 1, _MIB)
            made = kit.create_backup('local:db01')
            self.assert_mounted(address, *options)
            self.assertEqual(
                self.digest('db01'), self.restored(kit, made.backup_id)
            )

    def test_when_backups_live_and_die_then_all_is_as_it_was(self) -> None:
        self.live()

    def test_when_files_are_made_then_their_modes_are_as_promised(
        self,
    ) -> None:
        with self.connect() as kit:
            self.fill('db01', 1, _MIB)
            kit.create_backup('local:db01')
        found = server.do(kernel.entries, self.directory)
        self.assertEqual(
            {
                ('file', 0o660, inside.UID, inside.UID),
                ('directory', 0o770, inside.UID, inside.UID),
            },
            {tuple(entry)[1:] for entry in found},
        )

    def test_when_root_writes_to_the_share_then_it_is_nobody(self) -> None:
        with self.connect() as kit:
            self.fill('db01', 1, _MIB)
            kit.create_backup('local:db01')
            (mounted,) = server.mounts()
            with self.assertRaisesRegex(root.RootError, 'PermissionError'):
                root.do(machine.write, f'{mounted.point}/by-root', '')

    def test_when_nfs_4_2_then_it_is_used(self) -> None:
        self.lives_with(kernel.ADDRESS, 'vers=4.2', 'vers=4.2')

    def test_when_nfs_4_1_then_it_is_used(self) -> None:
        self.lives_with(kernel.ADDRESS, 'vers=4.1', 'vers=4.1')

    def test_when_nfs_4_0_then_it_is_used(self) -> None:
        self.lives_with(kernel.ADDRESS, 'vers=4.0', 'vers=4.0')

    def test_when_nfs_3_then_it_is_used(self) -> None:
        self.lives_with(
            kernel.ADDRESS, 'vers=3,nolock', 'vers=3', 'local_lock=all'
        )

    def test_when_no_version_is_named_then_the_newest_is_used(self) -> None:
        self.lives_with(kernel.ADDRESS, '', 'vers=4.2')

    def test_when_the_share_has_an_ipv6_address_then_it_works(self) -> None:
        self.lives_with(f'[{kernel.ADDRESS6}]', 'vers=4.2', 'proto=tcp6')

    def test_when_the_share_has_a_host_name_then_it_works(self) -> None:
        self.lives_with(server.HOST, 'vers=4.2', f'addr={kernel.ADDRESS}')

    def test_when_options_are_given_then_the_kernel_has_them(self) -> None:
        self.lives_with(
            kernel.ADDRESS,
            'vers=4.1,rsize=65536,wsize=131072,timeo=150,retrans=3',
            *('vers=4.1', 'rsize=65536', 'wsize=131072', 'timeo=150'),
            'retrans=3',
        )
