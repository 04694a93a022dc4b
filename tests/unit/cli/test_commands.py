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

"""What each command asks of the API, and how it shows the answer."""

import csv
import dataclasses
import io
import json
from typing import Any
from unittest import mock

import yaml

from backupkit.api import results
from backupkit import catalog
from backupkit import conf
from backupkit.copy import control as control_
from backupkit import doctor
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from tests.unit.cli import program

_ID = '3f2a9c41-0000-4000-8000-000000000001'
_ROW = catalog.BackupRow(
    backup_id=_ID,
    backend='local',
    volume_id='disk.img',
    target='repo',
    name='weekly',
    status=model.BackupStatus.AVAILABLE,
    kind=model.BackupKind.INCREMENTAL,
    parent_id='p',
    size_bytes=1024**3,
    stored_bytes=4096,
    changed_bytes=8192,
    created_at='2026-11-21T09:00:00Z',
)
_GOOD = target_.Report(objects=3, chunks=5, bytes_read=7)
_BAD = target_.Report(
    objects=3, findings=(target_.Finding('packs/1', 'is gone', (_ID,)),)
)
_CONTROL = mock.ANY


class BackupTest(program.ProgramTest):
    def test_when_created_then_scripts_find_its_facts(self) -> None:
        self.kit.create_backup.return_value = _ROW
        outcome = self.call('backup', 'create', 'local:disk.img', '-f', 'json')
        self.assertEqual((0, ''), (outcome.code, outcome.stderr))
        shown = json.loads(outcome.stdout)
        expected = {
            'id': _ID,
            'status': 'available',
            'volume': 'local:disk.img',
            'target': 'repo',
            'name': 'weekly',
            'kind': 'incremental',
            'parent_id': 'p',
            'size_bytes': 1024**3,
            'stored_bytes': 4096,
            'changed_bytes': 8192,
            'fail_reason': '',
        }
        self.assertEqual(expected, {key: shown[key] for key in expected})
        self.assertEqual([], [key for key in shown if key != key.lower()])
        self.kit.create_backup.assert_called_once_with(
            'local:disk.img',
            target=None,
            name='',
            full=False,
            force=False,
            mode='auto',
            control=_CONTROL,
        )
        control = self.kit.create_backup.call_args.kwargs['control']
        self.assertIsInstance(control, control_.Control)

    def test_when_options_are_given_then_they_are_handed_on(self) -> None:
        self.kit.create_backup.return_value = _ROW
        self.call(
            *('backup', 'create', 'a:b', '--target', 'vault', '--full'),
            *('--name', 'x', '--force', '--mode', 'cold'),
        )
        self.kit.create_backup.assert_called_once_with(
            'a:b',
            target='vault',
            name='x',
            full=True,
            force=True,
            mode='cold',
            control=_CONTROL,
        )

    def test_when_any_format_is_asked_for_then_it_comes(self) -> None:
        self.kit.show_backup.return_value = _ROW

        def show(*argv: str) -> str:
            outcome = self.call('backup', 'show', _ID, *argv)
            self.assertEqual(0, outcome.code, outcome.stderr)
            return outcome.stdout

        self.assertIn('| size_bytes       | 1.0 GiB', show())
        self.assertEqual(_ID, json.loads(show('-f', 'json'))['id'])
        self.assertEqual(
            1024**3, yaml.safe_load(show('-f', 'yaml'))['size_bytes']
        )
        (line,) = csv.DictReader(io.StringIO(show('-f', 'csv')))
        self.assertEqual((_ID, str(1024**3)), (line['id'], line['size_bytes']))
        self.assertEqual(
            f'{1024**3}\n', show('-f', 'value', '-c', 'size_bytes')
        )

    def test_when_listed_then_every_format_comes(self) -> None:
        self.kit.list_backups.return_value = [_ROW, _ROW]

        def show(*argv: str) -> str:
            return self.call('backup', 'list', *argv).stdout

        self.assertIn('1.0 GiB', show())
        self.assertEqual(
            [_ID, _ID], [row['id'] for row in json.loads(show('-f', 'json'))]
        )
        self.assertEqual(2, len(yaml.safe_load(show('-f', 'yaml'))))
        rows = list(csv.DictReader(io.StringIO(show('-f', 'csv'))))
        self.assertEqual(str(1024**3), rows[1]['size_bytes'])
        self.assertEqual(f'{_ID}\n{_ID}\n', show('-f', 'value', '-c', 'id'))

    def test_when_nothing_is_there_then_the_list_is_empty(self) -> None:
        self.kit.list_backups.return_value = []
        outcome = self.call('backup', 'list', '-f', 'json')
        self.assertEqual([], json.loads(outcome.stdout))
        self.kit.list_backups.assert_called_once_with(
            volume=None, target=None, everything=False
        )

    def test_when_filters_are_given_then_they_are_handed_on(self) -> None:
        self.kit.list_backups.return_value = []
        self.call(
            *('backup', 'list', '--volume', 'a:b', '--target', 't', '--all')
        )
        self.kit.list_backups.assert_called_once_with(
            volume='a:b', target='t', everything=True
        )

    def test_when_verified_then_damage_is_the_exit_code(self) -> None:
        for report, code in ((_GOOD, 0), (_BAD, 4)):
            self.kit.verify_backup.return_value = report
            outcome = self.call('backup', 'verify', _ID, '-f', 'json')
            self.assertEqual(code, outcome.code)
            shown = json.loads(outcome.stdout)
            self.assertEqual(report.good, shown['good'])
            self.assertEqual(len(report.findings), len(shown['findings']))
        self.kit.verify_backup.assert_called_with(
            _ID, full=False, share=None, control=_CONTROL
        )
        self.call('backup', 'verify', _ID, '--full')
        self.kit.verify_backup.assert_called_with(
            _ID, full=True, share=None, control=_CONTROL
        )

    def test_when_damage_is_shown_then_a_table_tells_where(self) -> None:
        self.kit.verify_backup.return_value = _BAD
        outcome = self.call('backup', 'verify', _ID)
        self.assertIn('name=packs/1, problem=is gone', outcome.stdout)

    def test_when_deleted_then_only_with_consent(self) -> None:
        outcome = self.call('backup', 'delete', _ID)
        self.assertEqual(2, outcome.code)
        self.assertIn('--yes', outcome.stderr)
        self.kit.delete_backup.assert_not_called()
        outcome = self.call('backup', 'delete', _ID, '--yes')
        self.assertEqual((0, '', ''), (outcome.code, outcome.stdout, ''))
        self.kit.delete_backup.assert_called_once_with(_ID, control=_CONTROL)

    def test_when_the_operator_says_no_then_nothing_is_deleted(self) -> None:
        outcome = self.call(
            'backup',
            'delete',
            _ID,
            stdin=program.Terminal('n\n'),
            stderr=program.Terminal(),
        )
        self.assertEqual(130, outcome.code)
        self.kit.delete_backup.assert_not_called()

    def test_when_restored_then_the_result_is_shown(self) -> None:
        self.kit.restore_backup.return_value = results.RestoreResult(
            backup_id=_ID,
            volume='local:copy',
            size_bytes=1024,
            data_bytes=512,
            created=True,
            volume_size_bytes=1024,
        )
        outcome = self.call(
            'backup', 'restore', _ID, '--new', 'local:copy', '-f', 'json'
        )
        self.assertEqual('local:copy', json.loads(outcome.stdout)['volume'])
        self.kit.restore_backup.assert_called_once_with(
            _ID,
            to=None,
            new='local:copy',
            overwrite=False,
            properties=None,
            control=_CONTROL,
        )
        self.call('backup', 'restore', _ID, '--to', 'a:b', '--overwrite')
        self.kit.restore_backup.assert_called_with(
            _ID,
            to='a:b',
            new=None,
            overwrite=True,
            properties=None,
            control=_CONTROL,
        )

    def test_when_it_is_a_dry_run_then_the_plan_is_shown(self) -> None:
        self.kit.plan_backup.return_value = results.BackupPlan(
            volume='a:b',
            target='repo',
            size_bytes=1024,
            snapshot=True,
            compare=False,
            consistent=True,
            steps=(('copy', ('attachment',), ('prepared',)),),
            text='copy takes attachment, gives prepared',
            dot='digraph backup {}',
        )
        argv = ('backup', 'create', 'a:b', '--dry-run', '--full')
        self.assertIn('copy takes attachment', self.call(*argv).stdout)
        shown = json.loads(self.call(*argv, '-f', 'json').stdout)
        self.assertEqual(
            [
                {
                    'task': 'copy',
                    'requires': ['attachment'],
                    'provides': ['prepared'],
                }
            ],
            shown['steps'],
        )
        outcome = self.call(*argv, '-f', 'value', '-c', 'dot')
        self.assertEqual('digraph backup {}\n', outcome.stdout)
        self.kit.create_backup.assert_not_called()
        self.kit.plan_backup.assert_called_with(
            'a:b', target=None, full=True, force=False, mode='auto'
        )


class VolumeTest(program.ProgramTest):
    def setUp(self) -> None:
        super().setUp()
        self.entry = results.VolumeEntry('local:a', 'local', 'a', 2048)

    def test_when_listed_then_they_have_full_names(self) -> None:
        self.kit.list_volumes.return_value = [self.entry]
        outcome = self.call('volume', 'list', '-f', 'json')
        (row,) = json.loads(outcome.stdout)
        self.assertEqual(('local:a', 2048), (row['volume'], row['size_bytes']))
        # It takes the catalog to know, which listing does not open.
        self.assertNotIn('incomplete', row)
        self.kit.list_volumes.assert_called_once_with(None)
        self.call('volume', 'list', 'local')
        self.kit.list_volumes.assert_called_with('local')

    def test_when_shown_then_all_facts_are(self) -> None:
        self.kit.show_volume.return_value = self.entry
        outcome = self.call('volume', 'show', 'local:a', '-f', 'json')
        self.assertEqual(
            {
                'volume': 'local:a',
                'backend': 'local',
                'volume_id': 'a',
                'size_bytes': 2048,
                'allocated_bytes': None,
                'format': 'raw',
                'in_use': None,
                'generation': '',
                'incomplete': '',
                'chain': [],
                'snapshots': [],
            },
            json.loads(outcome.stdout),
        )

    def test_when_in_layers_then_they_are_shown(self) -> None:
        self.kit.show_volume.return_value = dataclasses.replace(
            self.entry,
            format='qcow2',
            chain=(model.Link('a.1', 'qcow2'), model.Link('a', 'raw')),
            snapshots=('one',),
        )
        outcome = self.call('volume', 'show', 'local:a', '-f', 'json')
        shown = json.loads(outcome.stdout)
        self.assertEqual(
            [
                {'name': 'a.1', 'format': 'qcow2'},
                {'name': 'a', 'format': 'raw'},
            ],
            shown['chain'],
        )
        self.assertEqual(['one'], shown['snapshots'])
        text = self.call('volume', 'show', 'local:a').stdout
        self.assertIn('name=a.1, format=qcow2', text)

    def test_when_cloned_then_snapshot_is_passed_on(self) -> None:
        self.kit.clone_volume.return_value = self.entry
        outcome = self.call('volume', 'clone', 'local:b', 'local:a')
        self.assertEqual(0, outcome.code)
        self.kit.clone_volume.assert_called_once_with(
            'local:b', 'local:a', snapshot=None
        )
        self.call('volume', 'clone', 'local:b', 'local:a', '--snapshot', 's')
        self.kit.clone_volume.assert_called_with(
            'local:b', 'local:a', snapshot='s'
        )

    def test_when_snapshots_are_listed_then_in_order(self) -> None:
        self.kit.list_snapshots.return_value = [
            results.SnapshotEntry('one', 'local:a', 2048),
            results.SnapshotEntry('two', 'local:a', 2048),
        ]
        outcome = self.call(
            'volume', 'snapshot', 'list', 'local:a', '-f', 'json'
        )
        names = [row['name'] for row in json.loads(outcome.stdout)]
        self.assertEqual(['one', 'two'], names)
        self.kit.list_snapshots.assert_called_once_with('local:a')

    def test_when_snapshot_is_made_then_it_is_shown(self) -> None:
        self.kit.create_snapshot.return_value = results.SnapshotEntry(
            'one', 'local:a', 2048
        )
        argv = ('volume', 'snapshot', 'create', 'local:a', 'one')
        outcome = self.call(*argv, '-f', 'json')
        self.assertEqual('one', json.loads(outcome.stdout)['name'])
        self.kit.create_snapshot.assert_called_once_with('local:a', 'one')

    def test_when_snapshot_is_deleted_then_only_with_consent(self) -> None:
        argv = ('volume', 'snapshot', 'delete', 'local:a', 'one')
        self.assertEqual(2, self.call(*argv).code)
        self.kit.delete_snapshot.assert_not_called()
        self.assertEqual(0, self.call(*argv, '-y').code)
        self.kit.delete_snapshot.assert_called_once_with('local:a', 'one')

    def test_when_created_then_its_size_is_in_bytes(self) -> None:
        self.kit.create_volume.return_value = self.entry
        outcome = self.call('volume', 'create', 'local:a', '2K')
        self.assertEqual(0, outcome.code)
        self.kit.create_volume.assert_called_once_with('local:a', 2048)

    def test_when_deleted_then_only_with_consent(self) -> None:
        self.assertEqual(2, self.call('volume', 'delete', 'local:a').code)
        self.kit.delete_volume.assert_not_called()
        self.assertEqual(
            0, self.call('volume', 'delete', 'local:a', '-y').code
        )
        self.kit.delete_volume.assert_called_once_with('local:a')


class RepositoryTest(program.ProgramTest):
    def test_when_stats_are_asked_for_then_they_are_shown(self) -> None:
        self.kit.repository_stats.return_value = {
            'backups': 2,
            'stored_bytes': 4096,
        }
        outcome = self.call('repository', 'stats', '-f', 'json')
        self.assertEqual(
            {'backups': 2, 'stored_bytes': 4096}, json.loads(outcome.stdout)
        )
        self.kit.repository_stats.assert_called_once_with(None)

    def test_when_checked_then_damage_is_the_exit_code(self) -> None:
        for report, code in ((_GOOD, 0), (_BAD, 4)):
            self.kit.check_repository.return_value = report
            outcome = self.call('repository', 'check', 'vault', '--read-data')
            self.assertEqual(code, outcome.code)
        self.kit.check_repository.assert_called_with(
            'vault', read_data=True, part=None, control=_CONTROL
        )

    def test_when_collected_then_it_is_told_what_is_waited_for(self) -> None:
        self.kit.collect_garbage.return_value = target_.GcResult(
            deleted_bytes=4096, waiting_for=(_ID,)
        )
        outcome = self.call('repository', 'gc', '-f', 'json')
        shown = json.loads(outcome.stdout)
        self.assertEqual(
            ([_ID], 4096), (shown['waiting_for'], shown['deleted_bytes'])
        )

    def test_when_adopted_by_a_script_then_it_is_not_asked(self) -> None:
        self.kit.adopt_repository.return_value = {'repository_id': 'r'}
        outcome = self.call('repository', 'adopt', 'vault', '-f', 'json')
        self.assertEqual({'repository_id': 'r'}, json.loads(outcome.stdout))
        self.kit.adopt_repository.assert_called_once_with('vault')

    def test_when_adopted_at_a_terminal_then_it_is_asked(self) -> None:
        outcome = self.call(
            'repository',
            'adopt',
            stdin=program.Terminal('n\n'),
            stderr=program.Terminal(),
        )
        self.assertEqual(130, outcome.code)
        self.kit.adopt_repository.assert_not_called()

    def test_when_rebuilt_then_damage_is_the_exit_code(self) -> None:
        for damaged, code in (((), 0), (_BAD.findings, 4)):
            self.kit.rebuild_catalog.return_value = results.RebuildResult(
                target='repo', found=3, added=2, damaged=damaged
            )
            outcome = self.call('catalog', 'rebuild', '-f', 'json')
            self.assertEqual(code, outcome.code)
            self.assertEqual(3, json.loads(outcome.stdout)['found'])


class RunTest(program.ProgramTest):
    def setUp(self) -> None:
        super().setUp()
        self.run_ = catalog.Run(
            run_id='8c1f',
            number=7,
            kind=catalog.RunKind.BACKUP,
            state=catalog.RunState.SUSPENDED,
            backend='local',
            volume_id='a',
        )

        self.kit.run_process.return_value = 'gone'

    def test_when_listed_then_live_ones_are(self) -> None:
        self.kit.list_runs.return_value = [self.run_]
        (row,) = json.loads(self.call('run', 'list', '-f', 'json').stdout)
        names = ('id', 'number', 'kind', 'state', 'volume', 'process')
        self.assertEqual(
            ('8c1f', 7, 'backup', 'suspended', 'local:a', 'gone'),
            tuple(row[name] for name in names),
        )
        self.kit.list_runs.assert_called_once_with(everything=False)
        self.call('run', 'list', '--all')
        self.kit.list_runs.assert_called_with(everything=True)

    def test_when_shown_then_its_reason_is(self) -> None:
        self.kit.show_run.return_value = self.run_
        shown = json.loads(self.call('run', 'show', '7', '-f', 'json').stdout)
        self.assertIn('reason', shown)
        self.kit.show_run.assert_called_once_with('7')

    def test_when_resumed_then_its_end_is_shown(self) -> None:
        done = dataclasses.replace(self.run_, state=catalog.RunState.DONE)
        self.kit.resume_run.return_value = done
        self.kit.run_process.return_value = ''
        outcome = self.call('run', 'resume', '7', '-f', 'json')
        self.assertEqual(0, outcome.code, outcome.stderr)
        shown = json.loads(outcome.stdout)
        self.assertEqual(('done', ''), (shown['state'], shown['process']))
        self.kit.resume_run.assert_called_once_with('7', control=_CONTROL)

    def test_when_aborted_then_only_with_consent(self) -> None:
        self.kit.abort_run.return_value = self.run_
        self.assertEqual(2, self.call('run', 'abort', '7').code)
        self.kit.abort_run.assert_not_called()
        self.assertEqual(0, self.call('run', 'abort', '7', '--yes').code)
        self.kit.abort_run.assert_called_once_with('7')


class UpkeepTest(program.ProgramTest):
    def test_when_drivers_are_listed_then_faults_are_told(self) -> None:
        listing: dict[str, Any] = {
            'kind': 'volume',
            'name': 'file',
            'class_path': 'x:Y',
            'contract': '1.0',
            'ok': False,
            'problem': 'it fails',
            'distribution': 'backupkit 1',
            'summary': 'Image files.',
        }
        self.kit.list_drivers.return_value = [listing]
        (row,) = json.loads(self.call('driver', 'list', '-f', 'json').stdout)
        self.assertEqual('it fails', row['problem'])

    def test_when_a_target_fails_a_test_then_the_code_is_1(self) -> None:
        for outcome_, code in (('ok', 0), ('skipped', 0), ('failed', 1)):
            self.kit.validate_target.return_value = [('put', outcome_, 'm')]
            outcome = self.call('target', 'validate', 'repo', '-f', 'json')
            self.assertEqual(code, outcome.code)
            self.assertEqual(
                [{'test': 'put', 'outcome': outcome_, 'message': 'm'}],
                json.loads(outcome.stdout),
            )
        self.kit.validate_target.assert_called_with('repo', control=_CONTROL)

    def test_when_the_configuration_is_wrong_then_validate_tells(
        self,
    ) -> None:
        wrong = errors.ConfigurationError('wrong')
        self.kit.require_valid_config.side_effect = wrong
        for severity, code in (('warning', 0), ('error', 1)):
            self.kit.validate_config.return_value = [
                conf.Problem(severity, 'DEFAULT', 'x', 'is unknown', 'drop it')
            ]
            outcome = self.call('config', 'validate', '-f', 'json')
            self.assertEqual(code, outcome.code)
            (row,) = json.loads(outcome.stdout)
            self.assertEqual('drop it', row['cure'])

    def test_when_the_doctor_finds_a_problem_then_the_code_is_1(
        self,
    ) -> None:
        wrong = errors.ConfigurationError('wrong')
        self.kit.require_valid_config.side_effect = wrong
        for state, code in (('ok', 0), ('warning', 0), ('problem', 1)):
            self.kit.doctor.return_value = [
                doctor.Diagnosis('run', '7', state, 'is dead', 'clear it')
            ]
            outcome = self.call('doctor', '-f', 'json')
            self.assertEqual(code, outcome.code)
            self.assertEqual('clear it', json.loads(outcome.stdout)[0]['cure'])
        self.kit.doctor.assert_called_with(clear=False)

    def test_when_the_doctor_shall_clear_then_only_with_consent(
        self,
    ) -> None:
        self.kit.doctor.return_value = []
        self.assertEqual(2, self.call('doctor', '--clear').code)
        self.kit.doctor.assert_not_called()
        self.assertEqual(0, self.call('doctor', '--clear', '--yes').code)
        self.kit.doctor.assert_called_once_with(clear=True)
