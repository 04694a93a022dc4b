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

"""Another machine, as far as a test can tell, in the same kernel.

It has a network, mounts and processes of its own; its network is one cable
to ours. So it can fall silent as machines do, what runs there leaves the
services of the host alone, and all of it goes at once.
"""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from multiprocessing import connection
import os
import pathlib
import socket
import subprocess
import traceback
from typing import NoReturn, ParamSpec, TypeVar

from tests.guest import root

_CLONE_NEWNS = 0x20000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')


class Machine:
    """A machine that is up until ``end`` is called; root makes it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _be_machine(theirs)
        theirs.close()
        self._asking = connection.Connection(ours.detach())
        # Its network is there once it answers.
        self.do(os.getpid)

    def do(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Call a function of a module there, as root."""
        return root.ask(self._asking, function, args, kwargs)

    def wire(self, ours: str, theirs: str) -> None:
        """Lay a cable; both ends of it are down."""
        run('ip', 'link', 'add', ours, 'type', 'veth', 'peer', 'name', theirs)
        run('ip', 'link', 'set', theirs, 'netns', str(self._pid))

    def end(self) -> None:
        """Take it away, with all that runs there."""
        self._asking.close()
        os.waitpid(self._pid, 0)


def run(*line: str) -> str:
    """Run a program that must work, and return what it says.

    :raises AssertionError: it failed
    """
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(
            f'{" ".join(line)}: {done.returncode}: {done.stdout}{done.stderr}'
        )
    return done.stdout


def separate() -> None:
    """Leave the mounts of the others alone, and they leave ours."""
    _unshare(_CLONE_NEWNS)
    run('mount', '--make-rprivate', '/')


def write(path: str, text: str) -> None:
    """Write a file, as a shell's ``>`` does."""
    pathlib.Path(path).write_text(text)


def _be_machine(asked: socket.socket) -> NoReturn:
    """Be the machine's process 1, or what waits for its end."""
    code = 1
    try:
        separate()
        # Last, because the next child is the one that is process 1.
        _unshare(_CLONE_NEWNET | _CLONE_NEWPID)
        if child := os.fork():
            asked.close()
            os.waitpid(child, 0)
        else:
            run('mount', '-t', 'proc', 'proc', '/proc')
            run('ip', 'link', 'set', 'lo', 'up')
            with connection.Connection(asked.detach()) as asking:
                root.serve(asking)
        code = 0
    except BaseException:  # noqa: BLE001 - it is a process of its own
        traceback.print_exc()
    finally:
        os._exit(code)


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), 'unshare')
