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


"""The reserve of a target: what lets a full one be emptied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import logging
from typing import TypeVar

from backupkit.api import session as session_
from backupkit import errors

LOG = logging.getLogger(__name__)

_R = TypeVar('_R')
Attempt = Callable[[Callable[[], _R]], _R]


@contextlib.contextmanager
def ready(
    session: session_.Session, target: str
) -> Iterator[Callable[[Callable[[], _R]], _R]]:
    """Yield what calls something, and again once the reserve is released.

    The reserve is put back when the block is left, where there is room
    for it then; the next delete or gc tries that again.
    """
    if not session.target(target).capabilities.repository:
        yield lambda action: action()
        return
    repository = session.repository(target)

    def attempt(action: Callable[[], _R]) -> _R:
        try:
            return action()
        except (errors.TargetFull, errors.CatalogFull) as exc:
            LOG.warning('%s; releasing the reserve of %s', exc, target)
            repository.release_reserve()
            return action()

    try:
        yield attempt
    finally:
        try:
            repository.keep_reserve()
        except errors.BackupkitError as exc:
            LOG.warning('target %s has no reserve now: %s', target, exc)
