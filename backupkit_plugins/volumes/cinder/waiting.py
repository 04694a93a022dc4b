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


"""Waits for Cinder to come to an end with what it was asked for.

Cinder tells nobody when it is ready: it is asked, soon at first and then
more seldom. While it does not answer at all the wait goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time

from backupkit import errors
from backupkit_plugins.volumes.cinder import api as api_
from backupkit_plugins.volumes.cinder import failures

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_GROWTH = 1.5

Look = Callable[[], api_.Fields]


def ready(api: api_.Api, what: str, look: Look, limit: float) -> api_.Fields:
    """Return a thing once it is available.

    :param what: names it in errors
    :param look: asks for it
    :param limit: for how many seconds at the most
    :raises errors.SourceError: it failed, or takes too long
    """
    for status in _looks(f'{what} is not available', limit):
        try:
            found = look()
        except failures.Unreachable as exc:
            status.append(str(exc))
            continue
        status.append(str(found['status']))
        if status[-1] in ('available', 'in-use'):
            return found
        if 'error' in status[-1]:
            raise errors.SourceError(_why(api, what, found))
    raise AssertionError  # the looks end by an error


def gone(api: api_.Api, what: str, look: Look, limit: float) -> None:
    """Return once a thing that is being deleted is no more.

    :raises errors.SourceError: it cannot be deleted, or takes too long
    """
    for status in _looks(f'{what} is not gone', limit):
        try:
            found = look()
        except failures.Gone:
            return
        except failures.Unreachable as exc:
            status.append(str(exc))
            continue
        status.append(str(found['status']))
        if status[-1] == 'error_deleting':
            raise errors.SourceError(_why(api, what, found))


def until(condition: Callable[[], bool], what: str, limit: float) -> None:
    """Return once a condition holds.

    :param what: tells that it does not
    :raises errors.SourceError: it takes too long
    """
    for _status in _looks(what, limit):
        if condition():
            return


def _looks(what: str, limit: float) -> Iterator[list[str]]:
    """Yield a list for the last status, at times, until the deadline."""
    deadline = time.monotonic() + limit
    pause = _FIRST_PAUSE_SECONDS
    status: list[str] = []
    while True:
        yield status
        left = deadline - time.monotonic()
        if left <= 0:
            last = f'; at last: {status[-1]}' if status else ''
            raise errors.SourceError(f'{what} within {limit:g} s{last}')
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)


def _why(api: api_.Api, what: str, found: api_.Fields) -> str:
    told = api.told(str(found['id']))
    return f'{what} is in status {found["status"]}' + f': {told}' * bool(told)
