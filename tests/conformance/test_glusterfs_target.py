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

"""The driver ``glusterfs`` on a directory that stands for a volume."""

from __future__ import annotations

from typing import Any
import unittest

from backupkit.drivers import target as target_
from backupkit.testing import sections
from backupkit.testing import target
from backupkit_plugins.targets import glusterfs
from tests.conformance import places
from tests.conformance import shares

SHARE = 'server:/volume'


def load(**options: Any) -> glusterfs.GlusterfsTarget:
    """Load the driver as an operator does."""
    loaded = sections.load_target(
        'glusterfs',
        **{
            'backup_glusterfs_share': SHARE,
            'chunk_size_bytes': 16384,
            'pack_size_bytes': 131072,
            **options,
        },
    )
    assert isinstance(loaded, glusterfs.GlusterfsTarget)
    return loaded


class GlusterfsTargetTest(target.TargetSuite, unittest.TestCase):
    def setUp(self) -> None:
        self.share = shares.Share(self, places.directory(self))
        self.addCleanup(lambda: self.assertEqual(0, self.share.users))
        super().setUp()

    def make_target(self) -> target_.Target:
        return load()
