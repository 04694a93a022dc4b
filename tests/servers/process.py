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

"""A server process, which ends with the process that tests.

It ends when its owner stops it, and also when its owner is killed. For the
latter it has the kernel kill it together with the thread that it was started
from; so all are started from one thread, which outlives the test that wants
the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
import ctypes
import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

#: The scripts of this environment, those of the servers among them.
SCRIPTS = pathlib.Path(sys.executable).parent

_PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = 0.05
_TAIL_CHARACTERS = 10_000
_SET_DEATH_SIGNAL = 1
#: Looked up here: after a fork there may be locks that nobody opens.
_PRCTL = ctypes.CDLL(None).prctl


class Server:
    """One server, which can be killed and started again.

    It leads a session, and so a process group: what it starts itself is
    killed and paused with it.

    :ivar log: file with all that it has told, in each of its lives
    """

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

    @property
    def running(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    def start(self) -> None:
        """Start it; whether it answers is another question."""
        self._process = _starter(os.getpid()).submit(self._launch).result()

    def kill(self) -> None:
        """Kill it and what it has started, as a lost machine would be."""
        process, self._process = self._process, None
        if process is not None:
            self._signal(process, signal.SIGKILL)
            process.wait()

    def pause(self) -> None:
        """Let it say nothing more, with open connections."""
        if self._process is not None:
            self._signal(self._process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on with what it was asked meanwhile."""
        if self._process is not None:
            self._signal(self._process, signal.SIGCONT)

    def wait(self, answers: Callable[[], bool]) -> None:
        """Return once it answers.

        :raises AssertionError: it has ended, or takes too long; with the
            end of its log
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not answers():
            ended = self._ended()
            if ended or time.monotonic() > deadline:
                raise AssertionError(
                    f'{self.name} {"ended" if ended else "does not answer"}: '
                    f'{_tail(self.log)}'
                )
            time.sleep(_PAUSE_SECONDS)

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.log.open('ab') as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._root,
                env=_environment(self._environment),
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid()),
            )

    def _ended(self) -> bool:
        """Tell whether it is no more, and keep its number from others."""
        if self._process is None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: int) -> None:
        # Its number is not another's, dead or alive: nobody has waited.
        os.killpg(process.pid, number)


def run(
    command: Sequence[str],
    log: pathlib.Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program to its end, which must be a good one."""
    with log.open('ab') as output:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(environment or {}),
            check=False,
        )
    if done.returncode:
        raise AssertionError(
            f'{" ".join(command)} ends with {done.returncode}: {_tail(log)}'
        )


@functools.cache
def _starter(process: int) -> futures.Executor:
    """Return the thread from which this process starts servers.

    One that was forked has a thread of its own.
    """
    return futures.ThreadPoolExecutor(1, 'starter')


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {
        'PATH': f'{SCRIPTS}:{os.environ["PATH"]}',
        'PYTHONWARNINGS': 'ignore',
        'LC_ALL': 'C.UTF-8',
        **more,
    }


def _tail(log: pathlib.Path) -> str:
    return log.read_text(errors='replace')[-_TAIL_CHARACTERS:]


def _die_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that is."""
    _PRCTL(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
