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


"""How a backup is written back to a volume."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import dataclasses

from backupkit.api import aftermath
from backupkit.api import agreement
from backupkit.api import results
from backupkit.api import runs
from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import engine
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import restore as restore_flow
from backupkit import model

_READABLE = frozenset(
    {model.BackupStatus.AVAILABLE, model.BackupStatus.DAMAGED}
)


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """Where the operator wants a backup: one of ``to`` and ``new``.

    ``properties`` replace those that the backup tells of its volume.
    """

    to: str | None = None
    new: str | None = None
    overwrite: bool = False
    properties: Mapping[str, str] | None = None


def restore(
    session: session_.Session,
    backup_id: str,
    wish: Wish,
    control: control_.Control,
) -> results.RestoreResult:
    """Write a backup to an existing volume, or to a new one."""
    row = readable(session, backup_id)
    ref = _destination(session, wish)
    driver = session.volume_driver(ref.backend)
    target = session.target(row.target)
    environment = session.environment(control)
    aftermath.clear_dead(session, environment, backup_id=row.backup_id)
    with faults.attributed(target):
        summary = target.show(row.backup_id)
    if _gone_on(session, environment, ref, row.backup_id):
        # That was this very restore.
        with faults.attributed(driver):
            size_bytes = driver.show(ref.volume_id).size_bytes
    else:
        size_bytes = _prepare(driver, ref, wish, summary)
        _run(session, environment, _Restore(row, ref, wish, summary))
    return results.RestoreResult(
        backup_id=row.backup_id,
        volume=str(ref),
        size_bytes=summary.size_bytes,
        data_bytes=summary.data_bytes,
        created=wish.new is not None,
        volume_size_bytes=size_bytes,
        untouched_bytes=size_bytes - summary.size_bytes,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Restore:
    """What is going to be restored where."""

    row: catalog_.BackupRow
    ref: model.VolumeRef
    wish: Wish
    summary: model.BackupSummary


def _gone_on(
    session: session_.Session,
    environment: environment_.Environment,
    ref: model.VolumeRef,
    backup_id: str,
) -> bool:
    """Tell whether a restore that was left has come to its end now."""
    ended = aftermath.tidy(session, environment, ref, restoring=backup_id)
    return any(run.kind == catalog_.RunKind.RESTORE for run in ended)


def _run(
    session: session_.Session,
    environment: environment_.Environment,
    what: _Restore,
) -> None:
    row, ref = what.row, what.ref
    driver = session.volume_driver(ref.backend)
    new = what.wish.new is not None
    volume = None
    if not new:
        with faults.attributed(driver):
            volume = driver.show(ref.volume_id)
    job = runs.Job(
        catalog_.RunKind.RESTORE,
        backup_id=row.backup_id,
        backend=ref.backend,
        volume_id=ref.volume_id,
        target=row.target,
        repository_id=row.repository_id,
        params=agreement.noted(
            driver, session.target(row.target), volume, sized=True
        ),
    )
    with runs.registered(session, environment, job) as run:
        runs.work(
            environment,
            run,
            engine.Work(
                restore_flow.flow,
                {
                    'backend': ref.backend,
                    'target': row.target,
                    'new': new,
                    'reads_zero': new and driver.check().new_reads_zero,
                },
                {
                    keys.RUN_ID: run.run_id,
                    keys.BACKUP_ID: row.backup_id,
                    keys.VOLUME_ID: ref.volume_id,
                    keys.SIZE_BYTES: what.summary.size_bytes,
                    **_likeness(session, environment, what),
                },
            ),
        )


def _likeness(
    session: session_.Session,
    environment: environment_.Environment,
    what: _Restore,
) -> dict[str, object]:
    """Return what a new volume is to have of the one that was backed up."""
    if what.wish.new is None:
        return {}
    target = session.target(what.row.target)
    kept: Mapping[str, str] = {}
    with (
        contextlib.suppress(errors.NotSupported),
        faults.attributed(target),
        target.open_backup(
            what.row.backup_id,
            session.catalog.coordinator(),
            environment.control,
        ) as opened,
    ):
        kept = opened.volume_properties
    return {keys.PROPERTIES: {**kept, **(what.wish.properties or {})}}


def readable(session: session_.Session, backup_id: str) -> catalog_.BackupRow:
    """Return the row of a backup that can be read.

    A damaged one can be tried: nothing wrong is ever written.

    :raises errors.NotFound: there is none, or there is nothing of it
    """
    row = session.catalog.backup(backup_id)
    if row.status not in _READABLE:
        why = f': {row.fail_reason}' if row.fail_reason else ''
        raise errors.NotFound(
            f'backup {row.backup_id} cannot be read: it is {row.status}{why}'
        )
    return row


def _destination(session: session_.Session, wish: Wish) -> model.VolumeRef:
    if (wish.to is None) == (wish.new is None):
        raise errors.UsageError(
            'say where to restore to: an existing volume or a new one'
        )
    return session.ref(wish.to if wish.to is not None else wish.new or '')


def _prepare(
    driver: volume_.VolumeDriver,
    ref: model.VolumeRef,
    wish: Wish,
    summary: model.BackupSummary,
) -> int:
    """Refuse what cannot or must not be written; return the volume's size.

    :raises errors.Conflict: the volume exists, and no overwrite
    :raises errors.DestinationTooSmall: the backup does not fit
    """
    with faults.attributed(driver):
        if wish.new is not None:
            _refuse_existing(driver, ref)
            return driver.round_size(summary.size_bytes)
    if wish.properties is not None:
        raise errors.UsageError(
            'properties are given to a new volume only: restore with --new'
        )
    with faults.attributed(driver):
        volume = driver.show(ref.volume_id)
    if not wish.overwrite:
        raise errors.UsageError(
            f'volume {ref} exists: all that it holds would be lost; '
            'say --overwrite to restore over it, or restore to a new '
            'volume with --new'
        )
    if volume.size_bytes < summary.size_bytes:
        raise errors.DestinationTooSmall(
            f'volume {ref} has {volume.size_bytes} bytes, but backup '
            f'{summary.backup_id} has {summary.size_bytes}'
        )
    return volume.size_bytes


def _refuse_existing(
    driver: volume_.VolumeDriver, ref: model.VolumeRef
) -> None:
    if not driver.check().create:
        raise errors.NotSupported(
            f'backend {ref.backend} cannot create volumes: restore to an '
            'existing one with --to'
        )
    try:
        driver.show(ref.volume_id)
    except errors.VolumeNotFound:
        return
    raise errors.VolumeExists(
        f'volume {ref} exists already: choose another name, or restore '
        'over it with --to and --overwrite'
    )
