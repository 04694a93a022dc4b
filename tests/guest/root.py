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

"""What tests do as root, though they run as a service user.

``do(function, ...)`` calls a function of a module in the process that
started the tests, which is root and holds the services. Functions and what
they are given and return must be fit for pickling.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import functools
from multiprocessing import connection
import os
import threading
import traceback
from typing import Any, ParamSpec, TypeVar

_VARIABLE = 'BED_ROOT_FD'
_LOCK = threading.Lock()

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')


class RootError(Exception):
    """What was asked of root has failed, with the traceback of root's."""


def do(
    function: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Call a function of a module as root, and return what it returns.

    A process that the tests fork must leave this to its parent.
    """
    with _LOCK:
        return ask(_root(os.getpid()), function, args, kwargs)


def ask(
    asking: connection.Connection[Any, Any],
    function: Callable[..., Result],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Result:
    """Have a function called at the other end."""
    asking.send((function, args, kwargs))
    failed, result = asking.recv()
    if failed:
        raise RootError(result)
    return result  # type: ignore[no-any-return] # as the function says


def serve(asking: connection.Connection[Any, Any]) -> None:
    """Do what tests ask, until they have closed their end."""
    with contextlib.suppress(EOFError):
        while True:
            function, args, kwargs = asking.recv()
            try:
                answer = (False, function(*args, **kwargs))
            except Exception:  # noqa: BLE001 - it is the asker's to judge
                answer = (True, traceback.format_exc())
            asking.send(answer)


def environment(fd: int) -> dict[str, str]:
    """Return what tells the tests which descriptor leads to root."""
    return {_VARIABLE: str(fd)}


@functools.cache
def _root(pid: int) -> connection.Connection[Any, Any]:
    try:
        fd = int(os.environ.pop(_VARIABLE))
    except KeyError:
        raise RootError(
            f'process {pid} was not started by tests.guest.inside'
        ) from None
    os.set_inheritable(fd, False)
    return connection.Connection(fd)
