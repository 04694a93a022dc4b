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


"""What the tests of the driver ``file`` begin with."""

from __future__ import annotations

import os
import tempfile
from typing import Any
import unittest

from backupkit.drivers import volume
from backupkit import model
from backupkit.testing import sections


class DriverTestCase(unittest.TestCase):
    """Has a driver for a new directory."""

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.base = holder.name
        self.root = os.path.join(self.base, 'volumes')
        os.mkdir(self.root)
        self.driver = self.make_driver(volumes_dir=self.root)

    def make_driver(self, **options: Any) -> volume.VolumeDriver:
        """Return a driver with these options."""
        return sections.load_volume_driver('file', **options)

    def path(self, volume_id: str) -> str:
        """Return where a volume lies."""
        return os.path.join(self.root, volume_id)

    def write(self, volume_id: str, data: bytes = b'data') -> str:
        """Write an image file; return its path."""
        path = self.path(volume_id)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def extents(self, volume_id: str) -> list[tuple[int, int, str]]:
        """Return a volume's extents as plain tuples."""
        attachment = self.driver.attach(volume_id, None)
        return plain(self.driver, attachment)


def plain(
    driver: volume.VolumeDriver, attachment: model.Attachment
) -> list[tuple[int, int, str]]:
    """Return the extents of an attachment as plain tuples."""
    return [
        (extent.offset, extent.length, extent.kind.value)
        for extent in driver.extents(attachment)
    ]
