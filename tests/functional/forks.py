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

"""Work in processes of its own, forked with all imports done.

A fork costs milliseconds where an interpreter costs half a second. The
process that forks must hold no threads and nothing open: all that it wants
to know it asks another child.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import importlib
from multiprocessing import connection
import os
import signal
import sys
import time
import traceback
from typing import Any

#: Tells the parent that the part to be watched begins now.
Ready = Callable[[], None]

_READY = 'ready'
_DONE = 'done'
_FAILED = 'failed'


class Child:
    """A process that does one thing, and may be killed meanwhile.

    :param work: called in the child; what it returns comes back
    """

    def __init__(self, work: Callable[[Ready], Any]) -> None:
        self._code: int | None = None
        self.reader, writer = connection.Pipe(duplex=False)
        self.pid = os.fork()
        if self.pid == 0:
            self.reader.close()
            _work(work, writer)
        writer.close()

    def wait_ready(self) -> None:
        """Return once the child said that it is ready."""
        kind, value = self.reader.recv()
        if kind != _READY:
            self.end()
            raise AssertionError(f'the child ended early: {value}')

    def ended_within(self, seconds: float) -> bool:
        """Return whether it ends by itself in so many seconds."""
        return self.reader.poll(seconds)

    def kill(self) -> bool:
        """End it with SIGKILL; False where it had ended by itself."""
        if self._code is None:
            # Nobody has waited for it, so the number is still its own.
            os.kill(self.pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for its end and return its exit code, or minus the signal."""
        self.reader.close()
        if self._code is None:
            _, status = os.waitpid(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def result(self, seconds: float = 120) -> Any:
        """Return what the work returned.

        :raises AssertionError: with the traceback, where it failed
        """
        kind, value = _READY, None
        deadline = time.monotonic() + seconds
        try:
            while kind == _READY:
                left = deadline - time.monotonic()
                if not self.reader.poll(max(0, left)):
                    self.kill()
                    raise AssertionError(f'not done within {seconds} s')
                kind, value = self.reader.recv()
        except EOFError:
            kind, value = _FAILED, 'it died'
        finally:
            self.end()
        if kind == _FAILED:
            raise AssertionError(value)
        return value


def ended(children: Sequence[Child], seconds: float = 120) -> list[Child]:
    """Wait until some of these have ended, and return them.

    All of them must have said that they are ready.
    """
    readers = {child.reader: child for child in children}
    ready = connection.wait(list(readers), seconds)
    if not ready:
        raise AssertionError(f'none has ended within {seconds} s')
    return [child for reader, child in readers.items() if reader in ready]


def call(work: Callable[[], Any], seconds: float = 120) -> Any:
    """Do something in a child and return what it returns."""
    return Child(lambda ready: work()).result(seconds)


def learn(work: Callable[[], Any]) -> None:
    """Do something in a child, and import here what it imported there."""

    def modules() -> dict[str, bool]:
        work()
        return {name: bool(module) for name, module in sys.modules.items()}

    found = call(modules)
    for name in found.keys() - sys.modules.keys():
        if not found[name]:
            # It must not be imported here either, by any of the others.
            sys.modules[name] = None  # type: ignore[assignment] # as it says
    for name in found:
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _work(
    work: Callable[[Ready], Any],
    writer: connection.Connection[Any, Any],
) -> None:
    """Be the child: never comes back."""
    code = 1
    try:
        # What a test says on stdout is the runner's protocol.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        value = work(lambda: writer.send((_READY, None)))
        writer.send((_DONE, value))
        code = 0
    except BaseException:  # noqa: BLE001 - the parent is told of anything
        writer.send((_FAILED, traceback.format_exc()))
    finally:
        os._exit(code)
