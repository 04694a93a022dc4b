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

"""Many deletes in one request, where the cluster has that."""

from __future__ import annotations

from collections.abc import Sequence
import json
from typing import Any
import urllib.parse

from backupkit_plugins.targets.swift import body as body_
from backupkit_plugins.targets.swift import connection
from backupkit_plugins.targets.swift import failures

#: More takes a proxy longer than some balancers wait.
MOST = 1000


def delete(
    connections: connection.Connections, container: str, names: Sequence[str]
) -> None:
    """Delete objects of a container; absent is fine.

    The answer's own status tells nothing: it is sent before the work.

    :raises errors.TargetError: some may be left
    """
    action = f'delete {len(names)} objects'
    lines = [
        f'{urllib.parse.quote(f"{container}/{name}")}\n' for name in names
    ]
    with connections.request(
        action,
        'POST',
        '?bulk-delete',
        headers={'Content-Type': 'text/plain', 'Accept': 'application/json'},
        body=body_.Body([''.join(lines).encode()]),
    ) as answer:
        text = answer.read()
        if answer.status == 404:
            raise failures.passing(f'cannot {action}: nothing answers there')
        if answer.status != 200:
            raise failures.answered(
                action, 'DELETE', answer.status, answer.headers
            )
    check(action, text)


def check(action: str, text: bytes) -> None:
    """Raise what went wrong, as the answer's body tells."""
    try:
        told = json.loads(text)
        status, failed = told['Response Status'], told['Errors']
        count = told['Number Deleted'] + told['Number Not Found']
    except (ValueError, KeyError, TypeError) as exc:
        raise failures.passing(
            f'cannot {action}: the cluster did not tell how it went'
        ) from exc
    if failed:
        name, why = failed[0]
        raise failures.answered(
            f'delete {urllib.parse.unquote(str(name))}',
            'DELETE',
            _code(why),
            {},
        )
    if _code(status) != 200 and not (_code(status) == 404 and not count):
        raise failures.answered(action, 'DELETE', _code(status), {})


def _code(status: Any) -> int:
    """Return the number at the beginning of a status line, or 0."""
    word = str(status).partition(' ')[0]
    return int(word) if word.isdecimal() else 0
