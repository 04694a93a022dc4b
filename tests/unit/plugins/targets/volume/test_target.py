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

"""What is particular to the target ``volume``."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any
import unittest
import uuid

from backupkit.copy import control as control_
from backupkit.drivers import loader
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.testing import cycle
from backupkit.testing import plain
from backupkit.testing import sections


class VolumeTargetTest(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.place = pathlib.Path(holder.name)
        self.target = self.load()
        self.cycle = cycle.Cycle(self.target)

    def load(self, **more: Any) -> target_.Target:
        """Load the target from its section, the backend's not enabled."""
        place = {
            'driver': 'file',
            'volumes_dir': self.place,
            'storage_pool': 'p',
            **more,
        }
        options = {'driver': 'volume', 'backend': 'place'}
        conf = sections.configuration(
            {'backend:place': place, 'target:vault': options}
        )
        return loader.load_target(conf, 'vault')

    def volume(self) -> plain.PlainVolume:
        """Return a volume."""
        return plain.PlainVolume(b'some data' * 1000)

    def files(self) -> set[str]:
        """Return the names of the backup volumes."""
        return {path.name for path in self.place.glob('backupkit-*')}

    def test_backup_when_made_then_is_a_volume_of_its_name(self) -> None:
        volume = self.volume()
        summary = self.cycle.backup(volume)
        name = f'backupkit-{summary.backup_id}'
        self.assertEqual({name}, self.files())
        self.assertEqual(name, summary.service_metadata)
        self.assertTrue(
            (self.place / name).read_bytes().startswith(volume.data)
        )
        self.cycle.delete(summary.backup_id)
        self.assertEqual(set(), self.files())

    def test_identity_when_asked_then_is_the_backends(self) -> None:
        identity = self.target.storage_identity()
        self.assertEqual('p', identity and identity.pool)
        self.assertEqual('place', self.target.kept_on)

    def test_backup_when_volume_is_of_its_place_then_refused(self) -> None:
        volume = self.volume()
        request = model.BackupRequest(
            str(uuid.uuid4()), 1, 'place', volume.describe()
        )
        with self.assertRaises(errors.ConfigurationError):
            self.target.backup(
                request,
                volume.open,
                self.cycle.coordinator,
                control_.Control(),
            )
        self.assertEqual([], volume.parents)

    def test_check_when_backend_cannot_create_then_refused(self) -> None:
        target = self.load(volumes_dir='', allowed_devices='/dev/null')
        with self.assertRaises(errors.ConfigurationError):
            target.check()

    def test_target_when_backend_is_missing_then_said_at_first_use(
        self,
    ) -> None:
        conf = sections.configuration(
            {'target:vault': {'driver': 'volume', 'backend': 'nowhere'}}
        )
        target = loader.load_target(conf, 'vault')
        with self.assertRaisesRegex(errors.ConfigurationError, 'nowhere'):
            target.check()

    def test_backup_when_begun_again_then_the_rest_is_replaced(self) -> None:
        volume = self.volume()
        run = self.cycle.begin()
        rest = self.place / f'backupkit-{run.backup_id}'
        rest.write_bytes(b'rest' * 5000)
        self.cycle.prepare(run, volume.describe(), volume.open)
        self.cycle.commit(run)
        writer = plain.PlainWriter(len(volume.data), bytes(volume.data))
        self.cycle.restore(run.backup_id, writer)
        self.assertEqual(volume.data, writer.data)

    def test_backup_when_committed_before_then_refused(self) -> None:
        volume = self.volume()
        run = self.cycle.begin()
        self.cycle.prepare(run, volume.describe(), volume.open)
        self.target.commit(run.prepared or self.fail())
        with self.assertRaises(errors.RunAborted):
            self.cycle.prepare(run, volume.describe(), volume.open)
        self.assertIn(run.backup_id, self.cycle.listed())

    def test_list_when_a_manifest_is_damaged_then_a_finding(self) -> None:
        summary = self.cycle.backup(self.volume())
        path = self.place / summary.service_metadata
        with path.open('r+b') as file:
            file.seek(-20, 2)
            file.write(b'damage')
        (found,) = self.target.list()
        self.assertIsInstance(found, target_.Finding)
        self.assertEqual((summary.backup_id,), found.backup_ids)  # type: ignore[union-attr] # as was asserted
        self.assertEqual([], list(self.target.leftovers()))
        self.assertFalse(self.cycle.verify(summary.backup_id).good)
