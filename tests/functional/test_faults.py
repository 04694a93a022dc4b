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

"""What fails below the command line, and how that is told."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from tests.functional import systems
from tests.functional import test_cli

_MIB = 1024**2
_PROGRAM = str(pathlib.Path(sys.executable).with_name('backupkit'))
_CREATE = ('backup', 'create', 'local:db01')


class FaultTest(test_cli.CliTest):
    """Base class: a command line that fails, and the ones after it."""

    def option(self, section: str, line: str) -> None:
        """Put a line at the beginning of a section."""
        head = f'[{section}]\n'
        text = self.config.read_text()
        self.assertIn(head, text)
        self.config.write_text(text.replace(head, f'{head}{line}\n'))

    def fails(self, code: int, told: str, *argv: str) -> None:
        """Run a command line that fails with a clear last line."""
        self.assertEqual('', self.call(*argv, code=code))
        self.assert_told(told, '\n'.join(self.messages))

    def assert_told(self, told: str, stderr: str) -> None:
        self.assertNotIn('Traceback', stderr)
        last = stderr.strip().splitlines()[-1]
        self.assertRegex(last, f'^backupkit: error: .*{told}')

    def traced(self, code: int, told: str, *options: str) -> None:
        """Make a backup while system calls fail.

        :param options: of strace(1)
        """
        done = subprocess.run(
            [
                *('strace', '-f', '-qq', '-o', os.devnull, *options),
                *(_PROGRAM, '--config-file', str(self.config), *_CREATE),
            ],
            capture_output=True,
            text=True,
            env=self.environment(),
            check=False,
            timeout=120,
        )
        self.assertEqual(code, done.returncode, f'{options}: {done.stderr}')
        self.assert_told(told, done.stderr)

    def copying(self) -> subprocess.Popen[str]:
        """Start a backup and return when it has copied something."""
        process = self.start('--progress', 'json', *_CREATE)
        self.addCleanup(process.kill)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith('{') and json.loads(line)['done_bytes']:
                break
        return process

    def assert_clean(self) -> None:
        """Check that no run and nothing temporary is left."""
        self.assertEqual([], self.show('run', 'list'))
        for pattern in ('.tmp-*', '.backupkit-part-*', '.backupkit-snap-*'):
            self.assertEqual([], list(self.root.rglob(pattern)))

    def assert_works(self, digest: str) -> None:
        """Check that the next backup works, and restores."""
        made = self.show(*_CREATE)
        self.show('backup', 'verify', made['id'], '--full')
        self.show('backup', 'restore', made['id'], '--new', 'local:back')
        self.assertEqual(digest, self.digest('back'))
        self.show('repository', 'check', '--read-data')
        self.assert_clean()


class FullTest(FaultTest):
    """A file system without space."""

    def test_when_the_target_is_full_then_5_with_path_and_space(self) -> None:
        repository = self.root / 'repo'
        systems.mount_tmpfs(self, repository, 16 * _MIB)
        digest = self.fill()
        first = self.show(*_CREATE)
        self.fill('big', 64 * _MIB)
        self.fails(5, f'{repository}.*free', 'backup', 'create', 'local:big')
        (row,) = self.show('backup', 'list')
        self.assertEqual(first['id'], row['id'])
        self.assert_clean()
        self.assert_works(digest)

    def test_when_memory_is_full_then_it_can_be_emptied(self) -> None:
        place = self.root / 'full'
        systems.mount_tmpfs(self, place, 48 * _MIB)
        self.empty(place)

    def test_when_a_disk_is_full_then_it_can_be_emptied(self) -> None:
        place = self.root / 'full'
        systems.mount_loop(self, place, 'ext4', 48 * _MIB)
        self.empty(place)

    def empty(self, place: pathlib.Path) -> None:
        """Fill a file system that holds the catalog too, and empty it."""
        (place / 'repo').mkdir()
        text = self.config.read_text()
        for name in ('state', 'catalog.sqlite', 'repo'):
            text = text.replace(f'{self.root}/{name}', f'{place}/{name}')
        self.config.write_text(text)
        made = []
        for name in ('db01', 'db02', 'db03'):
            self.fill(name)
            row = self.show('backup', 'create', f'local:{name}')
            made.append(row['id'])
        self.fill('db04')
        _fill_up(place)
        self.call('backup', 'create', 'local:db04', code=5)
        self.assertNotIn('Traceback', '\n'.join(self.messages))
        self.assertEqual(3, len(self.show('backup', 'list')))
        for backup_id in made[:2]:
            self.call('backup', 'delete', backup_id, '--yes')
        for _ in range(2):
            self.show('repository', 'gc')
        later = self.show('backup', 'create', 'local:db04')
        for backup_id in (made[2], later['id']):
            self.show('backup', 'verify', backup_id, '--full')
        self.assert_clean()


def _fill_up(place: pathlib.Path) -> None:
    """Leave not one byte of space."""
    size = _MIB
    with (place / 'filler').open('ab', buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


class BrokenTargetTest(FaultTest):
    """A target that fails below the driver."""

    def test_when_a_call_fails_then_5_and_nothing_is_lost(self) -> None:
        self.option('target:repo', 'retry_deadline_seconds = 1')
        digest = self.fill()
        first = self.show(*_CREATE)
        # Each thread of the process counts its own calls.
        for call, number in (
            *(('pwritev2', 1), ('linkat', 1), ('linkat', 2)),
            *(('fsync', 1), ('fsync', 4)),
        ):
            digest = self.change('db01', number * _MIB, 500_000)
            fault = f'inject={call}:error=EIO:when={number}+'
            self.traced(5, 'repo', '-e', f'trace={call}', '-e', fault)
            self.call('doctor', '--clear', '--yes')
            self.assert_clean()
        # One whose last call failed may turn out to be there: then it is so.
        listed = [row['id'] for row in self.show('backup', 'list')]
        self.assertEqual(first['id'], listed[0])
        for backup_id in listed:
            self.show('backup', 'verify', backup_id, '--full')
        self.assert_works(digest)

    def test_when_it_is_mounted_read_only_then_5(self) -> None:
        repository = self.root / 'repo'
        systems.mount_loop(self, repository, 'ext4', 48 * _MIB)
        digest = self.fill()
        made = self.show(*_CREATE)
        systems.run('mount', '-o', 'remount,ro', str(repository))
        self.fails(5, 'read-only', 'backup', 'delete', made['id'], '--yes')
        self.assert_still_good(made['id'], digest)
        self.fails(5, 'read-only', *_CREATE)
        systems.run('mount', '-o', 'remount,rw', str(repository))
        self.call('doctor', '--clear', '--yes')
        self.assert_works(digest)
        self.call('backup', 'delete', made['id'], '--yes')

    def test_when_its_section_is_read_only_then_a_delete_is_refused(
        self,
    ) -> None:
        digest = self.fill()
        made = self.show(*_CREATE)
        good = self.config.read_text()
        self.option('target:repo', 'read_only = true')
        delete = ('backup', 'delete', made['id'], '--yes')
        self.fails(5, 'repo .*read_only', *delete)
        self.assert_still_good(made['id'], digest)
        self.config.write_text(good)
        self.call(*delete)

    def test_when_it_is_not_mounted_then_a_delete_is_refused(self) -> None:
        digest = self.fill()
        made = self.show(*_CREATE)
        repository = self.root / 'repo'
        repository.rename(self.root / 'away')
        self.fails(5, 'mounted', 'backup', 'delete', made['id'], '--yes')
        (self.root / 'away').rename(repository)
        self.assert_still_good(made['id'], digest)

    def assert_still_good(self, backup_id: str, digest: str) -> None:
        """Check that a backup is listed as good, and restores."""
        (row,) = self.show('backup', 'list')
        self.assertEqual((backup_id, 'available'), (row['id'], row['status']))
        self.show('backup', 'verify', backup_id, '--full')
        self.show('backup', 'restore', backup_id, '--new', 'local:kept')
        self.assertEqual(digest, self.digest('kept'))
        self.assert_clean()


class BrokenSourceTest(FaultTest):
    """A volume that cannot be read, or is another while it is read."""

    def test_when_a_read_fails_then_3_and_nothing_is_left(self) -> None:
        digest = self.fill(size=32 * _MIB)
        calls = 'preadv,preadv2,pread64,read'
        for number in (1, 2):
            self.traced(
                *(3, 'db01', '-P', str(self.volumes / 'db01')),
                *('-e', f'trace={calls}'),
                *('-e', f'inject={calls}:error=EIO:when={number}+'),
            )
            self.assertEqual([], self.show('backup', 'list'))
            self.assert_clean()
        self.assert_works(digest)

    def test_when_it_changes_its_size_then_3_and_nothing_is_left(
        self,
    ) -> None:
        # Slow enough to be met in the middle.
        good = self.config.read_text()
        self.option('target:repo', 'max_bytes_per_second = 4194304')
        for size in (4 * _MIB, 72 * _MIB):
            self.fill(size=64 * _MIB)
            self.assert_told('db01', self.resized(size))
            self.assertEqual([], self.show('backup', 'list'))
            self.assert_clean()
        self.config.write_text(good)
        self.assert_works(self.digest('db01'))

    def resized(self, size: int) -> str:
        """Resize the volume while it is read; return what is told."""
        with self.copying() as process:
            os.truncate(self.volumes / 'db01', size)
            _, stderr = process.communicate(timeout=120)
        self.assertEqual(3, process.returncode, stderr)
        return stderr


class SecondRunTest(FaultTest):
    """A command line while another one works on the same volume."""

    def test_when_a_run_is_at_work_then_6_and_it_can_be_stopped(self) -> None:
        # The repository is made before it is slow.
        self.fill('other', _MIB)
        self.show('backup', 'create', 'local:other')
        packs = self.packs()
        digest = self.fill(size=16 * _MIB)
        good = self.config.read_text()
        self.option('target:repo', 'max_bytes_per_second = 262144')
        with self.start(*_CREATE) as process:
            self.addCleanup(process.kill)
            deadline = time.monotonic() + 120
            while not self.show('run', 'list'):
                self.assertLess(time.monotonic(), deadline)
            self.fails(6, 'local:db01.*run abort', *_CREATE)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=120)
        self.assertEqual(130, process.returncode, stderr)
        self.assert_told('', stderr)
        self.assertEqual(1, len(self.show('backup', 'list')))
        self.assertEqual(packs, self.packs())
        self.assert_clean()
        self.config.write_text(good)
        self.assert_works(digest)


class RebuildTest(FaultTest):
    def test_when_the_catalog_is_lost_then_it_becomes_equal(self) -> None:
        for name in ('db01', 'db02'):
            self.fill(name)
            self.show('backup', 'create', f'local:{name}', '--name', name)
        self.change('db01', _MIB, 100_000)
        first = self.show(*_CREATE)
        self.call('backup', 'delete', first['id'], '--yes')
        self.show(*_CREATE, '--full')
        before = self.show('backup', 'list')
        self.assertEqual(3, len(before))
        details = [self.show('backup', 'show', row['id']) for row in before]
        (self.root / 'catalog.sqlite').unlink()
        self.show('catalog', 'rebuild')
        self.assertEqual(before, self.show('backup', 'list'))
        for old in details:
            new = self.show('backup', 'show', old['id'])
            # Which run made it is not known to the repository.
            different = {key for key in old if old[key] != new[key]}
            self.assertLessEqual(different, {'run', 'finished_at'})
