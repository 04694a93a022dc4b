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
"""The verbs that keep backups: copy, prune, protect, export and import."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import io
import json
import unittest
from unittest import mock

from backupkit.api import results
from backupkit.api import retention
from backupkit.cli import sizes
from backupkit import errors
from tests.unit.cli import program
from tests.unit.cli import test_commands

_ID = test_commands._ID
_ROW = dataclasses.replace(test_commands._ROW, copy_of='c', protected=True)
_REPORT = test_commands._GOOD


def _entry(action: str, exit_code: int = 0) -> results.PruneEntry:
    return results.PruneEntry(
        _ID,
        'local:db01',
        'repo',
        '2026-11-21T09:00:00Z',
        action,
        exit_code=exit_code,
    )


class CopyTest(program.ProgramTest):
    def test_when_copied_then_the_copy_is_shown(self) -> None:
        self.kit.copy_backup.return_value = _ROW
        outcome = self.call(
            'backup', 'copy', '3f2a9c41', '--to', 'vault', '-f', 'json'
        )
        shown = json.loads(outcome.stdout)
        self.assertEqual(('c', True), (shown['copy_of'], shown['protected']))
        self.kit.copy_backup.assert_called_once_with(
            '3f2a9c41', to='vault', control=mock.ANY
        )

    def test_without_a_target_then_it_is_asked_for(self) -> None:
        outcome = self.call('backup', 'copy', '3f2a9c41')
        self.assertEqual(2, outcome.code)
        self.assertIn('--to', outcome.stderr)


class ProtectTest(program.ProgramTest):
    def test_when_protected_then_the_record_is_shown(self) -> None:
        self.kit.protect_backup.return_value = _ROW
        self.kit.unprotect_backup.return_value = _ROW
        for verb in ('protect', 'unprotect'):
            outcome = self.call('backup', verb, _ID, '-f', 'json')
            self.assertTrue(json.loads(outcome.stdout)['protected'])
        self.kit.protect_backup.assert_called_once_with(_ID)
        self.kit.unprotect_backup.assert_called_once_with(_ID)


class PruneTest(program.ProgramTest):
    def test_when_pruned_then_the_rules_are_passed_on(self) -> None:
        self.kit.prune_backups.return_value = [_entry('removed')]
        outcome = self.call(
            *('backup', 'prune', '--keep-last', '1', '--keep-daily', '2'),
            *('--keep-weekly', '3', '--keep-monthly', '4'),
            *('--keep-within', '5w', '--target', 'repo', '-f', 'json'),
        )
        self.assertEqual(0, outcome.code)
        (row,) = json.loads(outcome.stdout)
        self.assertEqual((_ID, 'removed'), (row['id'], row['action']))
        self.kit.prune_backups.assert_called_once_with(
            retention.Rules(1, 2, 3, 4, datetime.timedelta(weeks=5)),
            backend=None,
            volume=None,
            target='repo',
            empty=False,
            control=mock.ANY,
        )

    def test_when_it_is_a_dry_run_then_nothing_is_pruned(self) -> None:
        self.kit.plan_prune.return_value = [_entry('remove')]
        outcome = self.call(
            *('backup', 'prune', '--keep-last', '1', '--dry-run', '--yes'),
            *('--volume', 'local:db01', '-f', 'json'),
        )
        self.assertEqual('remove', json.loads(outcome.stdout)[0]['action'])
        self.kit.prune_backups.assert_not_called()

    def test_when_one_failed_then_that_is_the_exit_code(self) -> None:
        self.kit.prune_backups.return_value = [
            _entry('removed'),
            _entry('failed', 6),
        ]
        self.assertEqual(
            6, self.call('backup', 'prune', '--keep-last', '1', '-y').code
        )
        self.assertTrue(self.kit.prune_backups.call_args.kwargs['empty'])

    def test_when_nothing_is_there_then_it_is_well(self) -> None:
        self.kit.prune_backups.return_value = []
        self.assertEqual(
            0, self.call('backup', 'prune', '--keep-last', '1').code
        )

    def test_when_at_a_terminal_then_it_asks(self) -> None:
        self.kit.plan_prune.return_value = [_entry('remove')]
        self.kit.prune_backups.return_value = []
        for answer, code in (('n\n', 130), ('y\n', 0)):
            outcome = self.call(
                *('backup', 'prune', '--keep-last', '1'),
                stdin=program.Terminal(answer),
                stderr=program.Terminal(),
            )
            self.assertEqual(code, outcome.code)
            self.assertIn('1 backups will be deleted', outcome.stderr)
        self.kit.prune_backups.assert_called_once()

    def test_when_refused_then_it_is_told(self) -> None:
        self.kit.prune_backups.side_effect = errors.UsageError('all gone')
        outcome = self.call('backup', 'prune', '--keep-last', '0')
        self.assertEqual(
            (2, 'backupkit: error: all gone\n'),
            (outcome.code, outcome.stderr),
        )


class RecordsTest(program.ProgramTest):
    def test_when_exported_then_the_document_is_all_there_is(self) -> None:
        self.kit.export_backups.return_value = '{}\n'
        outcome = self.call('backup', 'export', 'a', 'b')
        self.assertEqual((0, '{}\n'), (outcome.code, outcome.stdout))
        self.kit.export_backups.assert_called_once_with(['a', 'b'])

    def test_when_a_file_is_named_then_it_is_replaced_whole(self) -> None:
        self.kit.export_backups.return_value = '{}\n'
        file = self.directory / 'records.json'
        file.write_text('old' * 1000)
        outcome = self.call('backup', 'export', 'a', '--file', str(file))
        self.assertEqual((0, ''), (outcome.code, outcome.stdout))
        self.assertEqual('{}\n', file.read_text())
        self.assertEqual(
            {'records.json', 'test.conf'},
            {path.name for path in self.directory.iterdir()},
        )

    def test_when_imported_then_the_bytes_are_passed_on(self) -> None:
        self.kit.import_backups.return_value = results.ImportResult(
            2, 1, ('a', 'b')
        )
        file = self.directory / 'records.json'
        file.write_bytes(b'\xff{}')
        outcome = self.call('backup', 'import', str(file), '-f', 'json')
        self.assertEqual(
            {'found': 2, 'added': 1, 'backup_ids': ['a', 'b']},
            json.loads(outcome.stdout),
        )
        self.kit.import_backups.assert_called_once_with(b'\xff{}', target=None)

    def test_when_it_is_a_dash_then_the_standard_input_is_read(self) -> None:
        self.kit.import_backups.return_value = results.ImportResult(0, 0)
        stdin = io.StringIO()
        stdin.buffer = io.BytesIO(b'{}')  # type: ignore[misc] # as a file has it
        self.call('backup', 'import', '-', '--target', 'vault', stdin=stdin)
        self.kit.import_backups.assert_called_once_with(b'{}', target='vault')

    def test_when_the_file_cannot_be_used_then_2(self) -> None:
        self.kit.export_backups.return_value = '{}\n'
        for argv in (
            ('export', 'a', '--file', '/nowhere/records.json'),
            ('import', '/nowhere/records.json'),
        ):
            outcome = self.call('backup', *argv)
            self.assertEqual(2, outcome.code)
            self.assertIn('/nowhere/records.json', outcome.stderr)


class PartTest(program.ProgramTest):
    def test_when_a_part_is_named_then_it_is_passed_on(self) -> None:
        self.kit.check_repository.return_value = _REPORT
        self.call('repository', 'check', '--part', '3/30')
        self.kit.check_repository.assert_called_once_with(
            None, read_data=False, part=(3, 30), control=mock.ANY
        )
        for wrong in ('3', '3/', '/30', 'a/b', '-1/3', '1.0/3'):
            outcome = self.call('repository', 'check', '--part', wrong)
            self.assertEqual(2, outcome.code, wrong)

    def test_when_a_sample_is_asked_for_then_it_is_a_share(self) -> None:
        self.kit.verify_backup.return_value = _REPORT
        for text in ('5%', '5'):
            self.call('backup', 'verify', _ID, '--sample', text)
            self.kit.verify_backup.assert_called_with(
                _ID, full=False, share=0.05, control=mock.ANY
            )
        self.assertEqual(
            2, self.call('backup', 'verify', _ID, '--sample', 'x').code
        )


class DurationTest(unittest.TestCase):
    def test_when_it_has_a_unit_then_it_is_that_long(self) -> None:
        for text, hours in (('12h', 12), ('30d', 720), (' 8w', 1344)):
            self.assertEqual(
                datetime.timedelta(hours=hours), sizes.duration(text)
            )

    def test_when_it_is_no_time_then_it_is_refused(self) -> None:
        for text in ('', '3', 'd', '-1d', '1.5d', '3y', '9999999d', '٣d'):
            with self.assertRaises(argparse.ArgumentTypeError, msg=text):
                sizes.duration(text)
