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


"""Hot and cold backups, and what a new volume is given by a restore."""

from __future__ import annotations

from collections.abc import Mapping
from unittest import mock

from backupkit import errors
from backupkit.testing.memory import volume as memory
from tests.unit.flows import base


class ModeTest(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()

    def test_plan_when_cold_then_no_snapshot_is_made(self) -> None:
        self.assertTrue(self.kit.plan_backup('local:v').snapshot)
        self.assertTrue(self.kit.plan_backup('local:v', mode='hot').snapshot)
        self.assertFalse(self.kit.plan_backup('local:v', mode='cold').snapshot)

    def test_backup_when_cold_then_the_volume_itself_is_read(self) -> None:
        made = self.kit.create_backup('local:v', mode='cold')
        self.assertTrue(made.consistent)
        self.kit.restore_backup(made.backup_id, new='local:n')
        self.assertEqual(self.read('v'), self.read('n'))

    def test_backup_when_cold_and_in_use_then_refused(self) -> None:
        with self.opened(), self.assertRaisesRegex(errors.InUse, 'mode hot'):
            self.kit.create_backup('local:v', mode='cold', force=True)

    def test_backup_when_hot_and_no_snapshot_then_refused(self) -> None:
        with self.opened(), self.assertRaises(errors.NotSupported):
            self.kit.create_backup('local:v', mode='hot')


class PropertiesTest(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()
        self.made = self.kit.create_backup('local:v')
        self.given: Mapping[str, str] = {}

    def restore(self, **properties: str) -> None:
        """Restore to a new volume, and note what it was given."""
        create = memory.MemoryVolumeDriver.create_like

        def noted(
            driver: memory.MemoryVolumeDriver,
            volume_id: str,
            size_bytes: int,
            properties: Mapping[str, str],
        ) -> object:
            self.given = properties
            return create(driver, volume_id, size_bytes, properties)

        with mock.patch.object(
            memory.MemoryVolumeDriver, 'create_like', noted
        ):
            self.kit.restore_backup(
                self.made.backup_id, new='local:n', properties=properties
            )

    def test_restore_when_told_then_new_volume_is_given_it(self) -> None:
        self.restore(name='db')
        self.assertEqual({'name': 'db'}, dict(self.given))

    def test_restore_when_over_a_volume_then_refused(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, '--new'):
            self.kit.restore_backup(
                self.made.backup_id,
                to='local:v',
                overwrite=True,
                properties={'name': 'db'},
            )
