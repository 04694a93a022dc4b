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

"""The drivers ``posix`` and ``nfs``, and a vendor's, on one real share."""

from __future__ import annotations

from typing import ClassVar
import unittest

from backupkit.drivers import target as target_
from backupkit import mounts
from backupkit.testing import exchange
from backupkit.testing import sections
from tests.conformance import vendors
from tests.nfs import kernel
from tests.nfs import rights
from tests.nfs import server

_DISK_MIB = 256
#: The name that the kit gives a section.
_SECTION = 'target:test'


class _Exchange(exchange.ExchangeSuite):
    """Keeps all on one share, which ``nfs`` mounts."""

    exported: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.exported = server.do(kernel.export, _DISK_MIB)

    def setUp(self) -> None:
        directory = server.do(kernel.make_directory, self.exported)
        self.share = f'{kernel.ADDRESS}:{directory}'
        rights.configure(f'[{_SECTION}]\nbackup_nfs_share = {self.share}\n')
        self.addCleanup(self._unmount)
        super().setUp()

    def load_nfs(self) -> target_.Target:
        return sections.load_target(
            'nfs',
            backup_nfs_share=self.share,
            chunk_size_bytes=vendors.CHUNK_BYTES,
            pack_size_bytes=131072,
        )

    def load_posix(self) -> target_.Target:
        """Load it for the directory where ``nfs`` has the share."""
        held = mounts.mounted(_SECTION, self.load_nfs().section)
        return sections.load_target(
            'posix',
            backup_posix_path=self.enterContext(held).path,
            chunk_size_bytes=vendors.CHUNK_BYTES,
            pack_size_bytes=131072,
        )

    def load_vendor(self) -> target_.Target:
        return vendors.VendorNfsTarget('test', self.load_nfs().section)

    def _unmount(self) -> None:
        mounts.release()
        self.assertEqual([], server.mounts())


class NfsAndPosixTest(_Exchange, unittest.TestCase):
    def make_target(self) -> target_.Target:
        return self.load_nfs()

    def make_other_target(self) -> target_.Target:
        return self.load_posix()


class NfsAndVendorTest(_Exchange, unittest.TestCase):
    def make_target(self) -> target_.Target:
        return self.load_nfs()

    def make_other_target(self) -> target_.Target:
        return self.load_vendor()


class PosixAndVendorTest(_Exchange, unittest.TestCase):
    def make_target(self) -> target_.Target:
        return self.load_posix()

    def make_other_target(self) -> target_.Target:
        return self.load_vendor()
