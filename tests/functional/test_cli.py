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

"""The command line as scripts use it: the console script, as a process."""

from collections.abc import Mapping
import csv
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from typing import Any
import unittest

import yaml

from backupkit.repository import frame
from tests.functional import configuration
from tests import signals

_MIB = 1024**2
_SIZE = 8 * _MIB
_PROGRAM = str(pathlib.Path(sys.executable).with_name('backupkit'))
_SAME_STORAGE = 'lie on the same storage'


class CliTest(unittest.TestCase):
    """Base class: a directory, a configuration in it, and a volume."""

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name).resolve()
        self.volumes = self.root / 'volumes'
        self.config = configuration.write(self.root)

    def environment(self) -> Mapping[str, str]:
        home = self.root / 'home'
        home.mkdir(exist_ok=True)
        return {
            'PATH': os.environ['PATH'],
            'HOME': str(home),
            'LANG': 'C.UTF-8',
        }

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [_PROGRAM, '--config-file', str(self.config), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            preexec_fn=signals.reset,
            **options,
        )

    def call(self, *argv: str, code: int = 0) -> str:
        """Run a command line and return its stdout."""
        with self.start(*argv) as process:
            stdout, stderr = process.communicate(timeout=300)
        self.assertEqual(code, process.returncode, f'{argv}: {stdout}{stderr}')
        # That volumes and backups lie on one disk is told with each backup.
        self.messages = [
            line for line in stderr.splitlines() if _SAME_STORAGE not in line
        ]
        return stdout

    def show(self, *argv: str, code: int = 0) -> Any:
        """Run a command line and return what it shows as JSON."""
        return json.loads(self.call(*argv, '-f', 'json', code=code))

    def refused(self, code: int, told: str, *argv: str) -> None:
        """Run a command line that is refused with one clear line."""
        self.assertEqual('', self.call(*argv, code=code))
        self.assertEqual(1, len(self.messages), self.messages)
        self.assertRegex(self.messages[0], f'^backupkit: error: .*{told}')

    def fill(self, name: str = 'db01', size: int = _SIZE) -> str:
        """Make a volume by hand, and return its digest."""
        source = random.Random(name)
        path = self.volumes / name
        with path.open('wb') as image:
            image.write(source.randbytes(size // 2))
            image.truncate(size)
        return self.digest(name)

    def digest(self, name: str) -> str:
        with (self.volumes / name).open('rb') as image:
            return hashlib.file_digest(image, 'sha256').hexdigest()

    def change(self, name: str, offset: int, length: int) -> str:
        with (self.volumes / name).open('r+b') as image:
            image.seek(offset)
            image.write(random.Random(offset).randbytes(length))
        return self.digest(name)

    def packs(self) -> list[pathlib.Path]:
        return [
            path
            for path in (self.root / 'repo').rglob('packs/*/*')
            if path.is_file()
        ]


class ContractTest(CliTest):
    """The lines that others script against."""

    def test_when_a_volume_lives_then_every_noun_serves_it(self) -> None:
        made = self.show('volume', 'create', 'local:new', '4M')
        self.assertEqual(4 * _MIB, made['size_bytes'])
        (listed,) = self.show('volume', 'list')
        self.assertEqual('local:new', listed['volume'])
        self.assertEqual(
            4 * _MIB, self.show('volume', 'show', 'local:new')['size_bytes']
        )
        self.refused(2, '--yes', 'volume', 'delete', 'local:new')
        self.assertEqual('', self.call('volume', 'delete', 'local:new', '-y'))
        self.assertEqual([], self.show('volume', 'list'))

    def test_when_backups_are_made_then_each_comes_back(self) -> None:
        first = self.fill()
        full = self.show('backup', 'create', 'local:db01', '--name', 'a')
        self.assertEqual(
            ('available', 'full', _SIZE, 'local:db01', 'repo', 'a', None),
            tuple(
                full[key]
                for key in (
                    *('status', 'kind', 'size_bytes', 'volume', 'target'),
                    *('name', 'parent_id'),
                )
            ),
        )
        second = self.change('db01', _MIB, 4096)
        later = self.show('backup', 'create', 'local:db01', '--target', 'repo')
        self.assertEqual(
            ('incremental', full['id']), (later['kind'], later['parent_id'])
        )
        self.assertLess(later['stored_bytes'], full['stored_bytes'] // 4)
        again = self.show('backup', 'create', 'local:db01', '--full')
        self.assertEqual('full', again['kind'])
        listed = self.show('backup', 'list')
        self.assertEqual(
            [full['id'], later['id'], again['id']],
            [row['id'] for row in listed],
        )
        self.assertEqual(
            full, self.show('backup', 'show', full['id'][:8]) | full
        )
        for options in ([], ['--full']):
            report = self.show('backup', 'verify', later['id'], *options)
            self.assertEqual((True, []), (report['good'], report['findings']))
        self.show('backup', 'restore', full['id'], '--new', 'local:one')
        self.assertEqual(first, self.digest('one'))
        self.refused(
            *(2, '--overwrite'),
            *('backup', 'restore', later['id'], '--to', 'local:one'),
        )
        result = self.show(
            *('backup', 'restore', later['id'], '--to', 'local:one'),
            '--overwrite',
        )
        self.assertEqual('local:one', result['volume'])
        self.assertEqual(second, self.digest('one'))
        self.refused(2, '--yes', 'backup', 'delete', full['id'])
        self.assertEqual(
            '', self.call('backup', 'delete', full['id'], '--yes')
        )
        self.assertEqual(2, len(self.show('backup', 'list')))
        self.show('backup', 'restore', later['id'], '--new', 'local:two')
        self.assertEqual(second, self.digest('two'))

    def test_when_a_repository_is_cared_for_then_it_answers(self) -> None:
        self.fill()
        made = self.show('backup', 'create', 'local:db01')
        stats = self.show('repository', 'stats')
        self.assertEqual(
            (1, _SIZE), (stats['backups'], stats['logical_bytes'])
        )
        self.assertEqual(stats, self.show('repository', 'stats', 'repo'))
        for options in ([], ['--read-data']):
            report = self.show('repository', 'check', *options)
            self.assertTrue(report['good'])
        self.call('backup', 'delete', made['id'], '--yes')
        self.show('repository', 'gc')
        gone = self.show('repository', 'gc', 'repo')
        self.assertEqual(0, gone['condemned_packs'])
        self.assertEqual([], self.packs())

    def test_when_the_catalog_is_lost_then_it_is_rebuilt(self) -> None:
        digest = self.fill()
        made = self.show('backup', 'create', 'local:db01')
        (self.root / 'catalog.sqlite').unlink()
        self.assertEqual([], self.show('backup', 'list'))
        result = self.show('catalog', 'rebuild')
        self.assertEqual((1, 1), (result['found'], result['added']))
        (row,) = self.show('backup', 'list')
        self.assertEqual(made['id'], row['id'])
        self.show('backup', 'restore', made['id'], '--new', 'local:back')
        self.assertEqual(digest, self.digest('back'))
        self.refused(6, 'adopt', 'backup', 'create', 'local:db01')
        self.show('repository', 'adopt', 'repo')
        later = self.show('backup', 'create', 'local:db01')
        self.assertEqual('incremental', later['kind'])

    def test_when_asked_about_itself_then_it_answers(self) -> None:
        names = {
            (row['kind'], row['name']) for row in self.show('driver', 'list')
        }
        self.assertLessEqual({('volume', 'file'), ('target', 'posix')}, names)
        self.assertEqual([], self.show('config', 'validate'))
        outcomes = {
            row['outcome'] for row in self.show('target', 'validate', 'repo')
        }
        self.assertEqual({'ok'}, outcomes)
        states = {row['state'] for row in self.show('doctor')}
        self.assertNotIn('problem', states)
        self.assertEqual([], self.show('run', 'list'))

    def test_when_any_format_is_asked_for_then_it_comes(self) -> None:
        self.fill()
        made = self.show('backup', 'create', 'local:db01')
        argv = ('backup', 'show', made['id'])
        self.assertEqual(made, yaml.safe_load(self.call(*argv, '-f', 'yaml')))
        (row,) = csv.DictReader(io.StringIO(self.call(*argv, '-f', 'csv')))
        self.assertEqual(str(_SIZE), row['size_bytes'])
        self.assertEqual(
            f'{made["id"]}\n', self.call(*argv, '-f', 'value', '-c', 'id')
        )
        self.assertIn(made['id'], self.call(*argv))
        listing = self.call('backup', 'list', '-f', 'csv')
        (row,) = csv.DictReader(io.StringIO(listing))
        self.assertEqual(made['id'], row['id'])

    def test_when_it_is_a_dry_run_then_nothing_is_done(self) -> None:
        self.fill()
        argv = ('backup', 'create', 'local:db01', '--dry-run')
        plan = self.show(*argv)
        self.assertIn('provides', plan['steps'][0])
        dot = self.call(*argv, '-f', 'value', '-c', 'dot')
        self.assertTrue(dot.startswith('digraph'), dot)
        self.assertEqual([], self.show('backup', 'list', '--all'))
        self.assertEqual([], list((self.root / 'repo').iterdir()))

    def test_when_progress_is_asked_for_as_json_then_it_ends_at_all(
        self,
    ) -> None:
        self.fill()
        self.call('--progress', 'json', 'backup', 'create', 'local:db01')
        lines = [json.loads(line) for line in self.messages]
        copied = [line for line in lines if line['total_bytes'] == _SIZE]
        self.assertEqual(_SIZE, copied[-1]['done_bytes'])
        self.assertEqual(100.0, copied[-1]['percent'])

    def test_when_all_goes_well_then_nothing_else_is_said(self) -> None:
        self.fill()
        self.call('backup', 'create', 'local:db01')
        self.assertEqual([], self.messages)

    def test_when_files_are_made_then_others_cannot_read_them(self) -> None:
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.fill()
        self.call('backup', 'create', 'local:db01')
        made = [self.root / 'state', self.root / 'catalog.sqlite']
        made += (self.root / 'repo').rglob('*')
        for path in made:
            expected = 0o770 if path.is_dir() else 0o660
            self.assertEqual(expected, stat.S_IMODE(path.stat().st_mode), path)


class OutputTest(CliTest):
    """What becomes of stdout is not always in our hands."""

    def run_into(self, stdout: int) -> tuple[int, str]:
        done = subprocess.run(
            [_PROGRAM, '--config-file', str(self.config), 'volume', 'list'],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            check=False,
        )
        return done.returncode, done.stderr

    def test_when_the_reader_has_gone_then_it_is_quiet(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        try:
            self.assertEqual((141, ''), self.run_into(writing))
        finally:
            os.close(writing)

    def test_when_a_name_is_no_utf_8_then_its_bytes_come_back(self) -> None:
        name = b'db\xff\x1b[2J'
        path = os.fsencode(self.volumes) + b'/' + name
        pathlib.Path(os.fsdecode(path)).touch()

        def listed(form: str) -> bytes:
            done = subprocess.run(
                [
                    *(_PROGRAM, '--config-file', str(self.config)),
                    *('volume', 'list', '-f', form, '-c', 'volume'),
                ],
                capture_output=True,
                env=self.environment(),
                check=True,
            )
            return done.stdout

        self.assertIn(listed('value'), (b'', b'local:' + name + b'\n'))
        self.assertNotIn(b'\x1b', listed('table'))

    def test_when_stdout_is_full_then_it_is_told(self) -> None:
        full = os.open('/dev/full', os.O_WRONLY)
        try:
            code, stderr = self.run_into(full)
        finally:
            os.close(full)
        self.assertEqual(1, code)
        self.assertRegex(stderr, '^backupkit: error: .*No space left.*\n$')


class StartTest(CliTest):
    def test_when_a_catalog_is_listed_then_little_is_imported(self) -> None:
        done = subprocess.run(
            [
                *(sys.executable, '-X', 'importtime', _PROGRAM),
                *('--config-file', str(self.config), 'backup', 'list'),
            ],
            capture_output=True,
            text=True,
            env=self.environment(),
            check=True,
        )
        imported = {
            line.rpartition('|')[2].strip()
            for line in done.stderr.splitlines()
        }
        self.assertIn('backupkit.catalog', imported)
        heavy = {'alembic', 'eventlet', 'os_brick', 'oslo_log.log', 'rich'}
        heavy |= {'oslo_service', 'taskflow', 'yaml', 'pbr', 'zstandard'}
        self.assertEqual(set(), heavy & imported)


class NoConfigurationTest(CliTest):
    def test_when_there_is_no_file_then_a_backup_works(self) -> None:
        digest = self.fill('disk.img')
        images = self.root / 'home/.local/share/backupkit/volumes'
        images.mkdir(parents=True)
        shutil.copy(self.volumes / 'disk.img', images)

        def call(*argv: str) -> Any:
            done = subprocess.run(
                [_PROGRAM, *argv, '-f', 'json'],
                env=self.environment(),
                capture_output=True,
                check=True,
            )
            return json.loads(done.stdout)

        made = call('backup', 'create', 'local:disk.img')
        call('backup', 'restore', made['id'], '--new', 'local:back.img')
        back = (images / 'back.img').read_bytes()
        self.assertEqual(digest, hashlib.sha256(back).hexdigest())


class DemoTest(CliTest):
    def test_when_the_demo_runs_then_all_matches_and_all_goes(self) -> None:
        text = self.call(
            'demo', '--dir', str(self.root / 'volumes'), '--size', '16M'
        )
        self.assertEqual(2, text.count('equal, byte for byte'))
        self.assertIn('What it cost', text)
        self.assertEqual([], list(self.volumes.iterdir()))

    def test_when_it_shall_keep_then_its_commands_go_on(self) -> None:
        text = self.call(
            *('demo', '--dir', str(self.volumes), '--size', '1M', '--keep')
        )
        (kept,) = self.volumes.iterdir()
        self.config = kept / 'backupkit.conf'
        self.assertIn(f'--config-file {self.config}', text)
        self.assertEqual(2, len(self.show('backup', 'list')))

    def test_when_the_directory_is_not_there_then_it_is_told(self) -> None:
        self.refused(2, '/nowhere', 'demo', '--dir', '/nowhere')


class RefusalTest(CliTest):
    """Each class of error, brought about as it comes about."""

    def configure(self, old: str, new: str) -> None:
        text = self.config.read_text()
        self.assertIn(old, text)
        self.config.write_text(text.replace(old, new))

    def test_when_the_configuration_is_wrong_then_2(self) -> None:
        good = self.config.read_text()
        for old, new, told in (
            ('volumes_dir', 'volume_dir', 'did you mean volumes_dir'),
            ('[DEFAULT]', '[DEFAULT]\ncopy_threads = x', 'copy_threads'),
            ('driver = posix', 'driver = posx', 'posix'),
            ('= local', '= local, other', r'\[backend:other\]'),
            ('[catalog]', 'catalog]', 'cannot read'),
        ):
            self.configure(old, new)
            self.refused(2, told, 'backup', 'list')
            self.config.write_text(good)
        self.config.unlink()
        self.refused(2, 'backupkit.conf', 'backup', 'list')

    def test_when_the_configuration_is_wrong_then_validate_says_all(
        self,
    ) -> None:
        self.configure('volumes_dir', 'volume_dir')
        self.configure('[DEFAULT]', '[DEFAULT]\nnonsense = 1')
        found = self.show('config', 'validate', code=1)
        self.assertEqual(
            {'nonsense', 'volume_dir'},
            {row['option'] for row in found},
        )

    def test_when_a_name_is_wrong_then_2(self) -> None:
        for argv in (
            ['backup', 'create', 'db01'],
            ['backup', 'create', 'nowhere:db01'],
            ['backup', 'create', 'local:db01', '--target', 'nowhere'],
            ['backup', 'show', '00000000'],
            ['backup', 'verify', '00000000'],
            ['backup', 'delete', '00000000', '--yes'],
            ['backup', 'restore', '00000000', '--new', 'local:x'],
            ['run', 'show', '7'],
            ['run', 'abort', '7', '--yes'],
            ['run', 'resume', '7'],
            ['repository', 'stats', 'nowhere'],
            ['target', 'validate', 'nowhere'],
            ['backup', 'lst', '--x'],
        ):
            self.assertEqual('', self.call(*argv, code=2), argv)

    def test_when_a_volume_is_not_there_then_3(self) -> None:
        self.refused(3, 'db01', 'backup', 'create', 'local:db01')
        self.refused(3, 'db01', 'volume', 'show', 'local:db01')
        self.refused(3, 'db01', 'volume', 'delete', 'local:db01', '--yes')

    def test_when_a_volume_is_there_already_then_3(self) -> None:
        self.fill()
        made = self.show('backup', 'create', 'local:db01')
        self.refused(3, 'db01', 'volume', 'create', 'local:db01', '1M')
        self.refused(
            *(3, 'db01', 'backup', 'restore', made['id']),
            *('--new', 'local:db01'),
        )

    def test_when_the_destination_is_too_small_then_3(self) -> None:
        self.fill()
        made = self.show('backup', 'create', 'local:db01')
        before = self.fill('small', _MIB)
        self.refused(
            *(3, 'small', 'backup', 'restore', made['id']),
            *('--to', 'local:small', '--overwrite'),
        )
        self.assertEqual(before, self.digest('small'))

    def test_when_data_is_damaged_then_4(self) -> None:
        self.fill()
        made = self.show('backup', 'create', 'local:db01')
        for pack in self.packs():
            data = bytearray(pack.read_bytes())
            data[len(data) // 3] ^= 1
            pack.write_bytes(data)
        report = self.show('backup', 'verify', made['id'], '--full', code=4)
        self.assertFalse(report['good'])
        self.assertTrue(report['findings'])
        self.show('repository', 'check', '--read-data', code=4)
        self.call(
            *('backup', 'restore', made['id'], '--new', 'local:x'), code=4
        )
        self.assertFalse((self.volumes / 'x').exists())

    def test_when_the_target_is_not_there_then_5(self) -> None:
        self.fill()
        self.call('backup', 'create', 'local:db01')
        (self.root / 'repo').rename(self.root / 'elsewhere')
        self.refused(5, 'repo', 'backup', 'create', 'local:db01')
        self.assertFalse((self.root / 'repo').exists())

    def test_when_the_catalog_is_broken_then_5(self) -> None:
        (self.root / 'catalog.sqlite').write_bytes(b'no database' * 1000)
        self.refused(5, 'catalog', 'backup', 'list')

    def test_when_the_target_may_not_be_written_then_5(self) -> None:
        self.fill()
        made = self.show('backup', 'create', 'local:db01')
        self.configure('driver = posix', 'driver = posix\nread_only = true')
        self.show('backup', 'restore', made['id'], '--new', 'local:x')
        for argv in (
            ('backup', 'create', 'local:db01'),
            ('backup', 'delete', made['id'], '--yes'),
        ):
            self.assertEqual('', self.call(*argv, code=5))
            self.assertRegex(
                self.messages[-1], '^backupkit: error: .*repo .*read_only'
            )

    def test_when_another_catalog_writes_then_6(self) -> None:
        self.fill()
        self.call('backup', 'create', 'local:db01')
        self.configure('catalog.sqlite', 'other.sqlite')
        self.refused(6, 'adopt', 'backup', 'create', 'local:db01')

    def test_when_the_volume_is_in_use_then_6(self) -> None:
        self.fill()
        snapshots = self.show('backup', 'create', 'local:db01', '--dry-run')
        with (self.volumes / 'db01').open('r+b'):
            if snapshots['snapshot']:
                self.show('backup', 'create', 'local:db01')
            else:
                self.refused(6, 'db01', 'backup', 'create', 'local:db01')
            made = self.show('backup', 'create', 'local:db01', '--force')
        self.assertTrue(made['consistent'], 'nothing was written meanwhile')

    def test_when_the_repository_is_too_new_then_8(self) -> None:
        self.fill()
        self.call('backup', 'create', 'local:db01')
        config = self.root / 'repo' / 'config'
        body = frame.unseal(frame.CONFIG, config.read_bytes(), 'config')
        config.write_bytes(frame.seal(b'BKCONFG2', body, 'blake3'))
        self.refused(8, 'version 2', 'backup', 'create', 'local:db01')


class SignalTest(CliTest):
    """Signals in the middle of a backup."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(size=64 * _MIB)
        # Slow enough to be met in the middle.
        with self.config.open('a') as config:
            config.write('max_bytes_per_second = 2097152\n')

    def copying(self) -> subprocess.Popen[str]:
        """Start a backup and return when it has copied something."""
        process = self.start(
            '--progress', 'json', 'backup', 'create', 'local:db01'
        )
        self.addCleanup(process.kill)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith('{') and json.loads(line)['done_bytes']:
                break
        return process

    def interrupted(self, number: int) -> tuple[int, str]:
        with self.copying() as process:
            process.send_signal(number)
            _, stderr = process.communicate(timeout=60)
        return process.returncode, stderr

    def test_when_interrupted_then_130_and_nothing_is_left(self) -> None:
        code, stderr = self.interrupted(signal.SIGINT)
        self.assertEqual(130, code, stderr)
        self.assertRegex(stderr.splitlines()[-1], '^backupkit: error: ')
        self.assertEqual([], self.show('run', 'list'))
        self.assertEqual([], self.show('backup', 'list'))
        (row,) = self.show('backup', 'list', '--all')
        self.assertEqual('error', row['status'])
        self.assertEqual([], self.packs())

    def test_when_told_to_end_then_9_and_the_run_can_be_aborted(
        self,
    ) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            code, stderr = self.interrupted(number)
            self.assertEqual(9, code, stderr)
            self.assertRegex(
                stderr.splitlines()[-1], '^backupkit: suspended: '
            )
            (run,) = self.show('run', 'list')
            self.assertEqual('suspended', run['state'])
            self.assertEqual('gone', run['process'])
            self.refused(2, '--yes', 'run', 'abort', run['id'])
            self.show('run', 'abort', run['id'], '--yes')
            self.assertEqual([], self.show('run', 'list'))

    def test_when_killed_then_it_can_be_resumed(self) -> None:
        code, _ = self.interrupted(signal.SIGKILL)
        self.assertEqual(-signal.SIGKILL, code)
        (run,) = self.show('run', 'list')
        self.assertEqual(('running', 'gone'), (run['state'], run['process']))
        text = self.config.read_text()
        self.config.write_text(
            text.replace('max_bytes_per_second = 2097152\n', '')
        )
        done = self.show('run', 'resume', str(run['number']))
        self.assertEqual(('done', ''), (done['state'], done['process']))
        (row,) = self.show('backup', 'list')
        self.assertEqual('available', row['status'])
        self.assertEqual([], self.show('run', 'list'))
        self.refused(6, 'has ended', 'run', 'resume', run['id'])

    def test_when_killed_then_the_doctor_knows(self) -> None:
        code, _ = self.interrupted(signal.SIGKILL)
        self.assertEqual(-signal.SIGKILL, code)
        self.call('doctor', code=1)
        self.refused(2, '--yes', 'doctor', '--clear')
        self.call('doctor', '--clear', '--yes')
        self.assertEqual([], self.show('run', 'list'))

    def test_when_interrupted_twice_then_at_once(self) -> None:
        with self.copying() as process:
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            for line in process.stderr:
                if 'stopping' in line:
                    break
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        self.assertEqual(130, process.returncode)
