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


"""Drivers that keep one format, on one directory, in front of the suite."""

from __future__ import annotations

import unittest

from backupkit.drivers import target as target_
from backupkit.testing import exchange
from backupkit.testing import sections
from backupkit.testing import target
from tests.conformance import places
from tests.conformance import shares
from tests.conformance import test_nfs_target
from tests.conformance import vendors


class _Exchange(exchange.ExchangeSuite):
    """Keeps all in one directory, which stands for a share too."""

    def setUp(self) -> None:
        self.share = shares.Share(self, places.directory(self))
        super().setUp()

    def make_target(self) -> target_.Target:
        return load_posix(self.share.directory)


class PosixAndNfsTest(_Exchange, unittest.TestCase):
    def make_other_target(self) -> target_.Target:
        return test_nfs_target.load()


class PosixAndVendorTest(_Exchange, unittest.TestCase):
    def make_other_target(self) -> target_.Target:
        section = load_posix(self.share.directory).section
        return vendors.VendorPosixTarget('vendor', section)


class NfsAndVendorTest(_Exchange, unittest.TestCase):
    def make_target(self) -> target_.Target:
        return test_nfs_target.load()

    def make_other_target(self) -> target_.Target:
        section = load_posix(self.share.directory).section
        return vendors.VendorPosixTarget('vendor', section)


class ChunksAndImagesTest(_Exchange, unittest.TestCase):
    """Each reads the layout of the other, and goes on in its own."""

    shares = False

    def make_other_target(self) -> target_.Target:
        return load_posix(self.share.directory, layout='image')


class ImagesOnNfsAndPosixTest(_Exchange, unittest.TestCase):
    shares = False

    def make_target(self) -> target_.Target:
        return test_nfs_target.load(layout='image')

    def make_other_target(self) -> target_.Target:
        return load_posix(self.share.directory, layout='image')


class VendorTargetTest(target.TargetSuite, unittest.TestCase):
    """The vendor's target is a good one by itself."""

    def setUp(self) -> None:
        self.directory = places.directory(self)
        super().setUp()

    def make_target(self) -> target_.Target:
        section = load_posix(self.directory).section
        return vendors.VendorPosixTarget('vendor', section)


def load_posix(directory: str, **more: str) -> target_.Target:
    """Load the driver ``posix`` as an operator does."""
    return sections.load_target(
        'posix',
        backup_posix_path=directory,
        chunk_size_bytes=vendors.CHUNK_BYTES,
        pack_size_bytes=131072,
        **more,
    )
