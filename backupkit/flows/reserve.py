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

from collections.abc import Callable
import logging
from typing import TYPE_CHECKING, TypeVar, cast

from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import faults

if TYPE_CHECKING:
    from backupkit.repository import target as repository_target

LOG = logging.getLogger(__name__)

_R = TypeVar('_R')


def retry(target: target_.Target, action: Callable[[], _R]) -> _R:
    """Do what frees space; once more without the reserve where that lacks.

    :param action: may be called twice
    """
    repository = _repository(target)
    try:
        return action()
    except (errors.TargetFull, errors.CatalogFull) as exc:
        if repository is None:
            raise
        LOG.warning('%s; releasing the reserve of %s', exc, target.name)
    with faults.attributed(repository):
        repository.release_reserve()
    try:
        return action()
    finally:
        keep(target)


def keep(target: target_.Target) -> None:
    """Put the reserve back, if there is room; else a later call will."""
    repository = _repository(target)
    if repository is None:
        return
    try:
        with faults.attributed(repository):
            repository.keep_reserve()
    except errors.TargetReadOnly as exc:
        # Nothing can fill it either.
        LOG.debug('target %s keeps what it has: %s', target.name, exc)
    except errors.BackupkitError as exc:
        LOG.warning('target %s has no reserve now: %s', target.name, exc)


def _repository(
    target: target_.Target,
) -> repository_target.RepositoryTarget | None:
    if not target.capabilities.repository:
        return None
    return cast('repository_target.RepositoryTarget', target)
