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

"""The command ``backupkit`` itself, as a service user has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any, IO

from tests.nfs import rights
from tests.nfs import stand
from tests import signals

#: Far more than a command takes that does not hang.
PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.05
_Event = Mapping[str, Any]
_SCRIPT = pathlib.Path(sys.executable).parent / 'backupkit'


class Command:
    """A command that runs, and what it has written so far."""

    def __init__(
        self, out: IO[bytes], told: IO[bytes], *arguments: str
    ) -> None:
        self._out, self._told = out, told
        line = [str(_SCRIPT), f'--config-file={rights.CONFIGURATION}']
        self.process = subprocess.Popen(
            [*line, '--progress=json', *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=told,
            preexec_fn=signals.reset,
        )

    def until_moved(self, size_bytes: int) -> None:
        """Wait until one of its steps has come so far.

        :raises AssertionError: the command ends before, or takes too long
        """
        self._until(
            lambda told: max(each['done_bytes'] for each in told) >= size_bytes
        )

    def until_still(self, seconds: float) -> None:
        """Wait until nothing has moved for so long.

        :raises AssertionError: it ends before, or takes too long
        """
        self._until(lambda told: told[-1]['waiting_seconds'] >= seconds)

    def end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Return its exit code.

        :raises AssertionError: it goes on for longer
        """
        if not self._wait(seconds):
            raise AssertionError(f'after {seconds:g} s: {self.told()}')
        return self.process.returncode

    def out(self) -> str:
        """Return what it has written to stdout."""
        return _read(self._out)

    def told(self) -> str:
        """Return what it has told on stderr, but for its progress."""
        lines = _read(self._told).splitlines()
        return '\n'.join(line for line in lines if not line.startswith('{'))

    def kill(self) -> None:
        """End it, unless it has ended."""
        self.process.kill()
        self.process.wait()

    def _until(self, is_so: Callable[[list[_Event]], bool]) -> None:
        """Wait until something is so of all that its progress has told."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (events := self._events()) or not is_so(events):
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f'{events[-1:]}: {self.told()}')
            self._wait(_LOOK_SECONDS)

    def _events(self) -> list[_Event]:
        lines = _read(self._told).splitlines(keepends=True)
        return [
            json.loads(line)
            for line in lines
            if line.startswith('{') and line.endswith('\n')
        ]

    def _wait(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


class CommandCase(stand.NfsStand):
    """Base class: everything is asked from the command line."""

    def start(self, *arguments: str) -> Command:
        """Start a command."""
        out, told = (
            self.enterContext(tempfile.TemporaryFile()) for _ in range(2)
        )
        command = Command(out, told, *arguments)
        self.addCleanup(command.kill)
        return command

    def ran(self, *arguments: str, code: int = 0) -> Command:
        """Run a command to its end, which must be the one expected."""
        command = self.start(*arguments)
        found = command.end()
        told = f'{arguments}: {command.told()}\n{command.out()}'
        self.assertEqual(code, found, told)
        return command

    def asked(self, *arguments: str) -> list[dict[str, str]]:
        """Return the rows that a command lists."""
        rows = json.loads(self.ran(*arguments, '-f', 'json').out())
        return rows if isinstance(rows, list) else [rows]


def _read(file: IO[bytes]) -> str:
    # The position is the command's, which goes on writing.
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode()
