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


"""Tests of what a driver knows of bytes without reading them."""

from __future__ import annotations

from backupkit import model
from backupkit.testing.volume import case

MIB = 1024 * 1024


class MapTests(case.VolumeCase):
    """Tests of ``extents`` and ``fingerprint``."""

    def test_extents_when_told_then_they_tile_the_volume(self) -> None:
        """Guards: VolumeDriver.extents."""
        for wanted in (1, 4096, 65_537, case.SIZE):
            volume_id, _ = self.make_filled(wanted)
            with self.attached(volume_id) as attachment:
                extents = list(self.driver.extents(attachment))
                self.assert_tiles(extents, self.size(wanted))

    def test_extents_when_zero_then_the_bytes_are_zero(self) -> None:
        """Guards: VolumeDriver.extents, VolumeCapabilities.allocation_map."""
        volume_id, data = self.make_with_hole()
        with self.attached(volume_id) as attachment:
            for extent in self.driver.extents(attachment):
                told = data[extent.offset : extent.end]
                if extent.kind is model.ExtentKind.ZERO:
                    self.assertEqual(len(told), told.count(0))
                else:
                    self.assertIs(model.ExtentKind.DATA, extent.kind)

    def test_extents_when_there_is_a_hole_then_it_is_told(self) -> None:
        """Guards: VolumeCapabilities.allocation_map."""
        volume_id, _ = self.make_with_hole()
        with self.attached(volume_id) as attachment:
            extents = list(self.driver.extents(attachment))
        zeros = [e for e in extents if e.kind is model.ExtentKind.ZERO]
        if not self.effective.allocation_map:
            self.assertEqual([], zeros)
        elif self.effective.create and self.effective.new_reads_zero:
            told = sum(extent.length for extent in zeros)
            self.assertGreaterEqual(told, 4 * MIB)

    def test_fingerprint_when_nothing_changed_then_the_same(self) -> None:
        """Guards: VolumeDriver.fingerprint, VolumeCapabilities.fingerprint."""
        volume_id, _ = self.make_filled()
        with self.attached(volume_id) as attachment:
            if not self.effective.fingerprint:
                self.assert_not_supported(self.driver.fingerprint, attachment)
                return
            first = self.driver.fingerprint(attachment)
            case.read(attachment)
            self.assertEqual(first, self.driver.fingerprint(attachment))

    def test_fingerprint_when_a_byte_changed_then_another(self) -> None:
        """Guards: VolumeDriver.fingerprint, VolumeCapabilities.fingerprint."""
        if not self.effective.fingerprint:
            return
        volume_id, data = self.make_filled()
        seen = set()
        for turn in range(20):
            with self.attached(volume_id) as attachment:
                seen.add(self.driver.fingerprint(attachment))
            offset = self.random.randrange(len(data))
            data[offset] ^= 1 + turn
            self.write(volume_id, offset, data[offset : offset + 1])
        self.assertEqual(20, len(seen))

    def make_with_hole(self) -> tuple[str, bytearray]:
        """Make a volume with data at both ends, and its bytes."""
        size = self.size(8 * MIB + 512)
        volume_id = self.make_volume(size)
        data = bytearray(self.read(volume_id))
        for offset in (0, size - 4096):
            data[offset : offset + 4096] = self.random.randbytes(4096)
            self.write(volume_id, offset, data[offset : offset + 4096])
        return volume_id, data
