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

"""Backup volumes of every released format restore for ever."""

from __future__ import annotations

import gzip
import hashlib
import json
import pathlib

from backupkit.copy import control as control_
from backupkit.drivers import loader
from backupkit.repository.image import volume as volume_
from backupkit.testing.memory import catalog
from backupkit.testing import plain
from backupkit.testing import sections
from tests.unit.repository.image import case

_GOLDEN = pathlib.Path(__file__).parents[3] / 'data' / 'image-1'


class GoldenTest(case.ImageCase):
    def setUp(self) -> None:
        super().setUp()
        text = (_GOLDEN / 'expected.json').read_text()
        self.expected: dict[str, dict[str, object]] = json.loads(text)
        for backup_id in self.expected:
            packed = (_GOLDEN / f'{backup_id}.gz').read_bytes()
            path = pathlib.Path(self.directory, f'backupkit-{backup_id}')
            path.write_bytes(gzip.decompress(packed))

    def test_volume_when_golden_then_restores(self) -> None:
        self.assertEqual(4, len(self.expected))
        conf = sections.configuration(
            {
                'backend:place': {
                    'driver': 'file',
                    'volumes_dir': self.directory,
                },
                'target:golden': {'driver': 'volume', 'backend': 'place'},
            }
        )
        target = loader.load_target(conf, 'golden')
        coordinator = catalog.MemoryCoordinator()
        listed = {getattr(one, 'backup_id', '') for one in target.list()}
        self.assertEqual(self.expected.keys(), listed)
        for backup_id, told in self.expected.items():
            report = target.verify(
                backup_id, coordinator, control_.Control(), full=True
            )
            self.assertEqual((), report.findings)
            size = target.show(backup_id).size_bytes
            self.assertEqual(told['size_bytes'], size)
            writer = plain.PlainWriter(size)
            target.restore(backup_id, writer, coordinator, control_.Control())
            digest = hashlib.sha256(writer.data).hexdigest()
            self.assertEqual(told['sha256'], digest)

    def test_image_when_golden_then_bytes_are_at_their_places(self) -> None:
        for backup_id, told in self.expected.items():
            path = pathlib.Path(self.directory, f'backupkit-{backup_id}')
            size = path.stat().st_size
            with volume_.BackupVolume(
                str(path), size, backup_id, writable=False
            ) as volume:
                manifest = volume.manifest()
                self.assertEqual(told['digest'], manifest.digest)
            data = path.read_bytes()[: manifest.summary.size_bytes]
            self.assertEqual(told['sha256'], hashlib.sha256(data).hexdigest())
