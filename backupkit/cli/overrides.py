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


"""What the operator wants otherwise than a backup tells it, in a file."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from backupkit import errors

_LIMIT_BYTES = 1 << 20


def read(name: str | None) -> dict[str, str] | None:
    """Return the JSON object of a file; None where no file is named.

    :raises errors.UsageError: there is none, or its values are no texts
    """
    if name is None:
        return None
    try:
        with pathlib.Path(name).open('rb') as file:
            found: Any = json.loads(file.read(_LIMIT_BYTES))
    except OSError as exc:
        raise errors.UsageError(
            f'{name} cannot be read: {exc.strerror}'
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise errors.UsageError(f'{name} holds no JSON: {exc}') from exc
    if not isinstance(found, dict) or not all(
        isinstance(value, str) for value in found.values()
    ):
        raise errors.UsageError(
            f'{name} must hold one JSON object whose values are texts, as '
            '{"description": "restored"}'
        )
    return found
