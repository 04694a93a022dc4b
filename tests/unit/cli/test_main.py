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

"""What is before and after a command: options, errors, exit codes."""

import inspect
import json
import logging
import pathlib
import re
import subprocess
import sys
import unittest

from oslo_config import cfg

from backupkit.cli import app
from backupkit.cli import help as help_
from backupkit.copy import control as control_
from backupkit import errors
from tests.unit.cli import program


def _error_classes() -> list[type[errors.BackupkitError]]:
    return [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, errors.BackupkitError)
    ]


class MainTest(program.ProgramTest):
    def test_when_an_error_comes_then_it_is_one_line_and_its_code(
        self,
    ) -> None:
        classes = _error_classes()
        self.assertGreater(len(classes), 30)
        for error_class in classes:
            self.kit.list_backups.side_effect = error_class('no\nluck')
            outcome = self.call('backup', 'list')
            self.assertEqual(
                (error_class.exit_code, '', 'backupkit: error: no luck\n'),
                (outcome.code, outcome.stdout, outcome.stderr),
            )

    def test_when_an_error_holds_controls_then_they_are_spelt(self) -> None:
        self.kit.list_backups.side_effect = errors.NotFound('no \x1b[2J')
        outcome = self.call('backup', 'list')
        self.assertEqual('backupkit: error: no \\x1b[2J\n', outcome.stderr)

    def test_when_debugging_then_the_traceback_is_shown(self) -> None:
        self.kit.list_backups.side_effect = errors.TargetFull('no room')
        outcome = self.call('backup', 'list', '--debug')
        self.assertEqual(5, outcome.code)
        self.assertIn('Traceback', outcome.stderr)
        self.assertTrue(outcome.stderr.endswith('backupkit: error: no room\n'))

    def test_when_suspended_then_it_is_said(self) -> None:
        self.kit.create_backup.side_effect = errors.Suspended('kept')
        outcome = self.call('backup', 'create', 'a:b')
        self.assertEqual(9, outcome.code)
        self.assertEqual('backupkit: suspended: kept\n', outcome.stderr)

    def test_when_interrupted_outside_a_run_then_the_code_is_130(
        self,
    ) -> None:
        self.kit.list_backups.side_effect = KeyboardInterrupt
        outcome = self.call('backup', 'list')
        self.assertEqual(130, outcome.code)
        self.assertEqual('backupkit: interrupted\n', outcome.stderr)

    def test_when_the_program_has_a_fault_then_it_is_not_hidden(self) -> None:
        self.kit.list_backups.side_effect = ZeroDivisionError
        with self.assertRaises(ZeroDivisionError):
            self.call('backup', 'list')

    def test_when_a_command_ends_then_the_api_is_closed(self) -> None:
        self.kit.list_backups.return_value = []
        self.call('backup', 'list')
        self.kit.__exit__.assert_called_once()

    def test_when_a_command_fails_then_the_api_is_closed(self) -> None:
        self.kit.list_backups.side_effect = errors.CatalogError('broken')
        self.call('backup', 'list')
        self.kit.__exit__.assert_called_once()

    def test_when_the_configuration_is_wrong_then_commands_refuse(
        self,
    ) -> None:
        self.kit.require_valid_config.side_effect = errors.ConfigurationError(
            'no such option'
        )
        outcome = self.call('backup', 'list')
        self.assertEqual(2, outcome.code)
        self.kit.list_backups.assert_not_called()

    def test_when_a_file_is_missing_then_it_is_told(self) -> None:
        outcome = self.call('--config-file', '/nowhere/x', 'backup', 'list')
        self.assertEqual(2, outcome.code)
        self.assertRegex(
            outcome.stderr,
            r'^backupkit: error: cannot read .* no file /nowhere/x\n$',
        )

    def test_when_a_verb_is_unknown_then_near_ones_are_told(self) -> None:
        outcome = self.call('bakup', 'list')
        self.assertEqual(2, outcome.code)
        self.assertEqual('', outcome.stdout)
        self.assertRegex(
            outcome.stderr,
            r"^backupkit: error: there is no command 'bakup list'; "
            r'did you mean: .*backup list.*\?\n$',
        )

    def test_when_arguments_are_wrong_then_the_code_is_2(self) -> None:
        for argv in (
            ['backup', 'create'],
            ['backup', 'create', 'a:b', '--nonsense'],
            ['backup', 'restore', 'id'],
            ['backup', 'restore', 'id', '--to', 'a:b', '--new', 'a:c'],
            ['volume', 'create', 'a:b', 'big'],
            ['backup', 'list', '-f', 'xml'],
            ['--progress', 'loud', 'backup', 'list'],
            ['backup', 'list', '-c', 'nothing'],
            ['backup', 'list', '--sort-column', 'nothing'],
        ):
            self.kit.list_backups.return_value = []
            self.assertEqual(2, self.call(*argv).code, argv)

    def test_when_options_come_after_the_verb_then_they_count(self) -> None:
        self.kit.list_backups.return_value = []
        self.assertEqual(0, self.call('backup', 'list', '-q').code)

    def test_when_a_run_is_on_then_its_progress_is_shown(self) -> None:
        def create(
            volume: str, *, control: control_.Control, **_: object
        ) -> None:
            control.start('copy', 10)
            control.advance(10)
            raise errors.TargetFull('no room')

        self.kit.create_backup.side_effect = create
        argv = ('backup', 'create', 'a:b')
        outcome = self.call('--progress', 'json', *argv)
        self.assertEqual(2, outcome.stderr.count('"event": "progress"'))
        outcome = self.call('--progress', 'json', '-q', *argv)
        self.assertEqual('backupkit: error: no room\n', outcome.stderr)


class LogsTest(program.ProgramTest):
    def setUp(self) -> None:
        super().setUp()

        def warn(**_: object) -> list[object]:
            log = logging.getLogger('backupkit.flows')
            log.debug('detail %s', 1)
            log.info('step %s', 1)
            log.warning('odd %s', 1)
            return []

        self.kit.list_backups.side_effect = warn

    def test_when_nothing_is_asked_then_warnings_are_shown(self) -> None:
        outcome = self.call('backup', 'list')
        self.assertEqual('backupkit: WARNING: odd 1\n', outcome.stderr)

    def test_when_quiet_then_no_warnings_are_shown(self) -> None:
        self.assertEqual('', self.call('-q', 'backup', 'list').stderr)

    def test_when_verbose_then_steps_are_shown(self) -> None:
        outcome = self.call('-v', 'backup', 'list', '-f', 'json')
        self.assertEqual('[]\n', outcome.stdout)
        self.assertIn('step 1', outcome.stderr)
        self.assertNotIn('detail 1', outcome.stderr)

    def test_when_debugging_then_all_is_shown(self) -> None:
        outcome = self.call('--debug', 'backup', 'list', '-f', 'json')
        self.assertEqual('[]\n', outcome.stdout)
        self.assertIn('detail 1', outcome.stderr)

    def test_when_a_log_file_is_given_then_the_log_goes_there(self) -> None:
        path = self.directory / 'log'
        outcome = self.call('--log-file', str(path), 'backup', 'list')
        self.assertEqual('', outcome.stderr)
        self.assertIn('step 1', path.read_text())

    def test_when_the_configuration_names_a_log_then_it_goes_there(
        self,
    ) -> None:
        path = self.directory / 'log'
        self.config.write_text(
            f'[DEFAULT]\ndebug = true\nlog_file = {path}\nstate_path = /s\n'
        )
        outcome = self.call('backup', 'list')
        self.assertEqual('', outcome.stderr)
        self.assertIn('detail 1', path.read_text())
        self.assertEqual('/s', self.conf.state_path)

    def test_when_the_configuration_asks_for_detail_then_on_stderr(
        self,
    ) -> None:
        self.config.write_text('[DEFAULT]\ndebug = true\n')
        outcome = self.call('backup', 'list', '-f', 'json')
        self.assertEqual('[]\n', outcome.stdout)
        self.assertIn('detail 1', outcome.stderr)


class HelpTest(program.ProgramTest):
    def test_when_help_is_asked_for_then_it_teaches(self) -> None:
        for argv in ([], ['--help'], ['-h'], ['help']):
            outcome = self.call(*argv)
            self.assertEqual(0, outcome.code)
            self.assertIn('backupkit demo', outcome.stdout)
            self.assertIn('  backup create      Back up', outcome.stdout)
            self.assertIn(help_.EPILOG, outcome.stdout)
            self.assertEqual('', outcome.stderr)

    def test_when_exit_codes_are_listed_then_all_are(self) -> None:
        listed = set(re.findall(r'^  (\d+) ', help_.EPILOG, re.MULTILINE))
        raised = {str(error.exit_code) for error in _error_classes()}
        raised |= {'0', str(errors.Suspended.exit_code), '141'}
        self.assertEqual(raised, listed)

    def test_when_a_command_is_asked_about_then_it_has_an_example(
        self,
    ) -> None:
        shell = app.App()
        own = [
            name
            for name, point in shell.command_manager
            if name not in ('help', 'complete')
        ]
        self.assertGreater(len(own), 20)
        for name in own:
            outcome = self.call('help', *name.split())
            self.assertEqual(0, outcome.code, name)
            self.assertIn(f'usage: backupkit {name}', outcome.stdout)
            example = outcome.stdout.partition('Examples:\n')[2]
            self.assertRegex(example, rf'  backupkit .*{name}', name)
            description = outcome.stdout.split('\n\n')[1]
            self.assertRegex(description, r'^[A-Z].*', name)

    def test_when_an_unknown_command_is_asked_about_then_it_is_told(
        self,
    ) -> None:
        outcome = self.call('help', 'zzz')
        self.assertEqual(2, outcome.code)
        self.assertIn("no command 'zzz'", outcome.stderr)

    def test_when_the_version_is_asked_for_then_it_is_told(self) -> None:
        outcome = self.call('--version')
        self.assertEqual(0, outcome.code)
        self.assertRegex(outcome.stdout, r'^backupkit \d+\.\d+')


class CompletionTest(program.ProgramTest):
    def test_when_a_script_is_made_then_it_knows_the_commands(self) -> None:
        for shell in ('bash', 'fish', 'tcsh', 'zsh'):
            outcome = self.call('complete', '--shell', shell)
            self.assertEqual(0, outcome.code, shell)
            for word in ('backup', 'restore', 'overwrite', 'stats'):
                self.assertIn(word, outcome.stdout, shell)

    def test_when_shtab_is_not_there_then_it_is_told(self) -> None:
        with unittest.mock.patch.dict(sys.modules, {'shtab': None}):
            outcome = self.call('complete', '--shell', 'zsh')
        self.assertEqual(2, outcome.code)
        self.assertIn('backupkit[completion]', outcome.stderr)


class StartTest(unittest.TestCase):
    """What a short command may import."""

    def test_when_the_program_is_imported_then_little_else_is(self) -> None:
        script = (
            'import sys; from backupkit.cli import main, backup, volume; '
            'print(*sys.modules)'
        )
        outcome = subprocess.run(
            [sys.executable, '-c', script],
            capture_output=True,
            text=True,
            check=True,
        )
        imported = set(outcome.stdout.split())
        self.assertIn('cliff', imported)
        heavy = {'alembic', 'oslo_log.log', 'rich', 'sqlalchemy', 'taskflow'}
        heavy |= {'cmd2', 'os_brick', 'oslo_service', 'pbr', 'yaml'}
        self.assertEqual(set(), heavy & imported)

    def test_when_the_program_runs_then_eventlet_cannot(self) -> None:
        script = (
            'import sys; from backupkit.cli import main\n'
            'try:\n import eventlet\nexcept ImportError: print("refused")'
        )
        outcome = subprocess.run(
            [sys.executable, '-c', script],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual('refused\n', outcome.stdout)


class EndTest(unittest.TestCase):
    """The process ends at once, with all it has to say said."""

    SCRIPT = (
        'import atexit, sys, threading; from backupkit.cli import main\n'
        'atexit.register(print, "ended", file=sys.stderr)\n'
        'never = threading.Event()\n'
        'threading.Thread(target=never.wait).start()\n'
        'main.run()'
    )

    def end(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-c', self.SCRIPT, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def test_when_a_thread_hangs_then_the_process_ends(self) -> None:
        outcome = self.end('driver', 'list', '-f', 'json')
        self.assertEqual(0, outcome.returncode)
        self.assertIn('posix', {d['name'] for d in json.loads(outcome.stdout)})
        self.assertEqual('ended\n', outcome.stderr)

    def test_when_it_fails_then_its_exit_code_is_given(self) -> None:
        outcome = self.end('no-such-verb')
        self.assertEqual(2, outcome.returncode)
        self.assertIn('no-such-verb', outcome.stderr)


class AppTest(unittest.TestCase):
    def test_when_nothing_is_said_then_the_global_conf_is_used(self) -> None:
        # oslo.privsep hands only this one's files on to its daemon.
        self.assertIs(cfg.CONF, app.App()._conf)

    def test_when_listed_then_each_verb_is_an_entry_point(self) -> None:
        setup_cfg = pathlib.Path(__file__).parents[3] / 'setup.cfg'
        declared = re.findall(
            r'^    (\w+) = backupkit\.cli\.', setup_cfg.read_text(), re.M
        )
        names = {name.replace('_', ' ') for name in declared}
        known = {name for name, _ in app.App().command_manager}
        self.assertLessEqual(names - {'backupkit', 'csv'}, known)
