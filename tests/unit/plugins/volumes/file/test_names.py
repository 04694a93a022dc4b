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


"""Which names are volumes, and that none leads out of the directory."""

from __future__ import annotations

import os
import stat

from backupkit import errors
from backupkit import model
from tests.unit.plugins.volumes.file import base

_HOSTILE = (
    '',
    '.',
    '..',
    '../outside/secret',
    'a/../../outside/secret',
    'a/./x',
    'a//x',
    'a/',
    '.hidden',
    'a/.hidden',
    '.backupkit-snap-x',
    '/etc/passwd',
    '/dev/null',
    '//etc/passwd',
    'a\0b',
    'a\nb',
    '\x1b[2J',
    '\udcff',
    'a' * 300,
    'a/' * 2000 + 'a',
)


class NamesTest(base.DriverTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.outside = os.path.join(self.base, 'outside')
        os.mkdir(self.outside)
        self.secret = os.path.join(self.outside, 'secret')
        with open(self.secret, 'wb') as file:
            file.write(b'secret')
        os.mkdir(self.path('a'))

    def _assert_no_volume(self, volume_id: str) -> None:
        snapshot = model.Snapshot('s', volume_id, 1)
        for call in (
            self.driver.show,
            self.driver.attach_volume,
            lambda name: self.driver.attach(name, None),
            lambda name: self.driver.attach(name, snapshot),
            lambda name: self.driver.snapshot(name, 's'),
        ):
            with self.assertRaises(errors.SourceError):
                call(volume_id)
        self._assert_outside_is_whole()

    def _assert_outside_is_whole(self) -> None:
        self.assertEqual(['secret'], os.listdir(self.outside))
        with open(self.secret, 'rb') as file:
            self.assertEqual(b'secret', file.read())
        self.assertEqual(['outside', 'volumes'], sorted(os.listdir(self.base)))

    def test_when_name_is_hostile_then_there_is_no_volume(self) -> None:
        for volume_id in _HOSTILE:
            with self.subTest(volume_id[:40]):
                self._assert_no_volume(volume_id)

    def test_when_name_is_hostile_then_nothing_is_made(self) -> None:
        for volume_id in _HOSTILE:
            with self.subTest(volume_id[:40]):
                with self.assertRaises(errors.BackupkitError):
                    self.driver.create(volume_id, 512)
                self._assert_outside_is_whole()
        self.assertEqual(['a'], os.listdir(self.root))

    def test_when_name_is_hostile_then_nothing_is_removed(self) -> None:
        for volume_id in _HOSTILE:
            with self.subTest(volume_id[:40]):
                try:
                    self.driver.delete(volume_id)
                except errors.BackupkitError:
                    pass
                self.driver.delete_snapshot(model.Snapshot('s', volume_id, 1))
                self._assert_outside_is_whole()

    def test_when_snapshot_name_is_hostile_then_it_is_refused(self) -> None:
        self.write('x')
        for name in ('', '.', '..', '/x', 'x/../../y', 'a\0b', 'a' * 101):
            snapshot = model.Snapshot(name, 'x', 1)
            with self.subTest(name):
                with self.assertRaises(errors.UsageError):
                    self.driver.snapshot('x', name)
                with self.assertRaises(errors.UsageError):
                    self.driver.attach('x', snapshot)
                with self.assertRaises(errors.UsageError):
                    self.driver.delete_snapshot(snapshot)

    def test_when_volume_is_a_link_then_it_is_not_followed(self) -> None:
        os.symlink(self.secret, self.path('link'))
        self._assert_no_volume('link')

    def test_when_directory_is_a_link_then_it_is_not_followed(self) -> None:
        os.symlink(self.outside, self.path('linked'))
        self._assert_no_volume('linked/secret')
        with self.assertRaises(errors.SourceError):
            self.driver.create('linked/new', 512)
        self.driver.delete('linked/secret')
        self._assert_outside_is_whole()

    def test_when_it_is_no_regular_file_then_it_is_no_volume(self) -> None:
        os.mkfifo(self.path('fifo'))
        os.mkdir(self.path('directory'))
        for volume_id in ('fifo', 'directory', 'a'):
            self._assert_no_volume(volume_id)

    def test_when_other_things_lie_there_then_list_hides_them(self) -> None:
        self.write('x.img')
        self.write('a/y')
        self.write('a/.hidden')
        self.write('.backupkit-snap-x')
        os.mkfifo(self.path('fifo'))
        os.symlink(self.secret, self.path('link'))
        os.symlink(self.outside, self.path('linked'))
        os.mkdir(self.path('.trash'))
        self.write('.trash/z')
        found = sorted(volume.volume_id for volume in self.driver.list())
        self.assertEqual(['a/y', 'x.img'], found)

    def test_when_listed_then_each_can_be_shown(self) -> None:
        for name in ('x', 'a/y', 'Üwe 1.img', 'qcow2', 'a-b_c.raw'):
            self.write(name, name.encode())
        for volume in self.driver.list():
            shown = self.driver.show(volume.volume_id)
            self.assertEqual(volume.size_bytes, shown.size_bytes)
            self.assertEqual('raw', shown.format)

    def test_when_device_node_is_planted_then_it_is_no_volume(self) -> None:
        try:
            os.mknod(self.path('null'), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            # Whoever may not make one cannot plant one either.
            os.mkfifo(self.path('null'))
        self._assert_no_volume('null')


class HeadersTest(base.DriverTestCase):
    def test_when_raw_volume_has_a_header_then_it_stays_raw(self) -> None:
        headers = {
            'qcow2': b'QFI\xfb\x00\x00\x00\x03' + b'/etc/passwd'.ljust(504),
            'vmdk': b'# Disk DescriptorFile\nRW 1 FLAT "/etc/passwd" 0\n',
            'luks': b'LUKS\xba\xbe\x00\x02'.ljust(4096),
        }
        for name, data in headers.items():
            self.write(name, data)
            self.assertEqual('raw', self.driver.show(name).format)
            attachment = self.driver.attach(name, None)
            self.assertEqual('raw', attachment.format)
            self.assertEqual(len(data), attachment.size_bytes)
            self.assertEqual(self.path(name), attachment.path)
