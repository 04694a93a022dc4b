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

"""What a cluster tells of itself to everybody."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from backupkit_plugins.targets.swift import connection

#: What Swift takes in one piece, where a cluster does not tell.
DEFAULT_OBJECT_BYTES = 5 * 1024**3
#: So much of what it tells is read at the most.
_LIMIT = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Info:
    """The facts that matter here.

    ``bulk_deletes`` is how many objects one request can delete, 0 where
    there is no such request; ``policies`` is None where it is not told.
    """

    object_bytes: int = DEFAULT_OBJECT_BYTES
    bulk_deletes: int = 0
    policies: frozenset[str] | None = None


def ask(connections: connection.Connections) -> Info:
    """Return what the cluster tells; little where it does not want to.

    :raises errors.TargetUnavailable: it cannot be asked now
    """
    with connections.anonymous('ask the cluster', '/info') as answer:
        text = answer.read(_LIMIT)
        if answer.status != 200:
            return Info()
    return parse(text)


def parse(text: bytes) -> Info:
    """Return the facts in a cluster's answer, of whatever form."""
    try:
        told = json.loads(text)
    except ValueError:
        return Info()
    swift = _part(told, 'swift')
    found = swift.get('policies')
    policies = None
    if isinstance(found, list):
        policies = frozenset(
            name.strip().lower()
            for one in found
            if isinstance(one, dict)
            for name in _names(one)
        )
    return Info(
        object_bytes=_number(swift, 'max_file_size', DEFAULT_OBJECT_BYTES),
        bulk_deletes=_number(
            _part(told, 'bulk_delete'), 'max_deletes_per_request', 0
        ),
        policies=policies,
    )


def _part(told: Any, name: str) -> Mapping[str, Any]:
    found = told.get(name) if isinstance(told, dict) else None
    return found if isinstance(found, dict) else {}


def _number(part: Mapping[str, Any], name: str, default: int) -> int:
    found = part.get(name)
    return found if isinstance(found, int) and found > 0 else default


def _names(policy: Mapping[str, Any]) -> list[str]:
    return [
        *str(policy.get('name', '')).split(','),
        *str(policy.get('aliases', '')).split(','),
    ]
