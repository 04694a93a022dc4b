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


"""Tests of what a volume driver tells."""

from __future__ import annotations

from backupkit import errors
from backupkit import model
from backupkit.testing.volume import case

#: Names that no driver has a volume of, and that may lead one astray.
STRANGE_IDS = (
    '',
    '.',
    '..',
    '../../etc/passwd',
    '/etc/passwd',
    'no\0ne',
    'no\nne',
    '-rf',
    'n' * 5000,
    '\udcff',
)

#: The first bytes of a qcow2 image that names a backing file (qcow2 format
#: 2: magic, version, offset and length of the name).
QCOW2_HEADER = (
    (b'QFI\xfb' + (2).to_bytes(4, 'big') + (72).to_bytes(8, 'big'))
    + (11).to_bytes(4, 'big')
    + bytes(52)
    + b'/etc/passwd'
)


class DescribeTests(case.VolumeCase):
    """Tests of ``check``, ``storage_identity``, ``list`` and ``show``."""

    def test_init_when_called_then_only_stores_its_arguments(self) -> None:
        """Guards: Driver."""
        section = object()
        made = type(self.driver)('unused', section)
        self.assertEqual('unused', made.name)
        self.assertIs(section, made.section)

    def test_check_when_called_then_tells_no_more_than_stated(self) -> None:
        """Guards: VolumeDriver.check."""
        self.assert_subset(self.driver.check(), type(self.driver).capabilities)

    def test_check_when_called_again_then_nothing_has_changed(self) -> None:
        """Guards: VolumeDriver.check."""
        volume_id, data = self.make_filled()
        before = sorted(v.volume_id for v in self.driver.list())
        self.assertEqual(self.driver.check(), self.driver.check())
        after = sorted(v.volume_id for v in self.driver.list())
        self.assertEqual(before, after)
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_identity_when_asked_again_then_is_the_same(self) -> None:
        """Guards: VolumeDriver.storage_identity."""
        identity = self.driver.storage_identity()
        self.assertIsInstance(identity, model.StorageIdentity)
        self.assertTrue(identity.system)
        self.assertEqual(identity, self.make_driver().storage_identity())

    def test_list_when_there_are_volumes_then_all_are_told(self) -> None:
        """Guards: VolumeDriver.list."""
        sizes = {self.make_volume(self.size(n)): self.size(n) for n in (1, 5)}
        listed = list(self.driver.list())
        found = {v.volume_id: v.size_bytes for v in listed}
        self.assertEqual(len(found), len(listed))
        self.assertLessEqual(sizes.items(), found.items())

    def test_show_when_there_is_one_then_it_is_described(self) -> None:
        """Guards: VolumeDriver.show."""
        volume_id = self.make_volume(self.size())
        shown = self.driver.show(volume_id)
        self.assertIsInstance(shown, model.Volume)
        self.assertEqual(volume_id, shown.volume_id)
        self.assertEqual(self.size(), shown.size_bytes)
        self.assertEqual(self.volume_format, shown.format)
        self.assertEqual(
            shown.generation, self.make_driver().show(volume_id).generation
        )

    def test_show_when_there_is_none_then_not_found(self) -> None:
        """Guards: VolumeDriver.show raises VolumeNotFound, volume 3."""
        for volume_id in ('no-such-volume', *STRANGE_IDS):
            with (
                self.subTest(volume_id=volume_id[:40]),
                self.assertRaises(errors.VolumeNotFound),
            ):
                self.driver.show(volume_id)

    def test_show_when_open_for_writing_then_it_tells(self) -> None:
        """Guards: Volume.in_use, VolumeCapabilities.in_use."""
        volume_id = self.make_volume(self.size())
        if not self.effective.in_use:
            self.assertIsNone(self.driver.show(volume_id).in_use)
            return
        told = [self.driver.show(volume_id).in_use]
        with self.attached(volume_id):
            told.append(self.driver.show(volume_id).in_use)
        with self.in_use(volume_id):
            told.append(self.make_driver().show(volume_id).in_use)
        told.append(self.driver.show(volume_id).in_use)
        self.assertEqual([False, False, True, False], told)

    def test_show_when_bytes_look_like_an_image_then_no_change(self) -> None:
        """Guards: volume 5."""
        volume_id, data = self.make_filled()
        data[: len(QCOW2_HEADER)] = QCOW2_HEADER
        self.write(volume_id, 0, data)
        shown = self.make_driver().show(volume_id)
        self.assertEqual(self.volume_format, shown.format)
        self.assertEqual(len(data), shown.size_bytes)
        with self.attached(volume_id) as attachment:
            self.assertEqual(self.volume_format, attachment.format)
            self.assert_bytes(data, case.read(attachment), volume_id)
