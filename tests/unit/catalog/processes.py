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

"""Running functions in forked processes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import multiprocessing
from multiprocessing import connection as connection_
import os
import signal
import traceback
from typing import Any

_FORK = multiprocessing.get_context('fork')
#: Far longer than any test takes; then its processes are ended.
_LIMIT_SECONDS = 120


class Crashed(AssertionError):
    """A function failed in its process."""


def _run(function: Callable[[], Any], sender: connection_.Connection) -> None:
    try:
        answer = (True, function())
    except BaseException:  # noqa: BLE001 the parent shows it
        answer = (False, traceback.format_exc())
    sender.send(answer)
    sender.close()
    # Nothing that belongs to the parent may be cleaned up here.
    os._exit(0)


def together(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each function in a process of its own; return what they return."""
    started = []
    for function in functions:
        receiver, sender = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_run, args=(function, sender))
        process.start()
        sender.close()
        started.append((process, receiver))
    try:
        answers = [_received(receiver) for _, receiver in started]
    finally:
        for process, _ in started:
            process.kill()
            process.join()
    for good, value in answers:
        if not good:
            raise Crashed(value)
    return [value for _, value in answers]


def _received(receiver: connection_.Connection) -> tuple[bool, Any]:
    if not receiver.poll(_LIMIT_SECONDS):
        return False, f'no answer within {_LIMIT_SECONDS} s'
    try:
        good, value = receiver.recv()
    except EOFError:
        return False, 'the process died'
    return good, value


def apart(function: Callable[[], Any]) -> Any:
    """Run a function in a process of its own; return what it returns."""
    return together([function])[0]


def unprivileged(function: Callable[[], Any]) -> Any:
    """Run a function as a user whom file modes bind, in its own process."""

    def demoted() -> Any:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        return function()

    return apart(demoted)


def killed_after(
    acknowledgements: int, function: Callable[[Callable[[Any], None]], None]
) -> list[Any]:
    """Kill a function once it has acknowledged so many things.

    :param function: is given what it calls with each thing that it did
    :returns: all that it acknowledged
    """
    receiver, sender = _FORK.Pipe(duplex=False)

    def work() -> None:
        function(sender.send)

    process = _FORK.Process(target=work)
    process.start()
    sender.close()
    seen: list[Any] = []
    try:
        while len(seen) < acknowledgements:
            if not receiver.poll(_LIMIT_SECONDS):
                raise Crashed(f'no answer within {_LIMIT_SECONDS} s')
            seen.append(receiver.recv())
    finally:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    while receiver.poll():
        try:
            seen.append(receiver.recv())
        except EOFError:
            break
    return seen
