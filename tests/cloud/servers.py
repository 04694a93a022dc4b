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


"""Servers that a test process starts, and that end with it."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping, Sequence
import ctypes
import functools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Protocol, TypeVar

#: The scripts of this environment, those of the servers among them.
SCRIPTS = pathlib.Path(sys.executable).parent

_MEMORY = pathlib.Path('/dev/shm')
_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 0.1
_SET_DEATH_SIGNAL = 1


class Running(Protocol):
    """What has servers."""

    def start(self) -> None:
        """Start them all, and wait until they work."""

    def stop(self) -> None:
        """End them all."""


_Made = TypeVar('_Made', bound=Running)


class Server:
    """One server process, which can be killed and started again."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        root: pathlib.Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = root / f'{name}.log'
        self._command = list(command)
        self._root = root
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; whether it answers is another question."""
        with self.log.open('ab') as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                env={
                    'PATH': f'{SCRIPTS}:{os.environ["PATH"]}',
                    'PYTHONWARNINGS': 'ignore',
                    'LC_ALL': 'C.UTF-8',
                    **self._environment,
                },
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid()),
            )

    def kill(self) -> None:
        """Kill it and what it has started, as a lost machine would be."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def wait(self, answers: Callable[[], bool]) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(
                    f'{self.name} {"ended" if ended else "does not answer"}: '
                    f'{self.log.read_text(errors="replace")[-4000:]}'
                )
            time.sleep(_PAUSE_SECONDS)


def run(command: Sequence[str], log: pathlib.Path) -> None:
    """Run a program to its end, which must be a good one."""
    with log.open('ab') as output:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={
                'PATH': f'{SCRIPTS}:{os.environ["PATH"]}',
                'PYTHONWARNINGS': 'ignore',
                'LC_ALL': 'C.UTF-8',
            },
            check=False,
        )
    if done.returncode:
        raise AssertionError(
            f'{command[0]} ends with {done.returncode}: '
            f'{log.read_text(errors="replace")[-4000:]}'
        )


def free_ports(number: int) -> list[int]:
    """Return ports of loopback that nobody uses, each another one."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(('127.0.0.1', 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def listens(port: int) -> bool:
    """Tell whether somebody takes connections at a port of loopback."""
    try:
        socket.create_connection(('127.0.0.1', port), timeout=5).close()
    except OSError:
        return False
    return True


def begin(name: str, make: Callable[[pathlib.Path], _Made]) -> _Made:
    """Make and start something with servers, in a directory of its own.

    All is gone when this process ends.
    """
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    root = pathlib.Path(
        tempfile.mkdtemp(prefix=f'backupkit-{name}-', dir=place)
    )
    # Other users run some of the servers.
    root.chmod(0o755)
    process = os.getpid()
    made = make(root)

    def end() -> None:
        # A child that was forked must not end what its parent uses.
        if os.getpid() == process:
            made.stop()
            shutil.rmtree(root, ignore_errors=True)

    atexit.register(end)
    made.start()
    return made


def _die_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that is."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
