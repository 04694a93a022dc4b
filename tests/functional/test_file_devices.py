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


"""The driver ``file`` and block devices, and QEMU's way to open files."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest

from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit.testing import sections
from tests.functional import filesystems

_SIZE = 16 << 20


class DeviceTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.device, self.image = filesystems.loop_device(
            self.addCleanup, _SIZE
        )
        self.driver = self._driver(self.device)

    def _driver(self, devices: str) -> volume.VolumeDriver:
        return sections.load_volume_driver('file', allowed_devices=devices)

    def _write(self, offset: int, data: bytes) -> None:
        with open(self.device, 'r+b') as file:
            file.seek(offset)
            file.write(data)

    def test_when_allowed_then_it_is_a_volume(self) -> None:
        found = [*self.driver.list()]
        self.assertEqual([self.device], [v.volume_id for v in found])
        self.assertEqual(_SIZE, self.driver.show(self.device).size_bytes)
        attachment = self.driver.attach(self.device, None)
        self.assertEqual(self.device, attachment.path)
        self.assertEqual(_SIZE, attachment.size_bytes)
        self.assertTrue(attachment.read_only)
        self.assertFalse(self.driver.attach_volume(self.device).read_only)

    def test_when_not_allowed_then_it_is_none(self) -> None:
        other, _ = filesystems.loop_device(self.addCleanup, _SIZE)
        for volume_id in (
            other,
            self.device + '/',
            '/' + self.device,
            f'/dev/../{self.device}',
            self.device.removeprefix('/dev/'),
        ):
            with self.subTest(volume_id):
                with self.assertRaises(errors.VolumeNotFound):
                    self.driver.show(volume_id)
                with self.assertRaises(errors.VolumeNotFound):
                    self.driver.attach(volume_id, None)
                with self.assertRaises(errors.VolumeNotFound):
                    self.driver.attach_volume(volume_id)

    def test_when_device_is_a_character_device_then_it_is_refused(
        self,
    ) -> None:
        driver = self._driver('/dev/zero')
        with self.assertRaises(errors.SourceError):
            driver.attach('/dev/zero', None)
        with self.assertRaises(errors.SourceError):
            driver.attach_volume('/dev/zero')
        self.assertEqual([], [*driver.list()])

    def test_when_there_is_no_medium_then_it_is_not_backed_up(self) -> None:
        filesystems.run(['losetup', '--detach', self.device])
        try:
            with self.assertRaises(errors.SourceError):
                self.driver.attach(self.device, None)
            with self.assertRaises(errors.SourceError):
                self.driver.show(self.device)
            self.assertEqual([], [*self.driver.list()])
        finally:
            filesystems.run(['losetup', self.device, self.image])

    def test_when_device_is_missing_then_the_others_are_listed(self) -> None:
        driver = self._driver(f'/dev/no-such-device,{self.device}')
        driver.check()
        found = [v.volume_id for v in driver.list()]
        self.assertEqual([self.device], found)
        with self.assertRaises(errors.VolumeNotFound):
            driver.attach('/dev/no-such-device', None)

    def test_when_mounted_then_it_is_in_use(self) -> None:
        filesystems.run(['mkfs.ext4', '-q', self.device])
        place = filesystems.scratch(self.addCleanup)
        self.assertIsNot(True, self.driver.show(self.device).in_use)
        filesystems.run(['mount', self.device, place])
        try:
            self.assertIs(True, self.driver.show(self.device).in_use)
            with self.assertRaises(errors.InUse):
                self.driver.attach_volume(self.device)
            self.driver.attach(self.device, None)
        finally:
            filesystems.run(['umount', place])
        self.driver.attach_volume(self.device)

    def test_when_mapped_then_all_is_data(self) -> None:
        attachment = self.driver.attach(self.device, None)
        self.assertEqual(
            [model.Extent(0, _SIZE, model.ExtentKind.DATA)],
            [*self.driver.extents(attachment)],
        )

    def test_when_written_then_the_fingerprint_differs(self) -> None:
        attachment = self.driver.attach(self.device, None)
        seen = [self.driver.fingerprint(attachment)]
        with open(self.device, 'rb') as file:
            file.read(4 << 20)
        self.assertEqual(seen[0], self.driver.fingerprint(attachment))
        for number in range(5):
            self._write(number * 4096, b'changed')
            seen.append(self.driver.fingerprint(attachment))
        self.assertEqual(6, len({*seen}))

    def test_when_medium_is_changed_then_the_fingerprint_differs(
        self,
    ) -> None:
        attachment = self.driver.attach(self.device, None)
        before = self.driver.fingerprint(attachment)
        filesystems.run(['losetup', '--detach', self.device])
        filesystems.run(['losetup', self.device, self.image])
        self.assertNotEqual(before, self.driver.fingerprint(attachment))

    def test_when_snapshot_is_asked_then_not_supported(self) -> None:
        with self.assertRaises(errors.NotSupported):
            self.driver.snapshot(self.device, 'name')
        self.driver.delete_snapshot(model.Snapshot('name', self.device, _SIZE))

    def test_when_made_or_removed_then_not_supported(self) -> None:
        with self.assertRaises(errors.NotSupported):
            self.driver.create(self.device, _SIZE)
        with self.assertRaises(errors.NotSupported):
            self.driver.delete(self.device)
        self.assertTrue(os.path.exists(self.device))

    def test_when_only_devices_then_capabilities_are_theirs(self) -> None:
        found = self.driver.check()
        self.assertFalse(found.snapshots)
        self.assertFalse(found.create)
        self.assertTrue(found.fingerprint)

    def test_when_image_is_behind_a_device_then_it_is_in_use(self) -> None:
        driver = sections.load_volume_driver(
            'file', volumes_dir=os.path.dirname(self.image)
        )
        self.assertIs(True, driver.show('image').in_use)
        with self.assertRaises(errors.InUse):
            driver.attach_volume('image')
        with self.assertRaises(errors.InUse):
            driver.delete('image')


class QemuTest(unittest.TestCase):
    """QEMU itself holds an image; needs qemu-utils."""

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.path = os.path.join(holder.name, 'x')
        with open(self.path, 'wb') as file:
            file.truncate(_SIZE)
        self.driver = sections.load_volume_driver(
            'file', volumes_dir=holder.name
        )

    def _qemu(self, *options: str) -> None:
        command = ['qemu-io', *options, '-f', 'raw', self.path]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(process.communicate, 'quit\n')
        assert process.stdin is not None
        assert process.stdout is not None
        # What it answers shows that it has opened the image.
        process.stdin.write('length\n')
        process.stdin.flush()
        while 'MiB' not in process.stdout.readline():
            self.assertIsNone(process.poll())

    def test_when_a_guest_runs_then_the_image_is_in_use(self) -> None:
        self._qemu()
        self.assertIs(True, self.driver.show('x').in_use)
        with self.assertRaises(errors.InUse):
            self.driver.attach_volume('x')

    def test_when_qemu_only_reads_then_it_is_not_in_use(self) -> None:
        self._qemu('-r')
        self.assertIs(False, self.driver.show('x').in_use)
        with self.assertRaises(errors.InUse):
            self.driver.attach_volume('x')
