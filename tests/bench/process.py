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

"""Runs one command as a whole process and tells what it cost."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import os
import pathlib
import resource
import shlex
import signal
import subprocess
import time

from tests.bench import fault

#: getrusage(2) counts blocks of output in units of this, whatever the disk.
_OUTPUT_BLOCK_BYTES = 512

#: Enough of a log to show the error, not all of a progress bar.
_TAIL_CHARACTERS = 4000
_COMMAND_CHARACTERS = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A command line with the environment it needs besides ours."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cwd: pathlib.Path | None = None

    def durable(self, directory: pathlib.Path) -> Command:
        """Return this command with a flush of a file system at its end."""
        script = '"$@" && sync -f "$0"'
        return dataclasses.replace(
            self, argv=('sh', '-c', script, str(directory), *self.argv)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What a process and all its children took.

    ``peak_bytes`` is the biggest of them, and never below what this
    process itself takes: Linux counts the moment before exec too.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int


class Runner:
    """Runs commands one after the other and keeps the last one's output."""

    def __init__(self, logs: pathlib.Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._stdout = logs / 'stdout'
        self._stderr = logs / 'stderr'

    def run(self, command: Command) -> Usage:
        """Run a command to its end.

        :raises BenchError: it failed; the end of its output is quoted
        """
        with (
            self._stdout.open('wb') as stdout,
            self._stderr.open('wb') as stderr,
        ):
            started = time.monotonic()
            child = subprocess.Popen(
                command.argv,
                env={**os.environ, **command.env},
                cwd=command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            status, usage = _wait(child)
            wall_seconds = time.monotonic() - started
        if status != 0:
            raise fault.BenchError(self._failure(command, status))
        return Usage(
            wall_seconds=wall_seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
            written_bytes=usage.ru_oublock * _OUTPUT_BLOCK_BYTES,
        )

    def stdout(self) -> str:
        """Return what the last command printed."""
        return self._stdout.read_text('utf-8', 'replace')

    def stderr(self) -> str:
        """Return what the last command complained of."""
        return self._stderr.read_text('utf-8', 'replace')

    def _failure(self, command: Command, status: int) -> str:
        said = (self.stdout() + self.stderr())[-_TAIL_CHARACTERS:]
        shown = shlex.join(command.argv)[:_COMMAND_CHARACTERS]
        return f'exit {status} of: {shown}\n{said}'


def _wait(
    child: subprocess.Popen[bytes],
) -> tuple[int, resource.struct_rusage]:
    """Reap a child; end it and all it started if we are interrupted."""
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    # Popen would otherwise look for the child it no longer has.
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage
