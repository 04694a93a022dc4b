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


"""Marks, devices, properties and os-brick's errors, without a cloud."""

from __future__ import annotations

import os
import pathlib
import tempfile
import threading
import unittest
from unittest import mock

from oslo_concurrency import processutils

from backupkit import errors
from backupkit.testing import sections
from backupkit_plugins.volumes.cinder import brick
from backupkit_plugins.volumes.cinder import device
from backupkit_plugins.volumes.cinder import marks
from backupkit_plugins.volumes.cinder import properties


class DirectoryCase(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = pathlib.Path(place.name)


class MarksTest(DirectoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.place = self.directory / 'locks'
        self.marks = marks.Marks(str(self.place))

    def test_mark_when_saved_then_another_process_reads_it(self) -> None:
        with self.marks.locked('v') as volume:
            mark = volume.begin('rw', ['other'])
            mark.attachment_id = 'a'
            mark.device = {'path': '/dev/x'}
            volume.save(mark)
        with marks.Marks(str(self.place)).locked('v') as volume:
            self.assertEqual([mark], volume.all())
            volume.remove(mark)
            volume.remove(mark)
            self.assertEqual([], volume.all())

    def test_lock_when_all_marks_are_gone_then_nothing_is_left(self) -> None:
        with self.marks.locked('v'):
            self.assertEqual(['v'], os.listdir(self.place))
        self.assertEqual([], os.listdir(self.place))

    def test_lock_when_several_want_it_then_one_at_a_time(self) -> None:
        inside = []
        most = []

        def hold() -> None:
            for _ in range(50):
                with self.marks.locked('v') as volume:
                    inside.append(1)
                    most.append(len(inside))
                    volume.remove(volume.begin('ro', []))
                    inside.pop()

        threads = [threading.Thread(target=hold) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([1] * 200, most)

    def test_lock_when_others_could_write_there_then_refused(self) -> None:
        self.place.mkdir()
        self.place.chmod(0o777)
        with (
            self.assertRaisesRegex(errors.ConfigurationError, 'lock_path'),
            self.marks.locked('v'),
        ):
            self.fail('it was locked')

    def test_lock_when_it_is_a_link_then_refused(self) -> None:
        real = self.directory / 'elsewhere'
        real.mkdir(0o700)
        self.place.symlink_to(real)
        with (
            self.assertRaises(errors.ConfigurationError),
            self.marks.locked('v'),
        ):
            self.fail('it was locked')


class DeviceTest(DirectoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.directory / 'volume'
        self.path.write_bytes(bytes(4096))

    def test_prove_when_size_is_right_then_identity_is_told(self) -> None:
        found = device.prove(str(self.path), 4096, {}, larger=False)
        self.assertEqual(device.identify(str(self.path)), found)

    def test_prove_when_size_is_wrong_then_refused(self) -> None:
        for size, larger in ((4095, False), (4097, False), (4097, True)):
            with self.assertRaisesRegex(errors.SourceError, 'another one'):
                device.prove(str(self.path), size, {}, larger=larger)
        device.prove(str(self.path), 4095, {}, larger=True)

    def test_prove_when_nothing_is_there_then_refused(self) -> None:
        for path in (self.directory, self.directory / 'missing'):
            with self.assertRaises(errors.SourceError):
                device.prove(str(path), 4096, {}, larger=False)

    def test_prove_when_serial_differs_then_refused(self) -> None:
        found = {'kind': 'block', 'size_bytes': 1, 'serial': 'naa.6001405AB'}
        with mock.patch.object(
            device, 'identify', autospec=True, return_value=found
        ):
            path = str(self.path)
            device.prove(path, 1, {'scsi_wwn': '36001405ab'}, larger=False)
            with self.assertRaisesRegex(errors.SourceError, '36001405ff'):
                device.prove(path, 1, {'scsi_wwn': '36001405ff'}, larger=False)

    def test_gone_when_asked_then_only_the_same_device_is_here(self) -> None:
        block = {
            'kind': 'block',
            'number': '7:1',
            'sequence': '5',
            'serial': '',
            'size_bytes': 1,
        }
        for change, gone in (
            ({}, False),
            ({'sequence': '6'}, True),
            ({'number': '7:2'}, True),
            ({'size_bytes': 0}, True),
        ):
            with mock.patch.object(
                device,
                'identify',
                autospec=True,
                return_value={**block, **change},
            ):
                self.assertIs(gone, device.is_gone('/dev/x', block))
        self.assertTrue(device.is_gone('/dev/no-such-device', block))


class PropertiesTest(unittest.TestCase):
    def test_of_when_described_then_ours_and_states_are_left_out(self) -> None:
        found = {
            'name': 'db',
            'description': None,
            'bootable': 'true',
            'multiattach': False,
            'os-vol-tenant-attr:tenant_id': 'p1',
            'metadata': {
                'a': '1',
                'backupkit_volume_id': 'x',
                'readonly': '0',
            },
            'volume_image_metadata': {'os': 'debian'},
        }
        self.assertEqual(
            {
                'service': 'cinder',
                'name': 'db',
                'bootable': 'true',
                'multiattach': 'false',
                'project_id': 'p1',
                'metadata.a': '1',
                'image.os': 'debian',
            },
            properties.of(found),
        )

    def test_wish_when_told_then_it_replaces_the_defaults(self) -> None:
        made = properties.wish(
            'db02',
            {'name': 'db', 'metadata.a': '1'},
            {'volume_type': 'fast', 'availability_zone': None},
        )
        self.assertEqual(
            {
                'name': 'db',
                'volume_type': 'fast',
                'metadata': {'a': '1', 'backupkit_volume_id': 'db02'},
            },
            made,
        )

    def test_check_when_encrypted_then_key_is_named(self) -> None:
        told = {'service': 'cinder', 'encrypted': 'true'}
        with self.assertRaisesRegex(errors.NotSupported, 'k9'):
            properties.check({**told, 'encryption_key_id': 'k9'})


class BrickTest(DirectoryCase):
    def setUp(self) -> None:
        super().setUp()
        driver = sections.load_volume_driver(
            'cinder', lock_path=str(self.directory)
        )
        self.brick = brick.Brick(driver.section)

    def test_connect_when_local_then_only_the_path_is_kept(self) -> None:
        told = self.brick.connect(
            {
                'driver_volume_type': 'local',
                'device_path': '/dev/loop9',
                'auth_password': 'never-to-be-told',
            }
        )
        self.assertEqual({'type': 'local', 'path': '/dev/loop9'}, told)

    def test_connect_when_it_fails_then_no_secret_is_told(self) -> None:
        secret = 'never-to-be-told'
        for error in (
            processutils.ProcessExecutionError(cmd=f'iscsiadm -p {secret}'),
            ValueError(f"{{'auth_password': '{secret}'}}"),
        ):
            connector = mock.Mock()
            connector.connect_volume.side_effect = error
            with (
                mock.patch.object(
                    brick.Brick,
                    '_connector',
                    autospec=True,
                    return_value=connector,
                ),
                self.assertRaises(errors.SourceError) as caught,
            ):
                self.brick.connect({'driver_volume_type': 'iscsi'})
            self.assertNotIn(secret, str(caught.exception))
            self.assertIsNone(caught.exception.__cause__)

    def test_connect_when_kind_is_unknown_then_error_is_of_ours(self) -> None:
        with self.assertRaisesRegex(errors.SourceError, 'pigeon'):
            self.brick.connect({'driver_volume_type': 'pigeon'})

    def test_disconnect_when_asked_then_it_is_by_force(self) -> None:
        connector = mock.Mock()
        with mock.patch.object(
            brick.Brick, '_connector', autospec=True, return_value=connector
        ):
            self.brick.disconnect({'x': 1}, {'path': '/dev/x'})
        connector.disconnect_volume.assert_called_once_with(
            {'x': 1}, {'path': '/dev/x'}, force=True
        )
