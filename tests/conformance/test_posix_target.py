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


"""The driver ``posix``, in front of the suite of a target."""

import unittest

from backupkit.drivers import target as target_
from backupkit.testing import sections
from backupkit.testing import target
from tests.conformance import copying
from tests.conformance import places


class PosixTargetTest(
    target.TargetSuite, target.MissingTargetSuite, unittest.TestCase
):
    def setUp(self) -> None:
        self.directory = places.directory(self)
        super().setUp()

    def make_target(self) -> target_.Target:
        return self.load(self.directory)

    def make_missing_target(self) -> target_.Target:
        return self.load(f'{self.directory}/no/such')

    def load(self, path: str, **more: str) -> target_.Target:
        return sections.load_target(
            'posix',
            backup_posix_path=path,
            chunk_size_bytes=16384,
            pack_size_bytes=131072,
            **more,
        )


class ImagePosixTargetTest(copying.CopyTests, PosixTargetTest):
    """The same in the layout ``image``."""

    def load(self, path: str, **more: str) -> target_.Target:
        return super().load(path, layout='image', offload='copy')
