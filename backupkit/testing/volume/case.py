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


"""What the tests of a volume driver are given."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import uuid

from backupkit.copy import opening
from backupkit.drivers import capability
from backupkit.drivers import volume
from backupkit import model
from backupkit.testing import suite

#: Size of most volumes that the tests make: more than one block of
#: anything, and not a multiple of one, where that is allowed.
SIZE = 3 * 1024 * 1024 + 512


class VolumeCase(suite.Suite):
    """Makes volumes, fills them and reads them back."""

    #: Volumes of the driver have a size that is a multiple of this.
    granularity_bytes = 1

    #: The format of the volumes that the driver makes.
    volume_format = 'raw'

    def make_driver(self) -> volume.VolumeDriver:
        """Return the driver under test. The hook of the suite.

        Further calls in one test return another object for the same place,
        as another process would have it.
        """
        raise NotImplementedError('a suite needs its hook make_driver')

    def make_volume(self, size_bytes: int) -> str:
        """Make a volume of this size, and return its id.

        A hook of drivers that cannot create volumes. It sees to it that the
        volume is removed.
        """
        volume_id = f'suite-{uuid.uuid4().hex[:12]}'
        self.driver.create(volume_id, size_bytes)
        self.addCleanup(self.driver.delete, volume_id)
        return volume_id

    def setUp(self) -> None:
        """Make the driver, and look what it can do here."""
        super().setUp()
        self.driver = self.make_driver()

    @property
    def effective(self) -> capability.VolumeCapabilities:
        """What the driver can do here."""
        return self.driver.check()

    def size(self, wanted: int = SIZE) -> int:
        """Return the next size that a volume can have."""
        return -(-wanted // self.granularity_bytes) * self.granularity_bytes

    def make_filled(self, wanted: int = SIZE) -> tuple[str, bytearray]:
        """Make a volume of random bytes; return its id and the bytes."""
        volume_id = self.make_volume(self.size(wanted))
        data = bytearray(self.random.randbytes(self.size(wanted)))
        self.write(volume_id, 0, data)
        return volume_id, data

    def write(self, volume_id: str, offset: int, data: suite.Buffer) -> None:
        """Write bytes into a volume, as a restore would."""
        with self.attached_volume(volume_id) as attachment:
            write(attachment, offset, data)

    def read(
        self, volume_id: str, snapshot: model.Snapshot | None = None
    ) -> bytes:
        """Return all bytes of a volume or snapshot, as a backup reads."""
        with self.attached(volume_id, snapshot) as attachment:
            return read(attachment)

    @contextlib.contextmanager
    def attached(
        self, volume_id: str, snapshot: model.Snapshot | None = None
    ) -> Iterator[model.Attachment]:
        """Attach a volume or snapshot for reading."""
        attachment = self.driver.attach(volume_id, snapshot)
        try:
            yield attachment
        finally:
            self.driver.detach(attachment)

    @contextlib.contextmanager
    def attached_volume(self, volume_id: str) -> Iterator[model.Attachment]:
        """Attach a volume for writing."""
        attachment = self.driver.attach_volume(volume_id)
        try:
            yield attachment
        finally:
            self.driver.detach(attachment)

    @contextlib.contextmanager
    def in_use(self, volume_id: str) -> Iterator[None]:
        """Have a volume open for writing, as its user has.

        A hook of drivers whose users open volumes in another way.
        """
        with self.attached_volume(volume_id) as attachment:
            writer = opening.open_writer(
                attachment, attachment.size_bytes, reads_zero=False
            )
            with contextlib.closing(writer):
                yield

    @contextlib.contextmanager
    def snapshot(self, volume_id: str) -> Iterator[model.Snapshot]:
        """Have a snapshot, named as a backup names it."""
        name = f'backupkit-{uuid.uuid4()}'
        made = self.driver.snapshot(volume_id, name)
        try:
            yield made
        finally:
            self.driver.delete_snapshot(made)

    def assert_tiles(
        self, extents: list[model.Extent], size_bytes: int
    ) -> None:
        """Assert that extents follow one another from 0 to the size."""
        offset = 0
        for extent in extents:
            self.assertEqual(offset, extent.offset)
            self.assertGreater(extent.length, 0)
            offset = extent.end
        self.assertEqual(size_bytes, offset)


def read(attachment: model.Attachment) -> bytes:
    """Return all bytes of what is attached, by its format.

    Of a raw volume also what lies behind its size.
    """
    if attachment.format != 'raw':
        reader = opening.open_reader(attachment)
        found = bytearray(attachment.size_bytes)
        with contextlib.closing(reader):
            reader.read_into(0, [found])
        return bytes(found)
    fd = os.open(attachment.path, os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, 'rb') as opened:
        return opened.read(attachment.size_bytes + 1)


def write(
    attachment: model.Attachment, offset: int, data: suite.Buffer
) -> None:
    """Write bytes to what is attached, by its format, and durably."""
    if attachment.format != 'raw':
        writer = opening.open_writer(
            attachment, attachment.size_bytes, reads_zero=False
        )
        with contextlib.closing(writer):
            writer.write(offset, [bytearray(data)])
            writer.finish()
        return
    fd = os.open(attachment.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written
        os.fsync(fd)
    finally:
        os.close(fd)
