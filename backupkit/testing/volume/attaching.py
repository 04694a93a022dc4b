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


"""Tests of volumes being attached and detached."""

from __future__ import annotations

import json

from backupkit import errors
from backupkit import model
from backupkit.testing import suite
from backupkit.testing.volume import case
from backupkit.testing.volume import describing


class AttachTests(case.VolumeCase):
    """Tests of ``attach``, ``attach_volume`` and ``detach``."""

    def test_attach_when_it_returned_then_the_bytes_are_there(self) -> None:
        """Guards: VolumeDriver.attach."""
        volume_id, data = self.make_filled()
        with self.attached(volume_id) as attachment:
            self.assertEqual(len(data), attachment.size_bytes)
            self.assertTrue(attachment.read_only)
            self.assert_bytes(data, case.read(attachment), volume_id)

    def test_attach_when_sizes_are_odd_then_path_shows_them(self) -> None:
        """Guards: VolumeDriver.attach."""
        for wanted in (1, 511, 4097, 65_535, 1_048_577):
            volume_id, data = self.make_filled(wanted)
            self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_attach_when_done_twice_then_each_has_its_own_end(self) -> None:
        """Guards: VolumeDriver.attach, VolumeDriver.detach."""
        volume_id, data = self.make_filled()
        first = self.driver.attach(volume_id, None)
        second = self.driver.attach(volume_id, None)
        self.driver.detach(first)
        self.assert_bytes(data, case.read(second), volume_id)
        self.driver.detach(second)

    def test_attach_when_several_at_once_then_all_read(self) -> None:
        """Guards: VolumeDriver.attach, VolumeDriver.detach."""
        volume_id, data = self.make_filled()
        reads = suite.together(*[lambda: self.read(volume_id)] * 4)
        for found in suite.successes(reads):
            self.assert_bytes(data, found, volume_id)

    def test_attach_when_there_is_none_then_not_found(self) -> None:
        """Guards: VolumeDriver.attach raises VolumeNotFound, volume 3."""
        for volume_id in ('no-such-volume', *describing.STRANGE_IDS):
            with self.subTest(volume_id=volume_id[:40]):
                with self.assertRaises(errors.VolumeNotFound):
                    self.driver.attach(volume_id, None)
                with self.assertRaises(errors.VolumeNotFound):
                    self.driver.attach_volume(volume_id)

    def test_attach_when_cannot_then_error_is_of_ours(self) -> None:
        """Guards: VolumeDriver.attach raises SourceError, volume 3."""
        volume_id = self.make_volume(self.size())
        absent = model.Snapshot('backupkit-absent', volume_id, self.size())
        with self.assertRaises((errors.SourceError, errors.NotSupported)):
            self.driver.attach(volume_id, absent)

    def test_attach_volume_when_written_then_the_bytes_stay(self) -> None:
        """Guards: VolumeDriver.attach_volume."""
        volume_id, data = self.make_filled()
        piece = self.random.randbytes(100_000)
        offset = len(data) - len(piece)
        with self.attached_volume(volume_id) as attachment:
            self.assertFalse(attachment.read_only)
            self.assertEqual(len(data), attachment.size_bytes)
            case.write(attachment, offset, piece)
        data[offset:] = piece
        self.driver = self.make_driver()
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_attach_volume_when_there_is_none_then_not_found(self) -> None:
        """Guards: VolumeDriver.attach_volume raises VolumeNotFound."""
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.attach_volume('no-such-volume')
        self.assertNotIn(
            'no-such-volume', [v.volume_id for v in self.driver.list()]
        )

    def test_attach_volume_when_in_use_then_refused(self) -> None:
        """Guards: VolumeDriver.attach_volume raises InUse."""
        volume_id = self.make_volume(self.size())
        if self.effective.in_use:
            with self.in_use(volume_id), self.assertRaises(errors.InUse):
                self.make_driver().attach_volume(volume_id)
        with self.attached_volume(volume_id) as attachment:
            self.assertFalse(attachment.read_only)

    def test_detach_when_called_twice_then_succeeds(self) -> None:
        """Guards: volume 1, VolumeDriver.detach."""
        volume_id, data = self.make_filled()
        for attachment in (
            self.driver.attach(volume_id, None),
            self.driver.attach_volume(volume_id),
        ):
            self.driver.detach(attachment)
            self.driver.detach(attachment)
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_detach_when_told_in_plain_then_another_does_it(self) -> None:
        """Guards: VolumeDriver.detach, Attachment."""
        volume_id = self.make_volume(self.size())
        for attachment in (
            self.driver.attach(volume_id, None),
            self.driver.attach_volume(volume_id),
        ):
            plain = json.loads(json.dumps(attachment.to_dict()))
            rebuilt = model.Attachment.from_dict(plain)
            self.assertEqual(attachment, rebuilt)
            self.make_driver().detach(rebuilt)
        with self.attached_volume(volume_id) as attachment:
            self.assertFalse(attachment.read_only)
