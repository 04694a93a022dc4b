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

"""A place whose repository lies on an NFS share of the server."""

from __future__ import annotations

import pathlib
from typing import ClassVar

from backupkit import api
from backupkit import mounts
from tests.functional import configuration
from tests.functional import stand
from tests.nfs import kernel
from tests.nfs import rights
from tests.nfs import server

_DISK_MIB = 256
_SECTIONS = """\
[backend:local]
driver = file
volumes_dir = {root}/volumes
[target:repo]
driver = nfs
backup_nfs_share = {share}
backup_nfs_mount_options = {options}
mount_timeout_seconds = {mount_timeout}
{more}
chunk_size_bytes = 65536
pack_size_bytes = 1048576
"""


class NfsStand(stand.Stand):
    """Base class: everything is asked by a service user, through the API."""

    exported: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.exported = server.do(kernel.export, _DISK_MIB)

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.assert_nothing_mounted)

    def make_place(self, root: pathlib.Path) -> None:
        self.root = root
        self.volumes = root / 'volumes'
        self.volumes.mkdir()
        self.directory = server.do(kernel.make_directory, self.exported)
        self.configure()

    def configure(
        self,
        address: str = kernel.ADDRESS,
        directory: str | None = None,
        *,
        options: str = 'vers=4.2',
        io_timeout: int = 60,
        mount_timeout: int = 30,
        more: str = '',
    ) -> None:
        """Have root name a share; by default the one of this test.

        :param more: lines for the section of the target
        """
        share = f'{address}:{directory or self.directory}'
        rights.configure(
            configuration.beginning(
                self.root, more=f'io_timeout_seconds = {io_timeout}'
            )
            + _SECTIONS.format(
                root=self.root,
                share=share,
                options=options,
                mount_timeout=mount_timeout,
                more=more,
            )
        )

    def connect(self) -> api.Backupkit:
        kit = api.connect([rights.CONFIGURATION])
        self.addCleanup(kit.close)
        return kit

    def assert_nothing_mounted(self) -> None:
        """Check that no mount is left once nobody uses it."""
        mounts.release()
        self.assertEqual([], server.mounts())
