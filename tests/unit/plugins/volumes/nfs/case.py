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

"""A driver ``nfs``, on a directory that stands for its share."""

from __future__ import annotations

import json
import pathlib
import subprocess
import tempfile
from typing import Any
import unittest

from backupkit.testing import sections
from backupkit_plugins.volumes.nfs import driver as nfs
from tests.conformance import shares

SIZE = 1024 * 1024


class NfsCase(unittest.TestCase):
    """Base class of the tests."""

    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = pathlib.Path(made.name).resolve()
        shares.Share(self, str(self.directory))

    def driver(self, **options: Any) -> nfs.NfsVolumeDriver:
        """Load the driver with some options."""
        options = {'lock_timeout_seconds': 1, **options}
        loaded = sections.load_volume_driver(
            'nfs', backup_nfs_share=shares.SHARE, **options
        )
        assert isinstance(loaded, nfs.NfsVolumeDriver)
        return loaded

    def image(self, name: str, *options: str) -> pathlib.Path:
        """Make a qcow2 image by hand."""
        path = self.directory / name
        subprocess.run(
            [
                *('qemu-img', 'create', '-q', '-f', 'qcow2', *options),
                *(str(path), str(SIZE)),
            ],
            check=True,
            capture_output=True,
        )
        return path

    def info(self, volume_id: str, **plain: Any) -> None:
        """Write Cinder's document by hand."""
        path = self.directory / f'volume-{volume_id}.info'
        path.write_text(json.dumps(plain))

    def record(self, volume_id: str) -> dict[str, Any]:
        """Return what the driver keeps of a volume."""
        path = self.directory / f'volume-{volume_id}.backupkit'
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def intend(self, volume_id: str, **intent: Any) -> None:
        """Have something under way that a dead process has begun."""
        record = self.record(volume_id)
        plain = {
            'snapshot': '',
            'file': '',
            'below': '',
            'fresh_bytes': 0,
            'switched': False,
        }
        record['intent'] = {**plain, **intent}
        path = self.directory / f'volume-{volume_id}.backupkit'
        path.write_text(json.dumps(record))
