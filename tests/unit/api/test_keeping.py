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

"""Copies, protection, pruning and records, through the API."""

from __future__ import annotations

import datetime
import json
import pathlib
from typing import Any
from unittest import mock

from backupkit import api
from backupkit.api import retention
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit import errors
from backupkit import model
from backupkit.repository import target as repository_target
from backupkit.testing.memory import store as store_
from tests.unit.flows import base

_TWO = (
    base.CONFIGURATION.replace(
        'enabled_targets = repo',
        'enabled_targets = repo,vault,coarse,volumes\ndefault_target = repo',
    )
    + """
[target:vault]
driver = memory
medium = {name}-vault
chunk_size_bytes = 65536
pack_size_bytes = 1048576
[target:coarse]
driver = memory
medium = {name}-coarse
chunk_size_bytes = 262144
pack_size_bytes = 1048576
[target:volumes]
driver = volume
backend = keepers
[backend:keepers]
driver = file
volumes_dir = {directory}/keepers
"""
)


class CopyCase(base.KitTestCase):
    configuration = _TWO

    def setUp(self) -> None:
        super().setUp()
        (self.directory / 'keepers').mkdir()
        for name in ('vault', 'coarse'):
            self.addCleanup(store_.discard, f'{self.name}-{name}')
        self.make_volume()

    def vault(self, what: str = '/packs/') -> list[str]:
        """Return the names of objects of the target ``vault``."""
        objects = store_.medium(f'{self.name}-vault').objects
        return [name for name in objects if what in name]

    def restored(self, backup_id: str) -> bytes:
        name = f'r{len(self.kit.list_volumes("local"))}'
        self.kit.restore_backup(backup_id, new=f'local:{name}')
        return self.read(name)


class CopyTestCase(CopyCase):
    def test_when_copied_anywhere_then_it_comes_back(self) -> None:
        made = self.kit.create_backup('local:v', name='weekly')
        content = self.read()
        self.kit.delete_volume('local:v')
        source = made
        for target in ('vault', 'coarse', 'volumes'):
            copied = self.kit.copy_backup(source.backup_id, to=target)
            self.assertEqual(made.backup_id, copied.copy_of)
            self.assertEqual(target, copied.target)
            for key in ('name', 'created_at', 'volume_id', 'size_bytes'):
                self.assertEqual(getattr(made, key), getattr(copied, key))
            self.assertEqual(content, self.restored(copied.backup_id))
            report = self.kit.verify_backup(copied.backup_id, full=True)
            self.assertTrue(report.good)
            # From there to the next: from any target to any other.
            source = copied
        self.assert_nothing_left()

    def test_when_the_original_is_gone_then_a_copy_brings_it_back(
        self,
    ) -> None:
        made = self.kit.create_backup('local:v')
        copied = self.kit.copy_backup(made.backup_id, to='vault')
        self.kit.delete_backup(made.backup_id)
        self.kit.collect_garbage('repo')
        back = self.kit.copy_backup(copied.backup_id, to='repo')
        self.assertEqual(made.backup_id, back.copy_of)
        self.assertEqual(self.read(), self.restored(back.backup_id))

    def test_when_the_catalog_is_rebuilt_then_it_knows_what_is_a_copy(
        self,
    ) -> None:
        made = self.kit.create_backup('local:v')
        copies = [
            self.kit.copy_backup(made.backup_id, to=target)
            for target in ('vault', 'volumes')
        ]
        self.kit.close()
        for path in (self.directory / 'state').glob('catalog.sqlite*'):
            path.unlink()
        again = self.connect()
        for copied in copies:
            self.assertEqual(1, again.rebuild_catalog(copied.target).added)
            row = again.show_backup(copied.backup_id)
            self.assertEqual(made.backup_id, row.copy_of)
            self.assertEqual(made.created_at, row.created_at)

    def test_when_an_old_one_is_copied_late_then_it_stays_an_old_one(
        self,
    ) -> None:
        old = self.kit.create_backup('local:v')
        self.write(b'changed')
        new = self.kit.create_backup('local:v')
        last = self.kit.copy_backup(new.backup_id, to='vault')
        self.kit.copy_backup(old.backup_id, to='vault')
        self.write(b'again')
        row = self.kit.create_backup('local:v', target='vault')
        self.assertEqual(last.backup_id, row.parent_id)
        self.assertEqual(self.read(), self.restored(row.backup_id))

    def test_when_it_is_refused_then_it_says_why(self) -> None:
        made = self.kit.create_backup('local:v')
        wanted: tuple[tuple[str, str, type[errors.BackupkitError], str], ...]
        wanted = (
            ('0' * 8, 'vault', errors.NotFound, 'there is no backup'),
            (made.backup_id, 'repo', errors.UsageError, 'on target repo alr'),
            (made.backup_id, 'none', errors.NotFound, 'enabled targets:'),
        )
        for backup_id, target, kind, told in wanted:
            with self.assertRaisesRegex(kind, told):
                self.kit.copy_backup(backup_id, to=target)
        copied = self.kit.copy_backup(made.backup_id, to='vault')
        runs = self.kit.list_runs(everything=True)
        with self.assertRaisesRegex(
            errors.Conflict, f'already, as backup {copied.backup_id}'
        ):
            self.kit.copy_backup(made.backup_id, to='vault')
        with self.assertRaisesRegex(errors.Conflict, 'holds backup'):
            self.kit.copy_backup(copied.backup_id, to='repo')
        self.assertEqual(runs, self.kit.list_runs(everything=True))
        self.assert_nothing_left()

    def test_when_a_delete_comes_meanwhile_then_it_waits(self) -> None:
        made = self.kit.create_backup('local:v')
        refused: list[str] = []
        backup = repository_target.RepositoryTarget.backup

        def meanwhile(*args: Any, **kwargs: Any) -> Any:
            with self.assertRaises(errors.Conflict) as caught:
                self.kit.delete_backup(made.backup_id)
            refused.append(str(caught.exception))
            with self.assertRaises(errors.Conflict):
                self.kit.copy_backup(made.backup_id, to='vault')
            waits = self.kit.collect_garbage('repo').waiting_for
            self.assertEqual((), waits)
            return backup(*args, **kwargs)

        self.patch(repository_target.RepositoryTarget, 'backup', meanwhile)
        self.kit.copy_backup(made.backup_id, to='vault')
        self.assertIn(f'backup {made.backup_id} is held by', refused[0])
        self.assert_nothing_left()

    def test_when_any_step_fails_then_nothing_is_left(self) -> None:
        made = self.kit.create_backup('local:v')
        for step in ('copy', 'record'):
            with (
                self.stopping_at(step, errors.TargetFull('no space')),
                self.assertRaises(errors.TargetFull),
            ):
                self.kit.copy_backup(made.backup_id, to='vault')
            self.assertEqual(model.BackupStatus.ERROR, self.last_row().status)
            self.assertEqual([], self.vault())
            self.assert_nothing_left()
        self.kit.copy_backup(made.backup_id, to='vault')

    def test_when_cancelled_then_it_is_undone(self) -> None:
        made = self.kit.create_backup('local:v')
        control = control_.Control()

        def report(progress: control_.Progress) -> None:
            if progress.done_bytes:
                control.cancel()

        control._report = report
        with self.assertRaises(errors.Cancelled):
            self.kit.copy_backup(made.backup_id, to='vault', control=control)
        self.assertEqual([], self.vault())
        self.assert_nothing_left()

    def test_when_the_source_is_damaged_then_no_copy_comes_of_it(
        self,
    ) -> None:
        made = self.kit.create_backup('local:v')
        for name in self.packs():
            content = bytearray(self.medium.objects[name])
            content[9] ^= 1
            self.medium.objects[name] = bytes(content)
        for target in ('vault', 'coarse'):
            with self.assertRaises(errors.IntegrityError):
                self.kit.copy_backup(made.backup_id, to=target)
            self.assertEqual([], self.kit.list_backups(target=target))
        self.assertEqual([], self.vault())
        self.assert_nothing_left()

    def test_when_it_was_suspended_then_the_next_one_goes_on(self) -> None:
        made = self.kit.create_backup('local:v')
        for step in ('copy', 'record'):
            with (
                self.stopping_at(step, errors.Suspended('stopped')),
                self.assertRaises(errors.Suspended),
            ):
                self.kit.copy_backup(made.backup_id, to='vault')
            left = self.only_run()
            packs = self.vault()
            copied = self.kit.copy_backup(made.backup_id, to='vault')
            self.assertEqual(left.backup_id, copied.backup_id)
            self.assertLessEqual(set(packs), set(self.vault()))
            self.assertEqual(self.read(), self.restored(copied.backup_id))
            self.kit.delete_backup(copied.backup_id)
            self.kit.collect_garbage('vault')
            self.assertEqual([], self.vault())
        self.assert_nothing_left()

    def test_when_it_was_suspended_then_it_can_be_aborted(self) -> None:
        made = self.kit.create_backup('local:v')
        with (
            self.stopping_at('record', errors.Suspended('stopped')),
            self.assertRaises(errors.Suspended),
        ):
            self.kit.copy_backup(made.backup_id, to='vault')
        with self.assertRaisesRegex(errors.Conflict, 'is held by run'):
            self.kit.delete_backup(made.backup_id)
        self.kit.abort_run(self.only_run().run_id)
        self.assertEqual([], self.vault())
        self.kit.delete_backup(made.backup_id)
        self.assert_nothing_left()

    def test_when_targets_share_storage_then_that_is_told(self) -> None:
        made = self.kit.create_backup('local:v')
        identity = model.StorageIdentity('one')
        with (
            mock.patch.object(
                type(self.target), 'storage_identity', lambda _: identity
            ),
            self.assertLogs('backupkit.api.copies', 'WARNING') as logs,
        ):
            self.kit.copy_backup(made.backup_id, to='vault')
        self.assertIn('lie on the same storage', logs.output[0])

    def test_when_two_names_mean_one_repository_then_it_is_refused(
        self,
    ) -> None:
        made = self.kit.create_backup('local:v')
        text = self.configuration.replace('{name}-vault', '{name}-medium')
        with mock.patch.object(self, 'configuration', text):
            kit = self.connect()
            with self.assertRaisesRegex(
                errors.UsageError, 'hold the same repository'
            ):
                kit.copy_backup(made.backup_id, to='vault')

    def test_when_gc_runs_on_the_source_then_it_counts_the_copy(self) -> None:
        made = self.kit.create_backup('local:v')
        run = self.catalog.register_run(
            catalog_.RunKind.COPY,
            backup_id='11111111-2222-3333-4444-555555555555',
            source_id=made.backup_id,
            source_repository_id=made.repository_id,
            repository_id='elsewhere',
        )
        for repository_id in (made.repository_id, 'elsewhere'):
            self.assertEqual({run.backup_id}, self.catalog.live(repository_id))
        self.assertEqual(frozenset(), self.catalog.live('another'))
        self.catalog.finish_run(run.run_id, 'failed')


class PruneTestCase(CopyCase):
    def setUp(self) -> None:
        super().setUp()
        self.made = []
        for day in range(1, 6):
            self.write(b'%d' % day)
            row = self.kit.create_backup('local:v')
            self.date(row.backup_id, f'2026-03-0{day}T10:00:00+00:00')
            self.made.append(row.backup_id)

    def date(self, backup_id: str, created_at: str) -> None:
        self.catalog.update_backup(backup_id, created_at=created_at)

    def left(self) -> list[str]:
        return [row.backup_id for row in self.kit.list_backups()]

    def test_when_pruned_then_the_rules_hold(self) -> None:
        rules = retention.Rules(last=2)
        planned = self.kit.plan_prune(rules)
        self.assertEqual(
            ['remove'] * 3 + ['keep'] * 2, [one.action for one in planned]
        )
        self.assertEqual(self.made, self.left())
        told = self.kit.prune_backups(rules)
        self.assertEqual(
            ['removed'] * 3 + ['keep'] * 2, [one.action for one in told]
        )
        self.assertEqual(self.made, [one.backup_id for one in told])
        self.assertEqual(self.made[3:], self.left())
        for backup_id in self.left():
            self.assertTrue(self.kit.verify_backup(backup_id, full=True).good)
        self.assert_nothing_left()

    def test_when_protected_then_it_stays(self) -> None:
        self.assertTrue(self.kit.protect_backup(self.made[0]).protected)
        told = self.kit.prune_backups(retention.Rules(last=1))
        self.assertEqual(('protected',), told[0].reasons)
        self.assertEqual([self.made[0], self.made[4]], self.left())
        with self.assertRaisesRegex(errors.Conflict, 'backup unprotect'):
            self.kit.delete_backup(self.made[0])
        self.assertFalse(self.kit.unprotect_backup(self.made[0]).protected)
        self.kit.delete_backup(self.made[0])
        with self.assertRaisesRegex(errors.Conflict, 'only a backup that is'):
            self.kit.protect_backup(self.made[0])
        self.assert_nothing_left()

    def test_when_it_is_protected_at_the_last_moment_then_it_stays(
        self,
    ) -> None:
        show = repository_target.RepositoryTarget.show

        def protecting(target: Any, backup_id: str) -> model.BackupSummary:
            self.kit.protect_backup(backup_id)
            return show(target, backup_id)

        self.patch(repository_target.RepositoryTarget, 'show', protecting)
        told = self.kit.prune_backups(retention.Rules(last=4))
        self.assertEqual('failed', told[0].action)
        self.assertIn('is protected', told[0].problem)
        self.assertEqual(errors.Conflict.exit_code, told[0].exit_code)
        self.assertEqual(self.made, self.left())
        self.assert_nothing_left()

    def test_when_nothing_would_be_left_then_it_is_refused(self) -> None:
        self.kit.create_volume('local:w', base.MIB)
        other = self.kit.create_backup('local:w').backup_id
        rules = retention.Rules(last=0)
        with self.assertRaisesRegex(errors.UsageError, r'and 1 more.*--yes'):
            self.kit.prune_backups(rules)
        self.assertEqual([*self.made, other], self.left())
        self.kit.prune_backups(rules, volume='local:w', empty=True)
        self.assertEqual(self.made, self.left())
        # What is protected is a history too.
        self.kit.protect_backup(self.made[2])
        self.kit.prune_backups(rules)
        self.assertEqual([self.made[2]], self.left())

    def test_when_each_line_is_judged_then_it_is_by_itself(self) -> None:
        copied = self.kit.copy_backup(self.made[0], to='vault').backup_id
        self.kit.create_volume('local:w', base.MIB)
        other = self.kit.create_backup('local:w').backup_id
        self.kit.prune_backups(retention.Rules(last=1))
        self.assertEqual({copied, other, self.made[4]}, set(self.left()))

    def test_when_a_scope_is_given_then_nothing_else_is_touched(self) -> None:
        copied = self.kit.copy_backup(self.made[0], to='vault').backup_id
        rules = retention.Rules(last=0)
        self.kit.prune_backups(rules, target='vault', empty=True)
        self.assertEqual(self.made, self.left())
        self.assertNotIn(copied, self.left())
        scopes: list[dict[str, Any]]
        scopes = [{'volume': 'local:w'}, {'backend': 'other'}]
        for scope in scopes:
            self.assertEqual([], self.kit.prune_backups(rules, **scope))
        scopes = [
            {'target': 'none'},
            {'volume': 'nocolon'},
            {'volume': 'local:v', 'backend': 'local'},
        ]
        for wrong in scopes:
            with self.assertRaises(errors.UsageError):
                self.kit.prune_backups(rules, **wrong)
        self.kit.prune_backups(
            retention.Rules(within=datetime.timedelta(days=1)),
            backend='local',
        )
        self.assertEqual(self.made[3:], self.left())

    def test_when_one_is_damaged_then_it_neither_counts_nor_goes(
        self,
    ) -> None:
        self.catalog.update_backup(
            self.made[4], status=model.BackupStatus.DAMAGED
        )
        self.kit.prune_backups(retention.Rules(last=1))
        self.assertEqual(self.made[3:], self.left())

    def test_when_one_cannot_be_deleted_then_the_others_are(self) -> None:
        delete = repository_target.RepositoryTarget.delete

        def failing(target: Any, backup_id: str) -> None:
            if backup_id == self.made[1]:
                raise errors.TargetReadOnly('no')
            delete(target, backup_id)

        with mock.patch.object(
            repository_target.RepositoryTarget, 'delete', failing
        ):
            told = self.kit.prune_backups(retention.Rules(last=1))
        self.assertEqual(
            ['removed', 'failed', 'removed', 'removed', 'keep'],
            [one.action for one in told],
        )
        self.assertEqual(5, told[1].exit_code)
        self.assertEqual([self.made[1], self.made[4]], self.left())
        self.assert_nothing_left()

    def test_when_cancelled_then_the_rest_stays(self) -> None:
        control = control_.Control()
        control.cancel()
        with self.assertRaises(errors.Cancelled):
            self.kit.prune_backups(retention.Rules(last=1), control=control)
        self.assertEqual(self.made, self.left())


class RecordsTestCase(CopyCase):
    def setUp(self) -> None:
        super().setUp()
        self.made = self.kit.create_backup('local:v', name='weekly')
        self.document = json.loads(
            self.kit.export_backups([self.made.backup_id])
        )

    def another(self) -> api.Backupkit:
        """Return a kit with a catalog of its own on the same targets."""
        text = self.configuration.replace('/state', '/elsewhere')
        pathlib.Path(self.directory / 'elsewhere').mkdir(exist_ok=True)
        with mock.patch.object(self, 'configuration', text):
            return self.connect()

    def take(self, kit: api.Backupkit, **options: Any) -> Any:
        return kit.import_backups(
            json.dumps(self.document).encode(), **options
        )

    def test_when_imported_elsewhere_then_it_can_be_restored(self) -> None:
        copied = self.kit.copy_backup(self.made.backup_id, to='volumes')
        self.kit.protect_backup(copied.backup_id)
        text = self.kit.export_backups(
            [self.made.backup_id[:8], copied.backup_id]
        )
        other = self.another()
        result = other.import_backups(text.encode())
        self.assertEqual((2, 2), (result.found, result.added))
        row = other.show_backup(self.made.backup_id)
        self.assertEqual('weekly', row.name)
        self.assertEqual(self.made.size_bytes, row.size_bytes)
        self.assertFalse(row.protected)
        row = other.show_backup(copied.backup_id)
        self.assertTrue(row.protected)
        self.assertEqual(self.made.backup_id, row.copy_of)
        for backup_id in (self.made.backup_id, copied.backup_id):
            self.assertTrue(other.verify_backup(backup_id, full=True).good)
        self.assertEqual(0, other.import_backups(text.encode()).added)

    def test_when_another_target_is_named_then_it_is_looked_for_there(
        self,
    ) -> None:
        with self.assertRaisesRegex(errors.NotFound, 'holds no'):
            self.kit.copy_backup(self.made.backup_id, to='vault')
            self.take(self.another(), target='vault')

    def test_when_a_record_says_other_things_then_it_is_refused(
        self,
    ) -> None:
        for key, value in (
            ('size_bytes', 5),
            ('volume_id', 'w'),
            ('backend', 'other'),
            ('kind', 'incremental'),
            ('created_at', '1999-01-01T00:00:00+00:00'),
            ('sequence', 77),
            ('repository_id', '11111111-2222-3333-4444-555555555555'),
            ('copy_of', '11111111-2222-3333-4444-555555555555'),
        ):
            other = self.another()
            kept = self.document['backups'][0][key]
            self.document['backups'][0][key] = value
            with self.assertRaisesRegex(errors.FormatError, key):
                self.take(other)
            self.document['backups'][0][key] = kept
            self.assertEqual([], other.list_backups())
        self.take(self.another())

    def test_when_one_of_many_is_wrong_then_none_is_recorded(self) -> None:
        wrong = dict(self.document['backups'][0])
        wrong['backup_id'] = '11111111-2222-3333-4444-555555555555'
        self.document['backups'].append(wrong)
        other = self.another()
        with self.assertRaisesRegex(errors.NotFound, '11111111-2222'):
            self.take(other)
        self.assertEqual([], other.list_backups(everything=True))

    def test_when_the_document_is_hostile_then_it_is_refused(self) -> None:
        (record,) = self.document['backups']
        for hostile in (
            b'',
            b'\xff\xfe',
            b'[]',
            b'{}',
            b'{"a":' * 100_000,
            b'{"format": "backupkit records", "version": NaN}',
            b'{"format": "x", "format": "x"}',
            json.dumps({**self.document, 'format': 'other'}).encode(),
            json.dumps({**self.document, 'version': 0}).encode(),
            json.dumps({**self.document, 'version': '1'}).encode(),
            json.dumps({**self.document, 'backups': {}}).encode(),
            json.dumps({**self.document, 'backups': ['x']}).encode(),
            json.dumps({**self.document, 'backups': [record] * 2}).encode(),
        ):
            with self.assertRaises(errors.FormatError, msg=hostile[:60]):
                self.kit.import_backups(hostile)
        for key, value in (
            ('backup_id', '../../../../etc/passwd'),
            ('backup_id', record['backup_id'].upper()),
            ('target', '../repo'),
            ('target', 'repo\x1b[2J'),
            ('target', ''),
            ('size_bytes', -1),
            ('size_bytes', 1 << 70),
            ('size_bytes', 1.0),
            ('size_bytes', True),
            ('kind', 'other'),
            ('copy_of', 'x'),
            ('protected', 'yes'),
            ('volume_id', 'v\0'),
            ('volume_id', 'v' * 5000),
            ('created_at', None),
        ):
            hostile_record = {**record, key: value}
            told = {**self.document, 'backups': [hostile_record]}
            with self.assertRaises(errors.FormatError, msg=(key, value)):
                self.kit.import_backups(json.dumps(told).encode())

    def test_when_it_is_of_a_newer_version_then_that_is_told(self) -> None:
        self.document['version'] = 2
        with self.assertRaisesRegex(errors.FormatTooNew, 'version 2'):
            self.take(self.kit)

    def test_when_the_target_is_not_enabled_then_that_is_told(self) -> None:
        self.document['backups'][0]['target'] = 'gone'
        with self.assertRaisesRegex(errors.NotFound, 'gone is not enabled'):
            self.take(self.kit)

    def test_when_it_is_not_there_then_it_is_not_exported(self) -> None:
        self.kit.delete_backup(self.made.backup_id)
        with self.assertRaisesRegex(errors.NotFound, 'it is deleted'):
            self.kit.export_backups([self.made.backup_id])


class PartTestCase(CopyCase):
    def test_when_a_sample_is_verified_then_less_is_read(self) -> None:
        for seed in range(8):
            self.write(bytes([seed]) * 70_000, offset=seed * 70_000)
            made = self.kit.create_backup('local:v')
        full = self.kit.verify_backup(made.backup_id, full=True)
        some = self.kit.verify_backup(made.backup_id, share=0.01)
        self.assertTrue(full.good and some.good)
        self.assertLess(0, some.bytes_read)
        self.assertLess(some.bytes_read, full.bytes_read)
        for share in (0, 1.5):
            with self.assertRaises(errors.UsageError):
                self.kit.verify_backup(made.backup_id, share=share)

    def test_when_a_target_cannot_sample_then_it_reads_all(self) -> None:
        made = self.kit.create_backup('local:v')
        copied = self.kit.copy_backup(made.backup_id, to='volumes')
        full = self.kit.verify_backup(copied.backup_id, full=True)
        some = self.kit.verify_backup(copied.backup_id, share=0.01)
        self.assertEqual(full.bytes_read, some.bytes_read)

    def test_when_all_parts_are_checked_then_all_is_read(self) -> None:
        self.kit.create_backup('local:v')
        whole = self.kit.check_repository(read_data=True).bytes_read
        parts = [
            self.kit.check_repository(part=(number, 3)).bytes_read
            for number in (1, 2, 3)
        ]
        self.assertEqual(whole, sum(parts))
        with self.assertRaisesRegex(errors.UsageError, 'no part 4 of 3'):
            self.kit.check_repository(part=(4, 3))
