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


"""Tests of volumes being created and deleted."""

from __future__ import annotations

from backupkit import errors
from backupkit import model
from backupkit.testing.volume import case


class CreateTests(case.VolumeCase):
    """Tests of ``create`` and ``delete``."""

    def test_create_when_not_capable_then_not_supported(self) -> None:
        """Guards: VolumeCapabilities.create."""
        if self.effective.create:
            return
        self.assert_not_supported(self.driver.create, 'suite-new', 4096)
        self.assert_not_supported(self.driver.delete, 'suite-new')

    def test_create_when_it_returned_then_size_is_exact(self) -> None:
        """Guards: VolumeDriver.create."""
        if not self.effective.create:
            return
        for number, wanted in enumerate((1, 512, 4097, case.SIZE)):
            size = self.size(wanted)
            made = self.create(f'suite-sized-{number}', size)
            self.assertEqual(size, made)
            shown = self.make_driver().show(f'suite-sized-{number}')
            self.assertEqual(size, shown.size_bytes)

    def test_create_like_when_it_returned_then_as_created(self) -> None:
        """Guards: VolumeDriver.create_like."""
        if not self.effective.create:
            with self.assertRaises(errors.NotSupported):
                self.driver.create_like('suite-like', 4096, {})
            return
        like = self.driver.show(self.make_volume(self.size())).properties
        made = self.driver.create_like('suite-like', self.size(), like)
        self.addCleanup(self.driver.delete, 'suite-like')
        self.assertEqual(('suite-like', self.size()), _told(made))
        shown = self.make_driver().show('suite-like')
        self.assertEqual(('suite-like', self.size()), _told(shown))
        self.assertEqual(like.keys(), shown.properties.keys())
        with self.assertRaises(errors.VolumeExists):
            self.driver.create_like('suite-like', self.size(), like)

    def test_create_when_new_then_reads_as_stated(self) -> None:
        """Guards: VolumeCapabilities.new_reads_zero, VolumeDriver.create."""
        if not self.effective.create:
            return
        old, _ = self.make_filled()
        self.driver.delete(old)
        self.create('suite-new', self.size())
        found = self.read('suite-new')
        self.assertEqual(self.size(), len(found))
        if self.effective.new_reads_zero:
            self.assertEqual(len(found), found.count(0))

    def test_create_when_name_is_taken_then_refused(self) -> None:
        """Guards: VolumeDriver.create raises VolumeExists."""
        if not self.effective.create:
            return
        volume_id, data = self.make_filled()
        for size in (len(data), self.size(4096)):
            with self.assertRaises(errors.VolumeExists):
                self.make_driver().create(volume_id, size)
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_create_when_name_was_used_then_generation_differs(self) -> None:
        """Guards: Volume.generation."""
        if not self.effective.create:
            return
        self.create('suite-again', self.size())
        first = self.driver.show('suite-again').generation
        self.driver.delete('suite-again')
        self.create('suite-again', self.size())
        second = self.driver.show('suite-again').generation
        if first or second or self.effective.changed_extents:
            self.assertNotEqual(first, second)

    def test_delete_when_it_returned_then_volume_is_gone(self) -> None:
        """Guards: VolumeDriver.delete."""
        if not self.effective.create:
            return
        volume_id, _ = self.make_filled()
        kept, data = self.make_filled()
        self.driver.delete(volume_id)
        with self.assertRaises(errors.VolumeNotFound):
            self.make_driver().show(volume_id)
        listed = [v.volume_id for v in self.driver.list()]
        self.assertNotIn(volume_id, listed)
        self.assertIn(kept, listed)
        self.assert_bytes(data, self.read(kept), kept)

    def test_delete_when_absent_then_succeeds(self) -> None:
        """Guards: volume 1, VolumeDriver.delete."""
        if not self.effective.create:
            return
        volume_id, _ = self.make_filled()
        self.driver.delete(volume_id)
        self.driver.delete(volume_id)
        self.driver.delete('no-such-volume')

    def test_delete_when_in_use_then_refused(self) -> None:
        """Guards: VolumeDriver.delete raises InUse."""
        if not (self.effective.create and self.effective.in_use):
            return
        volume_id, data = self.make_filled()
        with self.in_use(volume_id), self.assertRaises(errors.InUse):
            self.make_driver().delete(volume_id)
        self.assert_bytes(data, self.read(volume_id), volume_id)

    def test_round_size_when_asked_then_volumes_can_have_it(self) -> None:
        """Guards: VolumeDriver.round_size."""
        if not self.effective.create:
            return
        for number, wanted in enumerate((1, 4097, case.SIZE)):
            size = self.driver.round_size(wanted)
            self.assertGreaterEqual(size, wanted)
            self.assertEqual(size, self.driver.round_size(size))
            self.assertLessEqual(size, self.size(wanted))
            self.assertEqual(size, self.create(f'suite-least-{number}', size))

    def test_clone_when_not_capable_then_not_supported(self) -> None:
        """Guards: VolumeCapabilities.clone."""
        if self.effective.clone:
            return
        source = self.make_volume(self.size(4096))
        self.assert_not_supported(self.driver.clone, 'suite-clone', source)

    def test_clone_when_both_are_written_then_each_has_its_own(self) -> None:
        """Guards: VolumeCapabilities.clone, VolumeDriver.clone."""
        if not self.effective.clone:
            return
        source, data = self.make_filled()
        self.clone('suite-clone', source)
        self.assert_bytes(data, self.read('suite-clone'), 'a fresh clone')
        first = self.size(4096)
        self.write(source, 0, b's' * first)
        self.write('suite-clone', first, b'c' * first)
        of_source = b's' * first + data[first:]
        of_clone = data[:first] + b'c' * first + data[2 * first :]
        self.assert_bytes(of_source, self.read(source), source)
        self.assert_bytes(of_clone, self.read('suite-clone'), 'the clone')
        self.driver.delete(source)
        self.assert_bytes(of_clone, self.read('suite-clone'), 'the clone')

    def test_clone_when_it_cannot_be_then_refused(self) -> None:
        """Guards: VolumeDriver.clone raises VolumeExists,

        VolumeDriver.clone raises VolumeNotFound.
        """
        if not self.effective.clone:
            return
        source, _ = self.make_filled()
        taken, kept = self.make_filled()
        with self.assertRaises(errors.VolumeExists):
            self.make_driver().clone(taken, source)
        self.assert_bytes(kept, self.read(taken), taken)
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.clone('suite-clone', 'no-such-volume')
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.show('suite-clone')

    def clone(self, volume_id: str, source_id: str) -> None:
        """Clone a volume for this test."""
        made = self.driver.clone(volume_id, source_id)
        self.addCleanup(self.driver.delete, volume_id)
        self.assertEqual(volume_id, made.volume_id)
        size = self.driver.show(source_id).size_bytes
        self.assertEqual(size, made.size_bytes)

    def create(self, volume_id: str, size_bytes: int) -> int:
        """Create a volume for this test; return the size as it is told."""
        made = self.driver.create(volume_id, size_bytes)
        self.addCleanup(self.driver.delete, volume_id)
        self.assertEqual(volume_id, made.volume_id)
        return made.size_bytes


def _told(volume: model.Volume) -> tuple[str, int]:
    return volume.volume_id, volume.size_bytes
