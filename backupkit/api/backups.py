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


"""How a backup is made."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import uuid

from backupkit.api import aftermath
from backupkit.api import agreement
from backupkit.api import modes
from backupkit.api import results
from backupkit.api import runs
from backupkit.api import session as session_
from backupkit.api import storage
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import backup as backup_flow
from backupkit.flows import diagram
from backupkit.flows import engine
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import plain
from backupkit import model

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asks for."""

    target: str | None = None
    name: str = ''
    full: bool = False
    force: bool = False
    mode: modes.Mode = modes.Mode.AUTO


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """How the volume is read, and what its copy is worth."""

    volume: model.Volume
    snapshot: bool
    compare: bool
    consistent: bool
    checkpoint: bool


def create(
    session: session_.Session,
    text: str,
    wish: Wish,
    control: control_.Control,
) -> catalog_.BackupRow:
    """Make a backup of a volume."""
    ref = session.ref(text)
    driver = session.volume_driver(ref.backend)
    target = session.target(session.target_name(wish.target))
    environment = session.environment(control)
    aftermath.tidy(session, environment, ref)
    way = _choose(session, driver, ref, wish)
    storage.judge(session, driver, target)
    backup_id = str(uuid.uuid4())
    job = runs.Job(
        catalog_.RunKind.BACKUP,
        backup_id=backup_id,
        backend=ref.backend,
        volume_id=ref.volume_id,
        target=target.name,
        repository_id=repository_id(session, target),
        params=agreement.noted(
            driver, target, way.volume, sized=not way.snapshot
        ),
    )
    with runs.registered(session, environment, job) as run:
        request = _request(run, way, wish)
        session.catalog.add_backup(new_row(run, request))
        runs.work(
            environment,
            run,
            engine.Work(
                backup_flow.flow,
                _arguments(run.backend, run.target, way),
                {
                    keys.RUN_ID: run.run_id,
                    keys.BACKUP_ID: backup_id,
                    keys.VOLUME_ID: ref.volume_id,
                    keys.REQUEST: plain.from_request(request),
                    keys.FORCE: wish.force,
                },
            ),
        )
    return session.catalog.backup(backup_id)


def plan(
    session: session_.Session, text: str, wish: Wish
) -> results.BackupPlan:
    """Tell how a backup would be made, and make none."""
    ref = session.ref(text)
    driver = session.volume_driver(ref.backend)
    target = session.target(session.target_name(wish.target))
    way = _choose(session, driver, ref, wish)
    storage.judge(session, driver, target)
    steps = diagram.plan(
        backup_flow.flow, **_arguments(ref.backend, target.name, way)
    )
    return results.BackupPlan(
        volume=str(ref),
        target=target.name,
        size_bytes=way.volume.size_bytes,
        snapshot=way.snapshot,
        compare=way.compare,
        consistent=way.consistent,
        steps=tuple((s.task, s.requires, s.provides) for s in steps),
        text=diagram.as_text(steps),
        dot=diagram.as_dot('backup', steps),
    )


def _arguments(backend: str, target: str, way: _Way) -> dict[str, object]:
    return {
        'backend': backend,
        'target': target,
        'snapshot': way.snapshot,
        'compare': way.compare,
        'checkpoint': way.checkpoint,
    }


def _choose(
    session: session_.Session,
    driver: volume_.VolumeDriver,
    ref: model.VolumeRef,
    wish: Wish,
) -> _Way:
    """Choose how the volume is read.

    Through a snapshot where there can be one. Else the volume itself is
    read, and must not be written meanwhile: it is asked before and after,
    where the driver can tell.

    :raises errors.InUse: it is open for writing, and no force
    :raises errors.SourceError: a restore to it has not finished, ditto
    """
    with faults.attributed(driver):
        able = driver.check()
        volume = driver.show(ref.volume_id)
    _check_texts(volume, wish)
    incomplete = _incomplete(session, ref)
    if incomplete and not wish.force:
        raise errors.SourceError(
            f'volume {ref} is incomplete: the restore of backup '
            f'{incomplete} to it has not finished; restore it again, or '
            'back it up as it is with --force'
        )
    if modes.through_snapshot(able, volume, ref, wish.mode):
        return _Way(
            volume,
            snapshot=True,
            compare=False,
            consistent=not incomplete,
            checkpoint=able.changed_extents and not incomplete,
        )
    if volume.in_use and not wish.force:
        raise errors.InUse(
            f'volume {ref} is open for writing, and backend {ref.backend} '
            'cannot make a snapshot of it meanwhile: close it, or back it '
            'up as it is with --force'
        )
    known = able.fingerprint or volume.in_use is False
    return _Way(
        volume,
        snapshot=False,
        compare=able.fingerprint,
        consistent=known and not incomplete,
        checkpoint=able.changed_extents and not incomplete,
    )


def _check_texts(volume: model.Volume, wish: Wish) -> None:
    """Refuse now what no target could keep when all is copied.

    :raises errors.UsageError: it says what
    """
    model.check_text('the name of the backup', wish.name)
    model.check_text('the id of the volume', volume.volume_id)
    model.check_text("the volume's generation", volume.generation)


def _incomplete(session: session_.Session, ref: model.VolumeRef) -> str:
    for destination in session.catalog.destinations():
        if (destination.backend, destination.volume_id) == (
            ref.backend,
            ref.volume_id,
        ):
            return destination.backup_id
    return ''


def repository_id(session: session_.Session, target: target_.Target) -> str:
    """Open or make the target's repository; empty where it keeps none.

    Nothing but its config is read: which backups there are is looked at
    only once the run is registered.
    """
    if not target.capabilities.repository:
        return ''
    with faults.attributed(target):
        return session.repository(target.name).prepare_repository(
            session.catalog.coordinator()
        )


def _request(run: catalog_.Run, way: _Way, wish: Wish) -> model.BackupRequest:
    now = datetime.datetime.now(datetime.UTC)
    return model.BackupRequest(
        backup_id=run.backup_id or '',
        run_number=run.number,
        backend=run.backend,
        volume=way.volume,
        name=wish.name,
        full=wish.full,
        consistent=way.consistent,
        created_at=now.isoformat(timespec='seconds'),
    )


def new_row(
    run: catalog_.Run, request: model.BackupRequest
) -> catalog_.BackupRow:
    """Return the record of a backup that is about to be made."""
    return catalog_.BackupRow(
        backup_id=request.backup_id,
        backend=request.backend,
        volume_id=request.volume.volume_id,
        target=run.target,
        name=request.name,
        repository_id=run.repository_id,
        status=model.BackupStatus.CREATING,
        size_bytes=request.volume.size_bytes,
        consistent=request.consistent,
        volume_generation=request.volume.generation,
        created_at=request.created_at,
        run_number=run.number,
        copy_of=request.copy_of,
    )
