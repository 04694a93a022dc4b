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

"""What the answers of a cluster mean for somebody who keeps backups."""

from __future__ import annotations

from collections.abc import Mapping
import datetime
import email.utils
import http
from typing import TYPE_CHECKING

from backupkit import errors

if TYPE_CHECKING:
    from backupkit_plugins.targets.swift import connection

_WRITING = frozenset({'PUT', 'POST', 'DELETE'})

#: Answers that say nothing about the next try. 409 comes where two changes
#: of an object cross, 422 where a body arrived damaged, and 498 is what
#: rate limiting says of too many requests.
_PASSING = frozenset({401, 408, 409, 422, 425, 429, 498})

_WORDS = {
    401: 'the token was refused',
    498: 'too many requests',
    422: 'what arrived was not what was sent',
}


def expect(
    answer: connection.Answer, action: str, method: str, *good: int
) -> None:
    """Raise what an answer stands for, unless its status is a good one.

    :raises errors.TargetError: or one of its kinds
    """
    if answer.status not in good:
        raise answered(action, method, answer.status, answer.headers)


def answered(
    action: str, method: str, status: int, headers: Mapping[str, str]
) -> errors.BackupkitError:
    """Return the error that an answer stands for.

    :param action: what was being done, as in *cannot ACTION*
    """
    fact = f'cannot {action}: {describe(status)}'
    if status == http.HTTPStatus.FORBIDDEN:
        return _forbidden(fact, method)
    if method == 'PUT' and status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return errors.TargetFull(
            f'{fact}: a quota is reached, or the object is too large for '
            'the cluster'
        )
    if method == 'PUT' and status == http.HTTPStatus.INSUFFICIENT_STORAGE:
        # Other devices are tried the next time, and one may have room.
        full = errors.TargetFull(fact)
        full.retryable = True
        return full
    if status < 300:
        # Not what is promised, as with 202 for a put that came too late.
        return passing(fact, headers)
    if status in _PASSING or 500 <= status <= 599:
        return passing(fact, headers)
    if 300 <= status <= 399:
        return errors.TargetError(
            f'{fact}: redirections are not followed; let auth_url or '
            'storage_url name the right place'
        )
    return errors.TargetError(fact)


def describe(status: int) -> str:
    """Return a status with the words for it."""
    words = _WORDS.get(status)
    if words is None:
        try:
            words = http.HTTPStatus(status).phrase.lower()
        except ValueError:
            words = 'unknown'
    return f'the cluster says {status}, {words}'


def passing(
    message: str, headers: Mapping[str, str] | None = None
) -> errors.TargetUnavailable:
    """Return an error that may pass, when the cluster says it may."""
    error = errors.TargetUnavailable(message)
    error.retry_after_seconds = _retry_after(headers or {})
    return error


def _forbidden(fact: str, method: str) -> errors.TargetError:
    if method in _WRITING:
        return errors.TargetReadOnly(
            f'{fact}: this user may not write there; give it a role or an '
            'access list that lets it'
        )
    return errors.TargetError(
        f'{fact}: this user may not read there; give it a role or an access '
        'list that lets it'
    )


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return for how long the cluster asks to be left alone, in seconds."""
    text = headers.get('Retry-After') or ''
    if text.strip().isdecimal():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    now = datetime.datetime.now(datetime.UTC)
    return max(0.0, (when - now).total_seconds())
