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

"""Whether a run still fits the world: parameters, volume, repository.

What a run was begun with is kept in its row. Whether its snapshot is still
there is found out by the step that attaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import faults
from backupkit import model

BACKEND_DRIVER = 'backend_driver'
TARGET_DRIVER = 'target_driver'
GENERATION = 'generation'
SIZE_BYTES = 'size_bytes'

#: What of these changed, in words.
_WORDS = {
    BACKEND_DRIVER: 'backend {run.backend} has another driver now',
    TARGET_DRIVER: 'target {run.target} has another driver now',
    GENERATION: 'volume {run.backend}:{run.volume_id} is another one now',
    SIZE_BYTES: 'volume {run.backend}:{run.volume_id} has another size now',
}


def noted(
    driver: volume_.VolumeDriver | None,
    target: target_.Target,
    volume: model.Volume | None = None,
    *,
    sized: bool = False,
) -> dict[str, Any]:
    """Return what a run that begins now must still find when it goes on.

    :param volume: that is read, or written and not made by the run
    :param sized: it is used as it is, and so must keep its size
    """
    found: dict[str, Any] = {TARGET_DRIVER: _name(target)}
    if driver is not None:
        found[BACKEND_DRIVER] = _name(driver)
    if volume is not None:
        found[GENERATION] = volume.generation
    if volume is not None and sized:
        found[SIZE_BYTES] = volume.size_bytes
    return found


def _name(driver: object) -> str:
    return f'{type(driver).__module__}.{type(driver).__qualname__}'


def load(session: session_.Session, run: catalog_.Run) -> None:
    """Load the drivers of a run.

    :raises errors.BackupkitError: one is not configured any more
    """
    if run.backend:
        session.volume_driver(run.backend)
    if run.target:
        session.target(run.target)


def check(session: session_.Session, run: catalog_.Run) -> None:
    """Refuse a run that does not fit any more what it was begun with.

    :raises errors.Conflict: it says what differs
    :raises errors.Suspended: target or backend cannot be asked now
    """
    target = session.target(run.target)
    with faults.suspending(target), faults.attributed(target):
        _check_repository(session, run, target)
        if run.kind == catalog_.RunKind.RESTORE:
            _check_backup(run, target)
    # Past the beginning of its commit only the target counts.
    if run.backend and not run.committing_at:
        driver = session.volume_driver(run.backend)
        made = _made(session, run)
        _check_volume(driver, run, {**run.params, **made})
    if run.params.get(TARGET_DRIVER, _name(target)) != _name(target):
        raise _differs(run, TARGET_DRIVER)


def _check_repository(
    session: session_.Session, run: catalog_.Run, target: target_.Target
) -> None:
    if run.kind not in catalog_.WRITERS or not run.repository_id:
        return
    found = session.repository(target.name).prepare_repository(
        session.catalog.coordinator()
    )
    if found != run.repository_id:
        raise errors.Conflict(
            f'run {run.number} is not gone on with: target {target.name} '
            f'holds repository {found} now, and it wrote to '
            f'{run.repository_id}'
        )


def _check_backup(run: catalog_.Run, target: target_.Target) -> None:
    try:
        target.show(run.backup_id or '')
    except errors.NotFound as exc:
        raise errors.Conflict(
            f'run {run.number} is not gone on with: {exc}'
        ) from exc


def _made(session: session_.Session, run: catalog_.Run) -> dict[str, Any]:
    """Return what is known of the volume that the run has made."""
    for entry in session.catalog.ledger(run.run_id):
        if entry.kind == catalog_.LedgerKind.VOLUME and entry.details['made']:
            return {GENERATION: entry.details['generation']}
    return {}


def _check_volume(
    driver: volume_.VolumeDriver,
    run: catalog_.Run,
    params: Mapping[str, Any],
) -> None:
    if params.get(BACKEND_DRIVER, _name(driver)) != _name(driver):
        raise _differs(run, BACKEND_DRIVER)
    if GENERATION not in params:
        return
    try:
        with faults.attributed(driver):
            volume = driver.show(run.volume_id)
    except errors.VolumeNotFound as exc:
        raise errors.Conflict(
            f'run {run.number} is not gone on with: {exc}'
        ) from exc
    except errors.SourceError as exc:
        raise errors.Suspended(
            f'backend {driver.name} stayed away: {exc}'
        ) from exc
    if volume.generation != params[GENERATION]:
        raise _differs(run, GENERATION)
    if volume.size_bytes != params.get(SIZE_BYTES, volume.size_bytes):
        raise _differs(run, SIZE_BYTES)


def _differs(run: catalog_.Run, key: str) -> errors.Conflict:
    what = _WORDS[key].format(run=run)
    return errors.Conflict(f'run {run.number} is not gone on with: {what}')
