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

"""Copies of backups on other targets."""

from __future__ import annotations

from collections.abc import Callable
import logging
import uuid

from backupkit.api import aftermath
from backupkit.api import agreement
from backupkit.api import backups
from backupkit.api import restores
from backupkit.api import runs
from backupkit.api import session as session_
from backupkit.api import storage
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import copy_backup
from backupkit.flows import engine
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import plain
from backupkit import model

LOG = logging.getLogger(__name__)

#: Of these there is something at the target, or soon will be.
_THERE = (
    model.BackupStatus.CREATING,
    model.BackupStatus.COMMITTING,
    model.BackupStatus.AVAILABLE,
)


def copy(
    session: session_.Session,
    backup_id: str,
    to: str,
    control: control_.Control,
) -> catalog_.BackupRow:
    """Copy a backup to another target; its volume is not needed.

    A copy of the same backup to the same target that another process has
    left is gone on with.
    """
    row = restores.readable(session, backup_id)
    source, target = session.target(row.target), session.target(to)
    environment = session.environment(control)
    _refuse_here(row, target)
    for run in aftermath.go_on(session, environment, _is_same(row, target)):
        return session.catalog.backup(run.backup_id or '')
    aftermath.clear_dead(session, environment, backup_id=row.backup_id)
    _refuse_twice(session, row, target)
    _judge(session, row, source, target)
    copy_id = str(uuid.uuid4())
    job = runs.Job(
        catalog_.RunKind.COPY,
        backup_id=copy_id,
        target=target.name,
        repository_id=_repository_id(session, row, target),
        source_id=row.backup_id,
        source_repository_id=row.repository_id,
        params=agreement.noted(None, target),
    )
    with runs.registered(session, environment, job) as run:
        # Once more: another copy may have ended since.
        _refuse_twice(session, row, target)
        request = _request(row, copy_id)
        session.catalog.add_backup(backups.new_row(run, request))
        runs.work(
            environment,
            run,
            engine.Work(
                copy_backup.flow,
                {'source': source.name, 'target': target.name},
                {
                    keys.RUN_ID: run.run_id,
                    keys.BACKUP_ID: copy_id,
                    keys.SOURCE_ID: row.backup_id,
                    keys.REQUEST: plain.from_request(request),
                },
            ),
        )
    return session.catalog.backup(copy_id)


def origin(row: catalog_.BackupRow) -> str:
    """Return the backup that was made of the volume, of it or a copy."""
    return row.copy_of or row.backup_id


def _is_same(
    row: catalog_.BackupRow, target: target_.Target
) -> Callable[[catalog_.Run], bool]:
    """Return what tells whether a run does what is asked for."""

    def is_same(run: catalog_.Run) -> bool:
        return (run.kind, run.source_id, run.target) == (
            catalog_.RunKind.COPY,
            row.backup_id,
            target.name,
        )

    return is_same


def _refuse_here(row: catalog_.BackupRow, target: target_.Target) -> None:
    if target.name == row.target:
        raise errors.UsageError(
            f'backup {row.backup_id} is on target {target.name} already: '
            'name another target with --to'
        )


def _refuse_twice(
    session: session_.Session,
    row: catalog_.BackupRow,
    target: target_.Target,
) -> None:
    """Refuse a second copy of the same backup on a target.

    :raises errors.Conflict: one is there, or is just being made
    """
    for other in session.catalog.backups(target=target.name, statuses=_THERE):
        if origin(other) != origin(row):
            continue
        if other.status == model.BackupStatus.AVAILABLE:
            raise errors.Conflict(
                f'target {target.name} holds backup {row.backup_id} '
                f'already, as backup {other.backup_id}'
            )
        raise errors.Conflict(
            f'run {other.run_number} is just copying backup '
            f'{row.backup_id} to target {target.name}; if it is not: '
            f'backupkit run abort {other.run_number}'
        )


def _repository_id(
    session: session_.Session,
    row: catalog_.BackupRow,
    target: target_.Target,
) -> str:
    """Open or make the repository that the copy goes to.

    :raises errors.UsageError: it is the one that holds the backup
    """
    repository_id = backups.repository_id(session, target)
    if repository_id and repository_id == row.repository_id:
        raise errors.UsageError(
            f'targets {row.target} and {target.name} hold the same '
            f'repository {repository_id}: a copy there would be lost with '
            'the backup; name a target of its own with --to'
        )
    return repository_id


def _judge(
    session: session_.Session,
    row: catalog_.BackupRow,
    source: target_.Target,
    target: target_.Target,
) -> None:
    """Refuse or warn of copies on storage that holds the same already.

    :raises errors.ConfigurationError: the target keeps no backups of
        volumes on this storage
    """
    with faults.attributed(source):
        theirs = source.storage_identity()
    with faults.attributed(target):
        ours = target.storage_identity()
    if ours is not None and ours == theirs:
        LOG.warning(
            'targets %s and %s lie on the same storage: what destroys the '
            'backup destroys its copy',
            source.name,
            target.name,
        )
    if row.backend not in session.conf.enabled_backends:
        # The volume is gone, or is another host's: nothing to compare.
        return
    storage.judge(session, session.volume_driver(row.backend), target)


def _request(row: catalog_.BackupRow, copy_id: str) -> model.BackupRequest:
    """Return what the target is asked to keep: the backup as it is.

    Among the volume's backups there it stands where the original stands
    among its own, whenever it is copied.
    """
    return model.BackupRequest(
        backup_id=copy_id,
        run_number=row.sequence,
        backend=row.backend,
        volume=model.Volume(
            row.volume_id,
            row.size_bytes,
            generation=row.volume_generation,
        ),
        name=row.name,
        consistent=row.consistent,
        created_at=row.created_at,
        content=row.content,
        copy_of=origin(row),
    )
