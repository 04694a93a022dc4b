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

"""Records of backups: adding, changing, finding, finishing, importing."""

from __future__ import annotations

import dataclasses
from typing import Any

from backupkit import catalog
from backupkit import errors
from backupkit import model
from tests.unit.catalog import base

_FULL_ROW = catalog.BackupRow(
    backup_id='11111111-aaaa-4000-8000-000000000000',
    backend='local',
    volume_id='dir/dïsk.img',
    target='repo',
    name='nightly',
    repository_id=base.REPOSITORY,
    status=model.BackupStatus.CREATING,
    kind=model.BackupKind.INCREMENTAL,
    parent_id='22222222',
    size_bytes=(1 << 63) - 1,
    data_bytes=1,
    read_bytes=2,
    changed_bytes=3,
    stored_bytes=4,
    consistent=False,
    content='volume',
    sequence=5,
    volume_generation='g',
    created_at='2026-11-21T09:00:00+00:00',
    finished_at='f',
    verified_at='v',
    fail_reason='r',
    service_metadata='m',
    run_number=6,
)


class AddTest(base.CatalogTestCase):
    def test_when_added_then_every_field_comes_back(self) -> None:
        self.catalog.add_backup(_FULL_ROW)

        self.assertEqual(_FULL_ROW, self.catalog.backup(_FULL_ROW.backup_id))

    def test_when_added_again_while_creating_then_it_is_changed(self) -> None:
        self.catalog.add_backup(_FULL_ROW)
        again = dataclasses.replace(_FULL_ROW, name='again')

        self.catalog.add_backup(again)

        self.assertEqual([again], self.catalog.backups())

    def test_when_it_is_made_already_then_it_is_not_added(self) -> None:
        self.catalog.add_backup(_FULL_ROW)
        self.catalog.update_backup(_FULL_ROW.backup_id, status='available')

        with self.assertRaisesRegex(errors.Conflict, 'it is available'):
            self.catalog.add_backup(_FULL_ROW)

    def test_when_a_value_does_not_fit_then_it_is_refused(self) -> None:
        refused: tuple[tuple[str, Any], ...] = (
            ('name', 'n' * 256),
            ('name', 'a\0b'),
            ('name', '\udc80'),
            ('name', None),
            ('name', 7),
            ('volume_id', 'v' * 513),
            ('size_bytes', -1),
            ('size_bytes', 1 << 63),
            ('size_bytes', 1.5),
            ('size_bytes', True),
            ('run_number', 1 << 31),
            ('status', 'fine'),
            ('kind', 'half'),
            ('service_metadata', 'x' * 65536),
        )
        for name, value in refused:
            with self.subTest(name=name, value=str(value)[:20]):
                row = dataclasses.replace(_FULL_ROW, **{name: value})
                with self.assertRaises(errors.UsageError):
                    self.catalog.add_backup(row)
        self.assertEqual([], self.catalog.backups())


class UpdateTest(base.CatalogTestCase):
    def test_when_updated_then_only_those_fields_change(self) -> None:
        self.catalog.add_backup(_FULL_ROW)

        self.catalog.update_backup(
            _FULL_ROW.backup_id, status='error', fail_reason='disk\0full'
        )

        self.assertEqual(
            dataclasses.replace(
                _FULL_ROW,
                status=model.BackupStatus.ERROR,
                fail_reason='disk\\0full',
            ),
            self.catalog.backup(_FULL_ROW.backup_id),
        )

    def test_when_a_field_is_unknown_then_it_is_refused(self) -> None:
        self.catalog.add_backup(_FULL_ROW)

        with self.assertRaisesRegex(errors.UsageError, 'no size, text to'):
            self.catalog.update_backup(_FULL_ROW.backup_id, text='', size=1)

    def test_when_there_is_no_such_backup_then_it_is_not_found(self) -> None:
        with self.assertRaises(errors.NotFound):
            self.catalog.update_backup('11111111', name='x')

    def test_when_nothing_is_given_then_nothing_changes(self) -> None:
        self.catalog.add_backup(_FULL_ROW)

        self.catalog.update_backup(_FULL_ROW.backup_id)

        self.assertEqual([_FULL_ROW], self.catalog.backups())


class FindTest(base.CatalogTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number, tail in enumerate(('aaaa', 'aaab', 'bbbb')):
            self.catalog.add_backup(
                catalog.BackupRow(
                    f'11111111-{tail}',
                    f'backend{number % 2}',
                    f'volume{number}',
                    target=f'target{number}',
                    repository_id=f'repository{number}',
                    created_at=f'2026-11-2{3 - number}',
                )
            )
        self.catalog.update_backup('11111111-aaab', status='error')

    def _ids(self, **conditions: object) -> list[str]:
        return [
            row.backup_id.removeprefix('11111111-')
            for row in self.catalog.backups(**conditions)  # type: ignore[arg-type] # a table of conditions
        ]

    def test_when_a_beginning_is_unique_then_it_is_enough(self) -> None:
        row = self.catalog.backup('11111111-B')

        self.assertEqual('11111111-bbbb', row.backup_id)

    def test_when_a_beginning_is_not_unique_then_it_is_refused(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, 'give more of the id'):
            self.catalog.backup('11111111')

    def test_when_a_beginning_is_short_or_strange_then_nothing_is_found(
        self,
    ) -> None:
        for text in ('', '1111111', '%%%%%%%%', '11111111_', '11111111-c'):
            with self.subTest(text=text), self.assertRaises(errors.NotFound):
                self.catalog.backup(text)

    def test_when_listed_then_the_oldest_comes_first(self) -> None:
        self.assertEqual(['bbbb', 'aaab', 'aaaa'], self._ids())

    def test_when_made_in_one_second_then_the_first_run_comes_first(
        self,
    ) -> None:
        # As a rebuild adds them, which knows no runs.
        for backup_id, sequence in (('2nd', 8), ('1st', 9), ('3rd', 7)):
            row = dataclasses.replace(
                _FULL_ROW,
                backup_id=backup_id,
                backend='rebuilt',
                sequence=sequence,
                run_number=0,
            )
            self.catalog.add_backup(row)
        self.assertEqual(['3rd', '2nd', '1st'], self._ids(backend='rebuilt'))

    def test_when_conditions_are_given_then_all_hold(self) -> None:
        for conditions, expected in (
            ({'backend': 'backend0'}, ['bbbb', 'aaaa']),
            ({'backend': 'backend0', 'volume_id': 'volume0'}, ['aaaa']),
            ({'target': 'target1'}, ['aaab']),
            ({'target': ''}, []),
            ({'repository_id': 'repository2'}, ['bbbb']),
            ({'statuses': [model.BackupStatus.CREATING]}, ['bbbb', 'aaaa']),
            ({'statuses': ['error', 'creating']}, ['bbbb', 'aaab', 'aaaa']),
            ({'statuses': []}, []),
        ):
            with self.subTest(conditions=conditions):
                self.assertEqual(expected, self._ids(**conditions))


class FinishTest(base.CatalogTestCase):
    def test_when_finished_then_run_and_record_change_together(self) -> None:
        run = self.begin()

        summary = self.commit(run)

        row = self.catalog.backup(str(run.backup_id))
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        for field in dataclasses.fields(summary):
            self.assertEqual(
                getattr(summary, field.name), getattr(row, field.name)
            )
        self.assertEqual(('repo', run.number), (row.target, row.run_number))
        self.assertEqual('', row.fail_reason)
        ended = self.catalog.run(run.run_id)
        self.assertEqual(catalog.RunState.DONE, ended.state)
        self.assertEqual(row.finished_at, ended.finished_at)

    def test_when_finished_again_then_nothing_changes(self) -> None:
        run = self.begin()
        summary = self.commit(run)
        self.catalog.update_backup(summary.backup_id, status='deleting')
        before = self.catalog.backup(summary.backup_id)

        self.catalog.finish_backup(run.run_id, summary)

        self.assertEqual(before, self.catalog.backup(summary.backup_id))

    def test_when_an_abort_came_too_late_then_it_is_available(self) -> None:
        run = self.begin()
        self.catalog.begin_commit(run.run_id)
        self.catalog.abort_run(run.run_id)

        self.catalog.finish_backup(run.run_id, base.summarized(run))

        row = self.catalog.backup(str(run.backup_id))
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertEqual('', row.fail_reason)
        ended = self.catalog.run(run.run_id)
        self.assertEqual(catalog.RunState.DONE, ended.state)
        self.assertFalse(ended.live)

    def test_when_an_abort_was_finished_then_no_commit_counts(self) -> None:
        run = self.begin()
        self.catalog.begin_commit(run.run_id)
        self.catalog.abort_run(run.run_id)
        self.catalog.finish_run(run.run_id, 'aborted', 'by the operator')

        with self.assertRaises(errors.RunAborted):
            self.catalog.finish_backup(run.run_id, base.summarized(run))

        row = self.catalog.backup(str(run.backup_id))
        self.assertEqual(model.BackupStatus.ERROR, row.status)
        self.assertEqual(
            {run.backup_id},
            self.catalog.coordinator().astray(run.repository_id),
        )

    def test_when_no_record_was_added_then_finishing_adds_it(self) -> None:
        run = self.register()

        self.commit(run)

        row = self.catalog.backup(str(run.backup_id))
        self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
        self.assertEqual('repo', row.target)


class ImportTest(base.CatalogTestCase):
    def _summary(self, number: int, **fields: object) -> model.BackupSummary:
        return base.summarized(
            catalog.Run(
                'r',
                1,
                catalog.RunKind.BACKUP,
                catalog.RunState.DONE,
                backup_id=f'{number:08d}',
                backend='local',
                volume_id='v',
                repository_id=base.REPOSITORY,
            ),
            **fields,
        )

    def test_when_all_is_lost_then_a_rebuild_brings_it_back(self) -> None:
        for _ in range(3):
            self.commit(self.begin())
        before = self.catalog.backups()
        names = {f.name for f in dataclasses.fields(model.BackupSummary)}
        summaries = [
            model.BackupSummary(
                **{
                    name: value
                    for name, value in dataclasses.asdict(row).items()
                    if name in names
                }
            )
            for row in before
        ]
        for row in before:
            self.put_status(row.backup_id, 'error')
        self.catalog.forget(base.REPOSITORY, [row.backup_id for row in before])
        self.assertEqual([], self.catalog.backups())

        self.assertEqual(3, self.catalog.import_backups(summaries, 'repo'))

        expected = [
            dataclasses.replace(row, finished_at='', run_number=0)
            for row in before
        ]
        self.assertEqual(
            sorted(expected, key=lambda row: row.backup_id),
            sorted(self.catalog.backups(), key=lambda row: row.backup_id),
        )

    def test_when_imported_again_then_nothing_is_new(self) -> None:
        self.assertTrue(self.catalog.import_backup(self._summary(1), 'repo'))
        before = self.catalog.backups()

        self.assertFalse(self.catalog.import_backup(self._summary(1), 'repo'))

        self.assertEqual(before, self.catalog.backups())

    def test_when_thousands_are_imported_then_each_is_counted_once(
        self,
    ) -> None:
        summaries = [self._summary(number) for number in range(1200)]

        added = self.catalog.import_backups(
            iter([*summaries, summaries[0]]), 'repo'
        )

        self.assertEqual(1200, added)
        self.assertEqual(1200, len(self.catalog.backups(target='repo')))

    def test_when_more_is_known_of_a_backup_then_it_is_left_alone(
        self,
    ) -> None:
        for status in ('damaged', 'deleting', 'deleted'):
            with self.subTest(status=status):
                self.catalog.import_backup(self._summary(2), 'repo')
                self.put_status('00000002', status)
                before = self.catalog.backups()

                added = self.catalog.import_backup(
                    self._summary(2, name='other'), 'repo'
                )

                self.assertFalse(added)
                self.assertEqual(before, self.catalog.backups())

    def test_when_a_lost_commit_is_found_then_it_is_available(self) -> None:
        for status in ('creating', 'committing', 'error'):
            with self.subTest(status=status):
                self.catalog.import_backup(self._summary(3), 'repo')
                self.put_status('00000003', status)

                self.assertTrue(
                    self.catalog.import_backup(self._summary(3), 'repo')
                )
                self.assertEqual(
                    model.BackupStatus.AVAILABLE,
                    self.catalog.backup('00000003').status,
                )

    def test_when_a_summary_is_hostile_then_nothing_of_it_is_kept(
        self,
    ) -> None:
        for fields in (
            {'backup_id': 'x' * 65},
            {'name': 'n' * 256},
            {'volume_id': 'a\0'},
            {'size_bytes': 1 << 64},
            {'sequence': -1},
            {'kind': 'nonsense'},
            {'created_at': 5},
            {'parent_id': ['x']},
        ):
            with (
                self.subTest(fields=fields),
                self.assertRaises(errors.FormatError),
            ):
                self.catalog.import_backups(
                    [self._summary(4), self._summary(5, **fields)], 'repo'
                )
        self.assertEqual([], self.catalog.backups())
