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


"""The driver ``nfs`` on a directory that stands for its mounted share."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import pathlib
import tempfile
from typing import Any, ClassVar
import unittest

from backupkit.drivers import volume as volume_
from backupkit.testing import sections
from backupkit.testing import volume
from backupkit.testing.volume import case
from backupkit.testing.volume import snapshots
from tests.conformance import places
from tests.conformance import shares
from tests.functional import guests


class NfsVolumeCase(case.VolumeCase):
    """The driver, with some options of its own."""

    granularity_bytes = 512
    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.share = shares.Share(self, places.directory(self, fast=False))
        self.addCleanup(lambda: self.assertEqual(0, self.share.users))
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver(
            'nfs', backup_nfs_share=shares.SHARE, **self.options
        )


class NfsRawVolumeTest(
    NfsVolumeCase, volume.VolumeDriverSuite, unittest.TestCase
):
    pass


class NfsQcow2VolumeTest(
    NfsVolumeCase, volume.VolumeDriverSuite, unittest.TestCase
):
    volume_format = 'qcow2'
    options: ClassVar[dict[str, Any]] = {'nfs_qcow2_volumes': True}


class NfsOnlineVolumeTest(
    NfsVolumeCase, snapshots.SnapshotTests, unittest.TestCase
):
    """What is different where the monitors of guests are known."""

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.sockets = pathlib.Path(made.name)
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver(
            'nfs',
            backup_nfs_share=shares.SHARE,
            qmp_sockets=f'{self.sockets}/*',
        )

    @contextlib.contextmanager
    def in_use(self, volume_id: str) -> Iterator[None]:
        chain = self.driver.chain(volume_id)
        directory = pathlib.Path(self.share.directory)
        guest = guests.Guest(self, directory, chain)
        link = self.sockets / volume_id
        link.symlink_to(guest.monitor)
        try:
            yield
        finally:
            link.unlink()
            guest.end()
