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


"""A target whose file system hangs, seen from the command line.

A call of the store hangs in the kernel, as one to a file server does that
is away: in a read of a pipe into which nobody writes.
"""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from tests.functional import configuration
from tests import signals

#: Runs the command line with one call of the store hanging.
_PROGRAM = """
import os, sys
from backupkit.cli import main
from backupkit_plugins.targets.posix import fsops
call, marker, *arguments = sys.argv[1:]
nobody, _ = os.pipe()
def hang(*_, **__):
    open(marker, 'w').close()
    os.read(nobody, 1)
setattr(fsops, call, hang)
sys.argv[1:] = arguments
main.run()
"""
#: What a busy host may take beyond what a test is about.
_PATIENCE = 120.0
#: More than a healthy call takes on a busy host.
_LIMIT_SECONDS = 4.0


class HangTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name).resolve()
        self.config = configuration.write(self.root)
        self.limited = self.root / 'limited.conf'
        (self.root / 'volumes/v').write_bytes(b'volume' * 100_000)

    def configure(self, io_timeout_seconds: float) -> None:
        """Limit the calls of what is started to hang, and of that alone."""
        text = self.config.read_text()
        line = f'[DEFAULT]\nio_timeout_seconds = {io_timeout_seconds}\n'
        self.limited.write_text(text.replace('[DEFAULT]\n', line))

    def start(self, call: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a command one of whose calls hangs."""
        process = subprocess.Popen(
            [
                sys.executable,
                '-c',
                _PROGRAM,
                call,
                str(self.root / 'hangs'),
                f'--config-file={self.limited}',
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=signals.reset,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def until_it_hangs(self, process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + _PATIENCE
        while not (self.root / 'hangs').exists():
            self.assertIsNone(process.poll(), 'it has ended')
            self.assertLess(time.monotonic(), end, 'it does not hang')
            # Its end, and not the time, is what is waited for.
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue

    def test_backup_when_a_put_hangs_then_told_in_time(self) -> None:
        self.configure(_LIMIT_SECONDS)
        process = self.start('fsync', 'backup', 'create', 'local:v')
        _, told = process.communicate(timeout=_PATIENCE)
        self.assertEqual(5, process.returncode, told)
        self.assertIn('target repo does not answer: put ', told)
        self.assertNotIn('Traceback', told)

    def run_to_its_end(self, *arguments: str) -> None:
        """Run a command with nothing hanging."""
        command = [sys.executable, '-m', 'backupkit.cli.main']
        subprocess.run(
            [*command, f'--config-file={self.config}', *arguments],
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )

    def test_backup_when_the_copy_hangs_then_suspended(self) -> None:
        self.configure(_LIMIT_SECONDS)
        self.run_to_its_end('backup', 'create', 'local:v')
        (self.root / 'volumes/v').write_bytes(b'change' * 100_000)
        process = self.start('pwritev', 'backup', 'create', 'local:v')
        _, told = process.communicate(timeout=_PATIENCE)
        self.assertEqual(9, process.returncode, told)
        self.assertIn('suspended: target repo stayed away: ', told)
        self.assertIn('does not answer: put backups/', told)
        self.run_to_its_end('run', 'abort', '--yes', '2')

    def test_backup_when_the_target_does_not_open_then_told(self) -> None:
        self.configure(_LIMIT_SECONDS)
        process = self.start('open_root', 'backup', 'create', 'local:v')
        _, told = process.communicate(timeout=_PATIENCE)
        self.assertEqual(5, process.returncode, told)
        self.assertIn('target repo does not answer: ', told)

    def test_list_of_runs_when_a_backup_hangs_then_answered(self) -> None:
        self.configure(3600.0)
        process = self.start('pwritev', 'backup', 'create', 'local:v')
        self.until_it_hangs(process)
        self.run_to_its_end('run', 'list')
        self.assertIsNone(process.poll())

    def test_backup_when_interrupted_in_a_hang_then_ends_soon(self) -> None:
        self.configure(3600.0)
        process = self.start('pwritev', 'backup', 'create', 'local:v')
        self.until_it_hangs(process)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=_PATIENCE)
        self.assertEqual(130, process.returncode, told)
        self.assertNotIn('Traceback', told)

    def test_check_when_interrupted_in_a_hang_then_ends_soon(self) -> None:
        self.configure(3600.0)
        process = self.start('open_root', 'doctor')
        self.until_it_hangs(process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_PATIENCE)
        self.assertEqual(130, process.returncode)
