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


"""What Cinder's answers mean, as errors of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backupkit import errors

_TEXT_LIMIT = 500


class Unreachable(errors.SourceError):
    """Nobody answers now, or the one who does is in trouble.

    Whether the request was carried out is not known.
    """

    retryable = True


class Gone(errors.VolumeNotFound):
    """Cinder does not know the thing that was asked for."""


class Conflicting(errors.SourceError):
    """The thing is not in a state in which this can be done."""


class OverLimit(errors.SourceError):
    """A quota or a limit of the cloud is reached."""


_KINDS: Mapping[int, type[errors.SourceError]] = {
    400: Conflicting,
    404: Gone,
    409: Conflicting,
    413: OverLimit,
    429: OverLimit,
}


def explain(what: str, status: int, body: Any) -> errors.SourceError:
    """Return the error for an answer that is no success.

    :param what: the request as a sentence's beginning: ``cannot ...``
    :param body: the answer's JSON document, or None
    """
    told = message(body)
    text = f'{what}: {told or _describe(status)}'
    if status in (401, 403):
        return errors.SourceError(
            f'{text}; see the login of the section, and its rights'
        )
    if status == 406:
        return errors.SourceError(f'{text}; see the option microversion')
    if status >= 500 or status == 408:
        return Unreachable(text)
    return _KINDS.get(status, errors.SourceError)(text)


def message(body: Any) -> str:
    """Return Cinder's own words in the document of an error.

    It has one key, which names the kind of fault; below it is the message.
    """
    if not isinstance(body, dict):
        return ''
    for fault in body.values():
        told = fault.get('message') if isinstance(fault, dict) else None
        if isinstance(told, str) and told.strip():
            return ' '.join(told.split())[:_TEXT_LIMIT]
    return ''


def _describe(status: int) -> str:
    words = {
        401: 'the login is not accepted',
        403: 'it is forbidden',
        404: 'there is no such thing',
    }
    return words.get(status, f'Cinder answers with status {status}')
