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

"""Volumes on a share: as a service user, with root squashed."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import random

from backupkit.copy import opening
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.testing import sections
from tests.functional import configuration
from tests.functional import guests
from tests.functional import nfs_volumes
from tests.guest import inside
from tests.nfs import kernel
from tests.nfs import rights
from tests.nfs import server
from tests.nfs import stand

_MIB = 1024**2
_SIZE = 4 * _MIB
_SECTIONS = """\
[backend:local]
driver = file
volumes_dir = {root}/volumes
[backend:nas]
driver = nfs
backup_nfs_share = {address}:{directory}
backup_nfs_mount_options = {options}
nfs_qcow2_volumes = {qcow2}
lock_timeout_seconds = 2
[target:repo]
driver = posix
backup_posix_path = {root}/repo
"""


class VolumesTest(stand.NfsStand):
    """The share is the place of the volumes, and not of the backups."""

    def configure(  # type: ignore[override] # of volumes, not of a target
        self, *, options: str = 'vers=4.2', qcow2: bool = False
    ) -> None:
        self.options = options
        (self.root / 'repo').mkdir(exist_ok=True)
        rights.configure(
            configuration.beginning(self.root, backends='nas, local')
            + _SECTIONS.format(
                root=self.root,
                address=kernel.ADDRESS,
                directory=self.directory,
                options=options,
                qcow2=qcow2,
            )
        )

    def driver(self, **options: str) -> volume_.VolumeDriver:
        """Return the driver of the backend, as another process has it."""
        return sections.load_volume_driver(
            'nfs',
            'nas',
            backup_nfs_share=f'{kernel.ADDRESS}:{self.directory}',
            backup_nfs_mount_options=self.options,
            lock_timeout_seconds=2,
            **options,
        )

    def put(
        self, driver: volume_.VolumeDriver, offset: int, data: bytes
    ) -> None:
        """Write to a volume as a restore does."""
        attachment = driver.attach_volume('v')
        writer = opening.open_writer(attachment, _SIZE, reads_zero=False)
        with contextlib.closing(writer):
            writer.write(offset, [bytearray(data)])
            writer.finish()
        driver.detach(attachment)

    def digest_of(
        self, driver: volume_.VolumeDriver, name: str = '', volume: str = 'v'
    ) -> str:
        """Return the digest of a volume or its snapshot."""
        taken = nfs_volumes.snapshot(volume, name) if name else None
        attachment = driver.attach(volume, taken)
        data = bytearray(attachment.size_bytes)
        with contextlib.closing(opening.open_reader(attachment)) as reader:
            reader.read_into(0, [data])
        driver.detach(attachment)
        return hashlib.sha256(data).hexdigest()

    def live(self) -> None:
        """Take snapshots, back up, delete in an order that mixes all."""
        chance = random.Random(1)
        held = {}
        with self.connect() as kit:
            driver = self.driver()
            kit.create_volume('nas:v', _SIZE)
            for name in ('s0', 's1', 's2', ''):
                offset = chance.randrange(_SIZE - _MIB)
                self.put(driver, offset, chance.randbytes(_MIB))
                held[name] = self.digest_of(driver)
                if name:
                    kit.create_snapshot('nas:v', name)
            kit.clone_volume('nas:v', 'nas:c', snapshot='s1')
            self.assertEqual(held['s1'], self.digest_of(driver, volume='c'))
            made = kit.create_backup('nas:v')
            for name in ('s1', 's2', 's0'):
                kit.delete_snapshot('nas:v', name)
                del held[name]
                for left, digest in held.items():
                    self.assertEqual(digest, self.digest_of(driver, left))
            self.put(driver, 0, b'changed')
            again = kit.create_backup('nas:v')
            self.assertEqual(made.backup_id, again.parent_id)
            self.assertEqual(held[''], self.restored(kit, made.backup_id))
            kit.restore_backup(made.backup_id, to='nas:v', overwrite=True)
            self.assertEqual(held[''], self.digest_of(driver))
            self.assert_modes()
            kit.delete_volume('nas:v')
            kit.delete_volume('nas:c')
        there = server.do(kernel.entries, self.directory)
        self.assertEqual(['.backupkit-storage'], [e.path for e in there])

    def assert_modes(self) -> None:
        """Check that all belongs to the service user and its group."""
        found = server.do(kernel.entries, self.directory)
        self.assertEqual(
            {('file', 0o660, inside.UID, inside.UID)},
            {tuple(entry)[1:] for entry in found},
        )

    def test_when_volumes_live_and_die_then_nothing_is_lost(self) -> None:
        self.live()

    def test_when_they_are_qcow2_then_the_same(self) -> None:
        self.configure(qcow2=True)
        self.live()

    def test_when_nfs_3_then_the_same(self) -> None:
        self.configure(options='vers=3,nolock')
        self.live()

    def test_when_another_works_on_a_volume_then_refused(self) -> None:
        with self.connect() as kit:
            one, other = self.driver(), self.driver()
            kit.create_volume('nas:v', _SIZE)
            attachment = one.attach_volume('v')
            self.assertTrue(other.show('v').in_use)
            with self.assertRaises(errors.InUse):
                other.attach_volume('v')
            with self.assertRaises(errors.InUse):
                other.snapshot('v', 'one')
            one.detach(attachment)
            self.assertFalse(other.show('v').in_use)
            other.snapshot('v', 'one')
            self.assertEqual(['one'], [s.name for s in one.snapshots('v')])
            self.put(one, 0, b'x' * 100_000)
            self.assertEqual(self.digest_of(one), self.digest_of(other))
            other.delete('v')
            with self.assertRaises(errors.VolumeNotFound):
                one.show('v')

    def test_when_a_guest_writes_then_it_goes_on(self) -> None:
        with self.connect() as kit:
            kit.create_volume('nas:v', _SIZE)
            idle = self.driver()
            attachment = idle.attach('v', None)
            self.addCleanup(idle.detach, attachment)
            directory = pathlib.Path(attachment.path).parent
            guest = guests.Guest(self, directory, idle.chain('v'))
            driver = self.driver(qmp_sockets=guest.monitor)
            writer = guests.Writer(guest, 100)
            writer.start()
            writer.wait_for(50)
            for turn in range(3):
                driver.snapshot('v', f's{turn}')
                writer.wait_for(20)
            for taken in driver.snapshots('v'):
                driver.delete_snapshot(taken)
                writer.wait_for(20)
            self.assertEqual(1, len(driver.chain('v')))
            written = writer.stop()
            guest.quit()
            attached = driver.attach('v', None)
            data = bytearray(_SIZE)
            with contextlib.closing(opening.open_reader(attached)) as reader:
                reader.read_into(0, [data])
            driver.detach(attached)
            self.assertEqual(written, guests.writes_in(bytes(data), 100))
