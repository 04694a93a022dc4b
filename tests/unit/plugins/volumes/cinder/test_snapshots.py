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

"""Which of Cinder's snapshots a name leads to."""

from __future__ import annotations

from typing import Any

from backupkit import errors
from backupkit import model
from tests.unit.plugins.volumes.cinder import base

SHOW = f'GET /volumes/{base.VOLUME_ID}'
OTHER_ID = base.VOLUME_ID[:-1] + '8'
OURS = 'backupkit-6c0f3f8e-0d0f-4a44-8a8e-2f6d40ac8a4c'


def snapshot(
    snapshot_id: str, name: str | None, **more: Any
) -> dict[str, Any]:
    """Return a snapshot of the volume, as Cinder describes it."""
    return {
        'id': snapshot_id,
        'name': name,
        'volume_id': base.VOLUME_ID,
        'size': 2,
        'status': 'available',
        'created_at': '2026-01-01T00:00:00.000000',
        **more,
    }


class SnapshotCase(base.ApiCase):
    def setUp(self) -> None:
        super().setUp()
        self.script(SHOW, (200, {'volume': base.VOLUME}))
        self.script('GET /volumes/detail', (200, {'volumes': []}))

    def have(self, *snapshots: dict[str, Any]) -> None:
        """Let there be these snapshots, until they are deleted."""
        self.script(
            'GET /snapshots/detail', (200, {'snapshots': list(snapshots)})
        )
        for one in snapshots:
            self.script(f'DELETE /snapshots/{one["id"]}', (202, None))

    def delete(self, name: str) -> list[str]:
        """Delete a snapshot of the volume; return what was deleted."""
        self.load().delete_snapshot(model.Snapshot(name, base.VOLUME_ID, 0))
        return [r for r in self.requests() if r.startswith('DELETE')]


class ListTest(SnapshotCase):
    def test_snapshots_when_there_are_some_then_oldest_first(self) -> None:
        self.have(
            snapshot('s3', 'noon', created_at='2026-01-03T00:00:00.000000'),
            snapshot('s1', 'dawn'),
            snapshot('s4', 'lost', status='error'),
            snapshot('s5', 'else', volume_id=OTHER_ID),
            snapshot('s2', 'dusk', created_at='2026-01-02T00:00:00.000000'),
        )
        self.assertEqual(
            [
                model.Snapshot(name, base.VOLUME_ID, 2 << 30)
                for name in ('dawn', 'dusk', 'noon')
            ],
            self.load().snapshots(base.VOLUME_ID),
        )

    def test_snapshots_when_names_do_not_tell_then_ids_do(self) -> None:
        self.have(
            snapshot('s1', 'daily'),
            snapshot('s2', None),
            snapshot('s3', 'daily'),
            snapshot('s4', ''),
            snapshot('s5', 'once'),
        )
        found = self.load().snapshots(base.VOLUME_ID)
        self.assertEqual(
            ['s1', 's2', 's3', 's4', 'once'], [one.name for one in found]
        )

    def test_snapshots_when_of_all_projects_then_all_are_asked_for(
        self,
    ) -> None:
        self.have()
        driver = self.load(all_projects=True)
        self.assertEqual([], driver.snapshots(base.VOLUME_ID))
        self.assertIn('all_tenants=1', self.server.paths[-1])


class DeleteTest(SnapshotCase):
    def test_delete_when_its_id_is_named_then_it_goes(self) -> None:
        self.have(snapshot('s1', 'daily'), snapshot('s2', 'daily'))
        self.assertEqual(['DELETE /snapshots/s2'], self.delete('s2'))

    def test_delete_when_several_have_the_name_then_refused(self) -> None:
        self.have(snapshot('s1', 'daily'), snapshot('s2', 'daily'))
        with self.assertRaisesRegex(errors.SourceError, 's1, s2'):
            self.delete('daily')
        self.assertNotIn('DELETE /snapshots/s1', self.requests())
        self.assertNotIn('DELETE /snapshots/s2', self.requests())

    def test_delete_when_several_are_of_one_backup_then_all_go(self) -> None:
        self.have(snapshot('s1', OURS), snapshot('s2', OURS))
        self.assertEqual(
            ['DELETE /snapshots/s1', 'DELETE /snapshots/s2'],
            self.delete(OURS),
        )

    def test_delete_when_other_volumes_have_the_name_then_they_stay(
        self,
    ) -> None:
        self.have(
            snapshot('s1', 'daily', volume_id=OTHER_ID),
            snapshot('s2', 'daily'),
        )
        made = [
            {
                **base.VOLUME,
                'id': f't{number}',
                'snapshot_id': f's{number}',
                'metadata': {'backupkit_snapshot': 'daily'},
            }
            for number in (1, 2, 3)
        ]
        self.script('GET /volumes/detail', (200, {'volumes': made}))
        for one in made:
            self.script(f'DELETE /volumes/{one["id"]}', (202, None))
        self.script('GET /attachments', (200, {'attachments': []}))
        self.assertEqual(
            # The snapshot of t3 is no more.
            [f'DELETE /{n}' for n in ('volumes/t2', 'volumes/t3')]
            + ['DELETE /snapshots/s2'],
            self.delete('daily'),
        )

    def test_delete_when_there_is_no_such_volume_then_nothing_goes(
        self,
    ) -> None:
        self.have(snapshot('s1', 'daily', volume_id=OTHER_ID))
        self.script(SHOW, (404, None))
        self.assertEqual([], self.delete('daily'))


class CreateTest(SnapshotCase):
    def setUp(self) -> None:
        super().setUp()
        self.have(snapshot('s1', 'dawn', size=1))

    def make(self, name: str) -> model.Volume:
        """Make a volume of a snapshot."""
        taken = model.Snapshot(name, base.VOLUME_ID, 0)
        return self.load(volume_type='ssd').create_from_snapshot('db02', taken)

    def test_create_when_there_is_a_snapshot_then_it_is_made_of_it(
        self,
    ) -> None:
        made = {**base.VOLUME, 'id': OTHER_ID, 'size': 1}
        self.script('POST /volumes', (202, {'volume': made}))
        self.script(f'GET /volumes/{OTHER_ID}', (200, {'volume': made}))
        volume = self.make('dawn')
        self.assertEqual(
            ('db02', 1 << 30), (volume.volume_id, volume.size_bytes)
        )
        body = next(b for r, _, b in self.server.asked if r == 'POST /volumes')
        self.assertEqual(
            {
                'name': 'db02',
                'size': 1,
                'snapshot_id': 's1',
                'metadata': {'backupkit_volume_id': 'db02'},
            },
            body['volume'],
        )

    def test_create_when_there_is_no_snapshot_then_nothing_is_made(
        self,
    ) -> None:
        with self.assertRaisesRegex(errors.VolumeNotFound, 'dusk'):
            self.make('dusk')
        self.assertNotIn('POST /volumes', self.requests())
