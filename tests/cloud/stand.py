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

"""What the tests of the driver stand on: a backend in the real cloud."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any
import unittest
import uuid

from oslo_config import cfg

from backupkit.drivers import volume as volume_
from backupkit.testing import sections
from tests.cloud import cinder
from tests.servers import process

GIB = 1 << 30
#: How os-brick's own privileged daemon is started: by root, for root.
HELPER = str(process.SCRIPTS / 'privsep-helper')

_GROUP = 'privsep_osbrick'


def options(directory: str, **more: Any) -> dict[str, Any]:
    """Return the options of a backend in the cloud without Keystone."""
    return {
        'auth_type': 'noauth',
        'endpoint': cinder.cloud().url(),
        'project_id': cinder.PROJECT_ID,
        'username': 'admin',
        'volume_type': cinder.TYPE,
        'lock_path': f'{directory}/locks',
        'volume_timeout_seconds': 120,
        'snapshot_timeout_seconds': 120,
        'attach_timeout_seconds': 30,
        **more,
    }


class CloudCase(unittest.TestCase):
    """A test with a directory of its own, and the cloud."""

    def setUp(self) -> None:
        super().setUp()
        place = tempfile.TemporaryDirectory(prefix='backupkit-cloud-')
        self.addCleanup(place.cleanup)
        self.directory = pathlib.Path(place.name)
        self.cloud = cinder.cloud()
        start_helper_directly(self)

    def load(self, **more: Any) -> volume_.VolumeDriver:
        """Return a driver of the cloud."""
        return sections.load_volume_driver(
            'cinder', **options(str(self.directory), **more)
        )

    def make_volume(self, driver: volume_.VolumeDriver) -> str:
        """Make a volume of 1 GiB, which goes with the test."""
        volume_id = f'test-{uuid.uuid4().hex[:12]}'
        driver.create(volume_id, GIB)
        self.addCleanup(driver.delete, volume_id)
        return volume_id

    def assert_nothing_left(self, *, files: list[str]) -> None:
        """Assert that no device is attached and no volume is too many."""
        self.assertEqual([], self.cloud.devices())
        self.assertEqual(files, self.cloud.files())
        marks = self.directory.glob('locks/*/*')
        self.assertEqual([], list(marks))


def start_helper_directly(test: unittest.TestCase) -> None:
    """Have os-brick's daemon started as the configuration would say it."""
    set_helper()
    test.addCleanup(cfg.CONF.clear_override, 'helper_command', group=_GROUP)


def set_helper() -> None:
    """Do so for the rest of the process."""
    # Declares the options of the group.
    from os_brick import privileged  # noqa: F401 - see above

    cfg.CONF.set_override('helper_command', HELPER, group=_GROUP)
