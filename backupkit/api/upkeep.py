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


"""Verifying and deleting backups."""

from __future__ import annotations

import dataclasses

from backupkit.api import aftermath
from backupkit.api import restores
from backupkit.api import runs
from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import delete as delete_flow
from backupkit.flows import engine
from backupkit.flows import environment as environment_
from backupkit.flows import keys
from backupkit.flows import plain
from backupkit.flows import reserve
from backupkit.flows import verify as verify_flow
from backupkit import model

#: What nobody may be at work on when it is deleted.
_UNFINISHED = frozenset(
    {model.BackupStatus.CREATING, model.BackupStatus.COMMITTING}
)


def verify(
    session: session_.Session,
    backup_id: str,
    control: control_.Control,
    *,
    full: bool,
    share: float | None = None,
) -> target_.Report:
    """Check what is kept of a backup, and record what is found.

    :raises errors.UsageError: ``share`` is no share
    """
    if share is not None and not 0 < share <= 1:
        raise errors.UsageError(
            f'a sample is more than 0% and at most 100%: {share:.0%}'
        )
    row = restores.readable(session, backup_id)
    environment = session.environment(control)
    aftermath.clear_dead(session, environment, backup_id=row.backup_id)
    job = _job(catalog_.RunKind.VERIFY, row)
    with runs.registered(session, environment, job) as run:
        found = runs.work(
            environment,
            run,
            engine.Work(
                verify_flow.flow,
                {'target': row.target},
                {
                    keys.RUN_ID: run.run_id,
                    keys.BACKUP_ID: row.backup_id,
                    keys.FULL: full,
                    keys.SHARE: share,
                },
            ),
        )
    return plain.to_report(found[keys.REPORT])


def delete(
    session: session_.Session, backup_id: str, control: control_.Control
) -> catalog_.BackupRow:
    """Make a backup not exist; goes on with a delete that was interrupted.

    Works on a full target too.
    """
    row = session.catalog.backup(backup_id)
    environment = session.environment(control)
    target = session.target(row.target)
    try:
        reserve.retry(target, lambda: _delete(session, environment, row))
    finally:
        reserve.keep(target)
    try:
        return session.catalog.backup(row.backup_id)
    except errors.NotFound:
        # A gc has found that nothing is left of it, and dropped its record.
        return dataclasses.replace(row, status=model.BackupStatus.DELETED)


def _delete(
    session: session_.Session,
    environment: environment_.Environment,
    row: catalog_.BackupRow,
) -> None:
    aftermath.clear_dead(session, environment, backup_id=row.backup_id)
    row = session.catalog.backup(row.backup_id)
    if row.status == model.BackupStatus.DELETED:
        return
    if row.status in _UNFINISHED:
        raise errors.Conflict(
            f'backup {row.backup_id} is {row.status} by run '
            f'{row.run_number}: backupkit run abort {row.run_number}'
        )
    if row.protected:
        raise errors.Conflict(
            f'backup {row.backup_id} is protected; to delete it all the '
            f'same: backupkit backup unprotect {row.backup_id}'
        )
    job = _job(catalog_.RunKind.DELETE, row)
    with runs.registered(session, environment, job) as run:
        runs.work(
            environment,
            run,
            engine.Work(
                delete_flow.flow,
                {'target': row.target},
                {keys.RUN_ID: run.run_id, keys.BACKUP_ID: row.backup_id},
            ),
        )


def _job(kind: catalog_.RunKind, row: catalog_.BackupRow) -> runs.Job:
    return runs.Job(
        kind,
        backup_id=row.backup_id,
        target=row.target,
        repository_id=row.repository_id,
    )
