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

"""Volumes of the driver ``nfs`` in a directory that stands for its share.

What they hold is looked at with QEMU's own tools, not with ours.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import tempfile
from typing import Any
import unittest

from backupkit.copy import opening
from backupkit import model
from backupkit.testing import sections
from backupkit_plugins.volumes.nfs import driver as nfs
from tests.conformance import shares

MIB = 1024**2


class Stand(unittest.TestCase):
    """Base class: the share, and what is on it."""

    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name).resolve()
        self.use(self.root / 'share')

    def use(self, directory: pathlib.Path) -> None:
        """Have a directory stand for the share from now on."""
        directory.mkdir(exist_ok=True)
        self.directory = directory
        shares.Share(self, str(directory))

    def driver(self, **options: Any) -> nfs.NfsVolumeDriver:
        """Load the driver as another process has it that starts now."""
        loaded = sections.load_volume_driver(
            'nfs',
            backup_nfs_share=shares.SHARE,
            lock_timeout_seconds=5,
            **options,
        )
        assert isinstance(loaded, nfs.NfsVolumeDriver)
        return loaded

    def files(self) -> list[str]:
        """Return the names of what is on the share, but for its id."""
        names = os.listdir(self.directory)
        return sorted(n for n in names if n != '.backupkit-storage')

    def assert_clean(self) -> None:
        """Assert that each image is whole, and nothing is half done."""
        for name in self.files():
            self.assertFalse(name.endswith('.new'), name)
            image = self.directory / name
            if image.read_bytes()[:4] == b'QFI\xfb':
                tool('qemu-img', 'check', '-q', '-f', 'qcow2', str(image))


def tool(*argv: str) -> str:
    """Run one of QEMU's tools and return what it says."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f'{argv}: {done.stdout}{done.stderr}')
    return done.stdout


def contents(
    driver: nfs.NfsVolumeDriver,
    volume_id: str,
    snapshot: str = '',
) -> bytes:
    """Return what a volume or snapshot holds, as ``qemu-img`` reads it."""
    taken = model.Snapshot(snapshot, volume_id, 0) if snapshot else None
    attachment = driver.attach(volume_id, taken)
    try:
        with tempfile.NamedTemporaryFile() as file:
            tool(
                *('qemu-img', 'convert', '-U', '-f', attachment.format),
                *('-O', 'raw', attachment.path, file.name),
            )
            return pathlib.Path(file.name).read_bytes()
    finally:
        driver.detach(attachment)


def write(
    driver: nfs.NfsVolumeDriver, volume_id: str, offset: int, data: bytes
) -> None:
    """Write to a volume as a restore does."""
    attachment = driver.attach_volume(volume_id)
    try:
        writer = opening.open_writer(
            attachment, attachment.size_bytes, reads_zero=False
        )
        with contextlib.closing(writer):
            writer.write(offset, [bytearray(data)])
            writer.finish()
    finally:
        driver.detach(attachment)


def snapshot(volume_id: str, name: str) -> model.Snapshot:
    """Return a snapshot as it is named to a driver."""
    return model.Snapshot(name, volume_id, 0)
