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


"""The API: what a program gets from it, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any
from unittest import mock

from backupkit import api
from backupkit.api import upkeep
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import repository as repository_
from backupkit.repository import target as repository_target
from tests.unit.flows import base


class BackupTestCase(base.KitTestCase):
    def test_when_backed_up_twice_then_the_second_is_incremental(self) -> None:
        self.make_volume()
        first = self.kit.create_backup('local:v', name='first')
        self.write(b'changed')
        second = self.kit.create_backup('local:v', target='repo')
        self.assertEqual('first', first.name)
        self.assertEqual(model.BackupKind.FULL, first.kind)
        self.assertEqual(model.BackupKind.INCREMENTAL, second.kind)
        self.assertEqual(first.backup_id, second.parent_id)
        self.assertEqual([first, second], self.kit.list_backups())
        self.assert_nothing_left()

    def test_when_the_name_cannot_be_kept_then_nothing_is_begun(self) -> None:
        self.make_volume()
        for name in ('x' * 256, 'x' * 4097, 'a\0b', 'a\udcff'):
            with self.assertRaises(errors.UsageError):
                self.kit.create_backup('local:v', name=name)
        self.assertEqual([], self.kit.list_backups(everything=True))
        self.assert_nothing_left()

    def test_when_the_name_is_as_long_as_allowed_then_it_is_kept(self) -> None:
        self.make_volume()
        name = 'x' * 255
        row = self.kit.create_backup('local:v', name=name)
        self.assertEqual(name, row.name)
        self.assertEqual(1, self.kit.rebuild_catalog('repo').found)

    def test_when_full_is_asked_for_then_everything_is_read(self) -> None:
        self.make_volume()
        self.kit.create_backup('local:v')
        row = self.kit.create_backup('local:v', full=True)
        self.assertEqual(model.BackupKind.FULL, row.kind)
        self.assertLessEqual(len(base.CONTENT), row.read_bytes)

    def test_when_a_map_is_given_then_only_changes_are_read(self) -> None:
        self.make_volume()
        self.kit.create_backup('local:v')
        self.write(b'changed')
        row = self.kit.create_backup('local:v')
        self.assertEqual(65536, row.read_bytes)
        self.kit.restore_backup(row.backup_id, new='local:w')
        self.assertEqual(self.read('v'), self.read('w'))

    def test_when_the_checkpoint_is_lost_then_all_is_read(self) -> None:
        self.make_volume()
        self.kit.create_backup('local:v')
        self.array.volumes['v'].checkpoints.clear()
        row = self.kit.create_backup('local:v')
        self.assertLessEqual(len(base.CONTENT), row.read_bytes)
        self.kit.restore_backup(row.backup_id, new='local:w')
        self.assertEqual(self.read('v'), self.read('w'))

    def test_when_another_makes_the_repository_then_it_is_used(self) -> None:
        self.make_volume()
        open_repository = repository_.open_repository
        made: list[str] = []

        def late(store: store_.Store) -> repository_.Repository | None:
            found = open_repository(store)
            if not made:
                made.append('')
                row = self.connect().create_backup('local:v')
                made.append(row.repository_id)
            return found

        with mock.patch.object(repository_, 'open_repository', late):
            row = self.kit.create_backup('local:v')
        self.assertEqual(made[1], row.repository_id)

    def test_when_nobody_writes_then_progress_is_told(self) -> None:
        self.make_volume()
        told: list[control_.Progress] = []
        self.kit.create_backup(
            'local:v', control=control_.Control(told.append)
        )
        steps = list(dict.fromkeys(one.step for one in told))
        self.assertEqual('snapshot', steps[0])
        self.assertEqual(['record', 'settle-checkpoint'], steps[-2:])
        self.assertEqual(base.MIB, max(one.done_bytes for one in told))

    def test_when_it_is_unknown_then_what_is_known_is_told(self) -> None:
        for volume, told in (
            ('local', 'BACKEND:VOLUME'),
            ('other:v', 'enabled backends: local'),
        ):
            with self.assertRaisesRegex(errors.UsageError, told):
                self.kit.create_backup(volume)
        self.make_volume()
        with self.assertRaisesRegex(errors.NotFound, 'enabled targets: repo'):
            self.kit.create_backup('local:v', target='other')
        with self.assertRaises(errors.VolumeNotFound):
            self.kit.create_backup('local:none')
        self.assertEqual([], self.kit.list_runs(everything=True))

    def test_when_storage_is_shared_then_that_is_warned_of(self) -> None:
        self.make_volume()
        with (
            mock.patch.object(
                type(self.target),
                'storage_identity',
                lambda unused: self.driver.storage_identity(),
            ),
            self.assertLogs('backupkit.api', 'WARNING') as logs,
        ):
            self.kit.create_backup('local:v')
        self.assertIn('lie on the same storage', logs.output[0])


class InUseTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()

    def test_when_open_for_writing_then_it_is_refused(self) -> None:
        with (
            self.opened(),
            self.assertRaisesRegex(errors.InUse, 'or back it up as it is'),
        ):
            self.kit.create_backup('local:v')
        self.assertEqual([], self.kit.list_runs(everything=True))

    def test_when_forced_and_unchanged_then_it_is_consistent(self) -> None:
        with self.opened():
            row = self.kit.create_backup('local:v', force=True)
        self.assertTrue(row.consistent)
        self.assert_nothing_left()

    def _backup_while_writing(self, *, force: bool) -> catalog_.BackupRow:
        backup = repository_target.RepositoryTarget.backup

        def written(*args: object, **kwargs: object) -> target_.Prepared:
            prepared = backup(*args, **kwargs)  # type: ignore[arg-type]  # passed on
            self.write(b'meanwhile')
            return prepared

        with mock.patch.object(
            repository_target.RepositoryTarget, 'backup', written
        ):
            return self.kit.create_backup('local:v', force=force)

    def test_when_changed_meanwhile_then_it_fails(self) -> None:
        self.without('snapshots')
        with self.assertRaisesRegex(errors.VolumeChanged, '--force keeps'):
            self._backup_while_writing(force=False)
        row = self.last_row()
        self.assertEqual(model.BackupStatus.ERROR, row.status)
        self.assertIn('compare failed', row.fail_reason)
        self.assertEqual([], self.packs())
        self.assert_nothing_left()

    def test_when_changed_and_forced_then_both_records_say_so(self) -> None:
        self.without('snapshots')
        with self.assertLogs('backupkit.flows', 'WARNING'):
            row = self._backup_while_writing(force=True)
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertFalse(row.consistent)
        self.assertFalse(self.target.show(row.backup_id).consistent)

    def test_when_nothing_can_tell_then_it_is_not_consistent(self) -> None:
        self.without('snapshots', 'fingerprint')
        with self.opened():
            row = self.kit.create_backup('local:v', force=True)
        self.assertFalse(row.consistent)

    def test_when_snapshots_work_online_then_nothing_is_refused(self) -> None:
        cls = type(self.driver)
        able = dataclasses.replace(cls.capabilities, online_snapshots=True)
        self.patch(cls, 'capabilities', able)
        self.patch(cls, '_refuse_writers', lambda *unused: None)
        with self.opened():
            row = self.kit.create_backup('local:v')
        self.assertTrue(row.consistent)


class RestoreTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()
        self.backup_id = self.kit.create_backup('local:v').backup_id

    def test_when_new_then_a_volume_of_that_size_is_made(self) -> None:
        result = self.kit.restore_backup(self.backup_id, new='local:w')
        self.assertEqual(self.read('v'), self.read('w'))
        self.assertEqual(
            (True, base.MIB, base.MIB, 0),
            (
                result.created,
                result.size_bytes,
                result.volume_size_bytes,
                result.untouched_bytes,
            ),
        )

    def test_when_an_id_is_begun_then_that_is_enough(self) -> None:
        self.kit.restore_backup(self.backup_id[:8], new='local:w')
        self.assertEqual(self.read('v'), self.read('w'))

    def test_when_it_exists_then_overwriting_must_be_wanted(self) -> None:
        self.make_volume('w')
        before = self.read('w')
        with self.assertRaisesRegex(errors.UsageError, 'local:w exists'):
            self.kit.restore_backup(self.backup_id, to='local:w')
        with self.assertRaisesRegex(errors.VolumeExists, 'local:w exists'):
            self.kit.restore_backup(self.backup_id, new='local:w')
        self.assertEqual(before, self.read('w'))

    def test_when_it_is_larger_then_its_end_is_untouched(self) -> None:
        self.kit.create_volume('local:w', 2 * base.MIB)
        self.write(b'\xff' * 2 * base.MIB, 'w')
        result = self.kit.restore_backup(
            self.backup_id, to='local:w', overwrite=True
        )
        found = self.read('w')
        self.assertEqual(self.read('v'), found[: base.MIB])
        self.assertEqual(b'\xff' * base.MIB, found[base.MIB :])
        self.assertEqual(base.MIB, result.untouched_bytes)
        self.assertFalse(result.created)

    def test_when_it_is_too_small_then_no_byte_moves(self) -> None:
        self.make_volume('w', base.MIB - 512)
        before = self.read('w')
        with self.assertRaises(errors.DestinationTooSmall):
            self.kit.restore_backup(
                self.backup_id, to='local:w', overwrite=True
            )
        self.assertEqual(before, self.read('w'))
        self.assertEqual([], self.catalog.destinations())

    def test_when_it_shrank_meanwhile_then_no_byte_moves(self) -> None:
        self.make_volume('w', base.MIB - 512)
        before = self.read('w')
        show = type(self.driver).show

        def larger(driver: object, volume_id: str) -> model.Volume:
            found = show(self.driver, volume_id)
            return dataclasses.replace(found, size_bytes=base.MIB)

        with (
            mock.patch.object(type(self.driver), 'show', larger),
            self.assertRaises(errors.DestinationTooSmall),
        ):
            self.kit.restore_backup(
                self.backup_id, to='local:w', overwrite=True
            )
        self.assertEqual(before, self.read('w'))
        self.assertEqual([], self.catalog.destinations())
        self.assert_nothing_left()

    def test_when_in_use_then_it_is_refused(self) -> None:
        self.make_volume('w')
        with self.opened('w'), self.assertRaises(errors.InUse):
            self.kit.restore_backup(
                self.backup_id, to='local:w', overwrite=True
            )
        self.assertEqual([], self.catalog.destinations())
        self.assert_nothing_left()

    def test_when_where_to_is_not_one_then_it_is_refused(self) -> None:
        with self.assertRaises(errors.UsageError):
            self.kit.restore_backup(self.backup_id)
        with self.assertRaises(errors.UsageError):
            self.kit.restore_backup(
                self.backup_id, to='local:w', new='local:w'
            )

    def test_when_the_backup_is_not_good_then_it_is_refused(self) -> None:
        self.kit.delete_backup(self.backup_id)
        with self.assertRaisesRegex(errors.NotFound, 'it is deleted'):
            self.kit.restore_backup(self.backup_id, new='local:w')
        with self.assertRaises(errors.NotFound):
            self.kit.restore_backup('ffffffff', new='local:w')


class UpkeepTestCase(base.KitTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make_volume()
        self.row = self.kit.create_backup('local:v')

    def damage(self) -> None:
        """Flip a bit in the middle of every pack."""
        for name in self.packs():
            data = bytearray(self.medium.objects[name])
            data[len(data) // 3] ^= 1
            self.medium.objects[name] = bytes(data)

    def status(self) -> model.BackupStatus:
        return self.kit.show_backup(self.row.backup_id).status

    def test_when_all_is_well_then_a_verify_is_noted(self) -> None:
        report = self.kit.verify_backup(self.row.backup_id)
        self.assertTrue(report.good)
        self.assertNotEqual(
            '', self.kit.show_backup(self.row.backup_id).verified_at
        )

    def test_when_a_bit_flipped_then_the_record_says_damaged(self) -> None:
        self.damage()
        report = self.kit.verify_backup(self.row.backup_id, full=True)
        self.assertFalse(report.good)
        self.assertEqual(model.BackupStatus.DAMAGED, self.status())
        found = [d for d in self.kit.doctor() if d.area == 'backup']
        self.assertEqual([self.row.backup_id], [one.name for one in found])

    def test_when_it_is_mended_then_a_full_verify_says_so(self) -> None:
        good = dict(self.medium.objects)
        self.damage()
        self.kit.verify_backup(self.row.backup_id, full=True)
        self.medium.objects.update(good)
        self.kit.verify_backup(self.row.backup_id)
        self.assertEqual(model.BackupStatus.DAMAGED, self.status())
        self.kit.verify_backup(self.row.backup_id, full=True)
        self.assertEqual(model.BackupStatus.AVAILABLE, self.status())

    def test_when_the_manifest_is_gone_then_that_is_a_finding(self) -> None:
        name = next(n for n in self.medium.objects if n.endswith('manifest'))
        del self.medium.objects[name]
        report = self.kit.verify_backup(self.row.backup_id)
        self.assertFalse(report.good)
        self.assertEqual(model.BackupStatus.DAMAGED, self.status())

    def test_when_a_check_finds_damage_then_it_is_recorded(self) -> None:
        self.damage()
        report = self.kit.check_repository(read_data=True)
        self.assertFalse(report.good)
        self.assertEqual(model.BackupStatus.DAMAGED, self.status())
        self.assert_nothing_left()

    def test_when_deleted_then_it_is_hidden_and_space_is_freed(self) -> None:
        row = self.kit.delete_backup(self.row.backup_id)
        self.assertEqual(model.BackupStatus.DELETED, row.status)
        self.assertEqual([], self.kit.list_backups())
        self.assertEqual([row], self.kit.list_backups(everything=True))
        self.assertEqual(row, self.kit.delete_backup(row.backup_id))
        self.kit.collect_garbage()
        self.kit.collect_garbage()
        self.assertEqual([], self.packs())
        self.assert_nothing_left()

    def test_when_a_gc_drops_its_record_then_it_is_told_all_the_same(
        self,
    ) -> None:
        delete = upkeep._delete

        def meanwhile(*args: Any) -> None:
            delete(*args)
            other = self.connect()
            for _ in range(2):
                other.collect_garbage()
            self.assertEqual([], other.list_backups(everything=True))

        with mock.patch.object(upkeep, '_delete', meanwhile):
            row = self.kit.delete_backup(self.row.backup_id)
        self.assertEqual(self.row.backup_id, row.backup_id)
        self.assertEqual(model.BackupStatus.DELETED, row.status)

    def test_when_a_backup_is_being_made_then_it_is_kept(self) -> None:
        backup = repository_target.RepositoryTarget.backup

        def meanwhile(*args: object, **kwargs: object) -> object:
            other = self.connect()
            with self.assertRaises(errors.Conflict):
                other.delete_backup(self.last_row().backup_id)
            return backup(*args, **kwargs)  # type: ignore[arg-type]  # passed on

        with mock.patch.object(
            repository_target.RepositoryTarget, 'backup', meanwhile
        ):
            self.kit.create_backup('local:v')

    def test_when_a_restore_reads_then_gc_waits_for_it(self) -> None:
        restore = repository_target.RepositoryTarget.restore
        results: list[target_.GcResult] = []

        def meanwhile(*args: object, **kwargs: object) -> object:
            other = self.connect()
            with self.assertRaises(errors.Conflict):
                other.delete_backup(self.row.backup_id)
            # An unreached pack, which the restore might still read.
            self.medium.objects.update(stray)
            results.append(other.collect_garbage())
            return restore(*args, **kwargs)  # type: ignore[arg-type]  # passed on

        stray = {
            name: data
            for name, data in self.medium.objects.items()
            if '/packs/' in name
        }
        other = self.kit.create_backup('local:v', full=True)
        self.kit.delete_backup(other.backup_id)
        owner = other.service_metadata
        stray = {
            name.replace(self.row.service_metadata, owner): data
            for name, data in stray.items()
        }
        with mock.patch.object(
            repository_target.RepositoryTarget, 'restore', meanwhile
        ):
            self.kit.restore_backup(self.row.backup_id, new='local:w')
        self.assertEqual((self.row.backup_id,), results[0].waiting_for)
        self.assertEqual((), self.kit.collect_garbage().waiting_for)
        self.assertEqual(self.read('v'), self.read('w'))

    def test_when_the_target_is_full_then_it_can_be_emptied(self) -> None:
        self.medium.limit_bytes = self.medium.used_bytes()
        delete = repository_target.RepositoryTarget.delete
        names = set(self.medium.objects)

        def full(*args: object, **kwargs: object) -> None:
            if 'reserve' in self.medium.objects:
                raise errors.TargetFull('no space')
            delete(*args, **kwargs)  # type: ignore[arg-type]  # passed on

        with (
            mock.patch.object(
                repository_target.RepositoryTarget, 'delete', full
            ),
            self.assertLogs('backupkit.flows', 'WARNING'),
        ):
            row = self.kit.delete_backup(self.row.backup_id)
        self.assertEqual(model.BackupStatus.DELETED, row.status)
        self.assertIn('reserve', names)
        self.kit.collect_garbage()
        self.kit.collect_garbage()
        self.assertIn('reserve', self.medium.objects)

    def test_when_a_backup_fills_the_target_then_it_is_undone(self) -> None:
        self.medium.limit_bytes = self.medium.used_bytes()
        before = set(self.medium.objects)
        self.write(bytes(range(256)) * 1000)
        with (
            self.assertRaises(errors.TargetFull),
            self.assertLogs('backupkit.flows', 'WARNING'),
        ):
            self.kit.create_backup('local:v')
        row = self.last_row()
        self.assertEqual(model.BackupStatus.ERROR, row.status)
        left = set(self.medium.objects) - before
        self.assertEqual(1, len(left), left)
        self.assertIn(row.backup_id, left.pop())
        self.assert_nothing_left()

    def test_when_the_catalog_is_full_then_likewise(self) -> None:
        register = catalog_.Catalog.register_run

        def full(*args: object, **kwargs: object) -> object:
            if 'reserve' in self.medium.objects:
                raise errors.CatalogFull('no space')
            return register(*args, **kwargs)  # type: ignore[arg-type]  # passed on

        with (
            mock.patch.object(catalog_.Catalog, 'register_run', full),
            self.assertLogs('backupkit.flows', 'WARNING'),
        ):
            self.kit.delete_backup(self.row.backup_id)
        self.assertEqual(model.BackupStatus.DELETED, self.status())
        self.assertIn('reserve', self.medium.objects)
        self.assert_nothing_left()

    def test_when_the_catalog_is_lost_then_it_can_be_rebuilt(self) -> None:
        before = self.kit.list_backups()
        self.kit.close()
        os.unlink(self.directory / 'state' / 'catalog.sqlite')
        kit = self.connect()
        self.assertEqual([], kit.list_backups())
        result = kit.rebuild_catalog()
        self.assertEqual(
            (1, 1, ()), (result.found, result.added, result.missing)
        )
        self.assertEqual(
            [_rebuilt(row) for row in before],
            [_rebuilt(row) for row in kit.list_backups()],
        )
        with self.assertRaises(errors.NotOwner):
            kit.create_backup('local:v')
        self.assertEqual(
            kit.adopt_repository()['former_catalog_id'],
            self.catalog_id,
        )
        row = kit.create_backup('local:v')
        self.assertEqual(model.BackupKind.INCREMENTAL, row.kind)

    @property
    def catalog_id(self) -> str:
        return self._catalog_id

    def connect(self) -> api.Backupkit:
        kit = super().connect()
        if not hasattr(self, '_catalog_id'):
            self._catalog_id = kit._session.catalog.catalog_id
        return kit

    def test_when_the_target_lost_some_then_a_rebuild_tells(self) -> None:
        self.kit.create_backup('local:v')
        name = f'{self.row.service_metadata}manifest'
        del self.medium.objects[name]
        result = self.kit.rebuild_catalog()
        self.assertEqual((self.row.backup_id,), result.missing)
        self.assertEqual(model.BackupStatus.DAMAGED, self.status())

    def test_when_a_target_is_validated_then_it_is_left_alone(self) -> None:
        before = dict(self.medium.objects)
        found = self.kit.validate_target()
        self.assertLess(10, len(found))
        self.assertEqual([], [one for one in found if one[1] != 'ok'])
        self.assertEqual(before, self.medium.objects)

    def test_when_asked_then_statistics_are_told(self) -> None:
        found = self.kit.repository_stats()
        self.assertEqual(1, found['backups'])
        self.assertEqual(base.MIB, found['logical_bytes'])


def _rebuilt(row: catalog_.BackupRow) -> catalog_.BackupRow:
    """Return a record without what only its run knew."""
    return dataclasses.replace(row, finished_at='', run_number=0)


class PlanTestCase(base.KitTestCase):
    def test_when_planned_then_nothing_is_made(self) -> None:
        self.make_volume()
        plan = self.kit.plan_backup('local:v')
        self.assertTrue(plan.snapshot)
        self.assertEqual('snapshot', plan.steps[0][0])
        self.assertIn('1. snapshot', plan.text)
        self.assertIn('digraph', plan.dot)
        self.assertEqual([], self.kit.list_runs(everything=True))
        self.assertEqual({}, self.medium.objects)

    def test_when_it_would_be_refused_then_so_is_the_plan(self) -> None:
        self.make_volume()
        with self.opened():
            with self.assertRaises(errors.InUse):
                self.kit.plan_backup('local:v')
            self.assertTrue(
                self.kit.plan_backup('local:v', force=True).compare
            )


class VolumeTestCase(base.KitTestCase):
    def test_when_made_and_deleted_then_it_is_listed_between(self) -> None:
        made = self.kit.create_volume('local:v', 4096)
        self.assertEqual('local:v', made.volume)
        self.assertEqual([made], self.kit.list_volumes())
        self.assertEqual([made], self.kit.list_volumes('local'))
        self.assertEqual(made, self.kit.show_volume('local:v'))
        self.kit.delete_volume('local:v')
        self.assertEqual([], self.kit.list_volumes())
        with self.assertRaises(errors.VolumeNotFound):
            self.kit.delete_volume('local:v')

    def test_when_the_size_is_negative_then_it_is_refused(self) -> None:
        with self.assertRaises(errors.UsageError):
            self.kit.create_volume('local:v', -1)


class TargetTestCase(base.KitTestCase):
    configuration = base.CONFIGURATION.replace(
        'enabled_targets = repo', 'enabled_targets = repo, other'
    ) + ('[target:other]\ndriver = memory\nmedium = {name}-other\n')

    def test_when_there_are_two_then_one_must_be_named(self) -> None:
        self.make_volume()
        with self.assertRaisesRegex(errors.UsageError, 'default_target'):
            self.kit.create_backup('local:v')
        row = self.kit.create_backup('local:v', target='other')
        self.kit.restore_backup(row.backup_id, new='local:w')
        self.assertEqual([], self.packs())
        self.assertEqual([], self.kit.list_backups(target='repo'))
        self.assertEqual([row], self.kit.list_backups(target='other'))
        self.assertEqual([row], self.kit.list_backups(volume='local:v'))
        self.assertEqual([], self.kit.list_backups(volume='local:w'))

    def test_when_alternating_then_each_has_a_parent_of_its_own(self) -> None:
        self.make_volume()
        rows = []
        for number, target in enumerate(('repo', 'other', 'repo', 'other')):
            self.write(b'%d' % number * 70_000, offset=70_000 * number)
            rows.append(self.kit.create_backup('local:v', target=target))
        self.assertEqual(
            [None, None, rows[0].backup_id, rows[1].backup_id],
            [row.parent_id for row in rows],
        )
        for row in rows[2:]:
            self.kit.restore_backup(row.backup_id, new=f'local:{row.target}')
        self.assertEqual(self.read('v'), self.read('other'))


class LoadingTestCase(base.KitTestCase):
    def loaded(self, code: str) -> list[str]:
        """Run code in a new process and return which modules it loaded."""
        path = self.directory / 'backupkit.conf'
        text = (
            'import json, sys\n'
            'from backupkit import api, conf\n'
            f'kit = api.Backupkit(conf.load([{str(path)!r}]))\n'
            f'{code}\n'
            'print(json.dumps(sorted(sys.modules)))\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', text],
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[str] = json.loads(done.stdout.splitlines()[-1])
        return found

    def test_when_listing_then_nothing_heavy_is_loaded(self) -> None:
        loaded = self.loaded('kit.list_backups()')
        heavy = {
            'alembic',
            'backupkit.flows',
            'backupkit.repository',
            'blake3',
            'eventlet',
            'os_brick',
            'taskflow',
            'zstandard',
        }
        self.assertEqual(set(), heavy & set(loaded))

    def test_when_volumes_are_listed_then_no_catalog_is_made(self) -> None:
        self.loaded('kit.list_volumes(); kit.list_drivers()')
        self.assertFalse((self.directory / 'state').exists())
