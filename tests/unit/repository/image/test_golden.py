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

"""Images of every released format restore for ever."""

from __future__ import annotations

import gzip
import hashlib
import json
import pathlib
import tarfile
import tempfile
import unittest

from backupkit.copy import control as control_
from backupkit.drivers import loader
from backupkit.drivers import target as target_
from backupkit.repository.image import volume as volume_
from backupkit.repository import layout as layout_
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


class GoldenRepositoryTest(unittest.TestCase):
    """A repository with backups in both layouts."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name)
        with tarfile.open(_GOLDEN / 'repository.tar.gz') as archive:
            archive.extractall(self.root, filter='data')
        text = (_GOLDEN / 'repository.json').read_text()
        self.expected: dict[str, dict[str, object]] = json.loads(text)
        self.coordinator = catalog.MemoryCoordinator()

    def load(self, layout: str) -> target_.Target:
        """Load a target that keeps new backups in this layout."""
        return sections.load_target(
            'posix',
            backup_posix_path=str(self.root / 'repository'),
            layout=layout,
        )

    def test_repository_when_golden_then_any_target_restores(self) -> None:
        self.assertEqual(5, len(self.expected))
        for layout in ('chunks', 'image'):
            target = self.load(layout)
            listed = {getattr(one, 'backup_id', '') for one in target.list()}
            self.assertEqual(self.expected.keys(), listed)
            for backup_id, told in self.expected.items():
                with self.subTest(layout=layout, **told):
                    self.assert_restores(target, backup_id, told)

    def assert_restores(
        self, target: target_.Target, backup_id: str, told: dict[str, object]
    ) -> None:
        size = target.show(backup_id).size_bytes
        self.assertEqual(told['size_bytes'], size)
        writer = plain.PlainWriter(size)
        control = control_.Control()
        target.restore(backup_id, writer, self.coordinator, control)
        digest = hashlib.sha256(writer.data).hexdigest()
        self.assertEqual(told['sha256'], digest)

    def test_repository_when_golden_then_verifies(self) -> None:
        target = self.load('chunks')
        for backup_id, told in self.expected.items():
            with self.subTest(**told):
                base = self.root / 'repository' / layout_.base(backup_id)
                has = told['state'] in ('complete', 'verified')
                self.assertEqual(has, bool(list(base.glob('tree-*'))))
                report = target.verify(
                    backup_id,
                    self.coordinator,
                    control_.Control(),
                    full=True,
                )
                self.assertEqual((), report.findings)
                image = told['state'] != 'chunks'
                self.assertEqual(image, bool(list(base.glob('tree-*'))))
