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

"""Records of backups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
import dataclasses
import itertools
import re
from typing import Any

import sqlalchemy as sa

from backupkit.catalog import claims
from backupkit.catalog import database
from backupkit.catalog import rows
from backupkit.catalog import runs
from backupkit.catalog import schema
from backupkit.catalog import states
from backupkit.catalog import values
from backupkit import errors
from backupkit import model

_BACKUPS = schema.BACKUPS.c
_PREFIX = re.compile(r'[0-9a-f-]{8,36}')
#: What a target does not tell of a backup.
_NOTHING_KNOWN = {
    'finished_at': '',
    'verified_at': '',
    'run_number': 0,
    'protected': False,
}
#: One commit costs more than a hundred rows.
_BATCH = 500
_COMMITTED = (model.BackupStatus.AVAILABLE, model.BackupStatus.DAMAGED)
#: What is known of these is more than that a manifest was found.
_LEFT_ALONE = (
    model.BackupStatus.DAMAGED,
    model.BackupStatus.DELETING,
    model.BackupStatus.DELETED,
)


class Backups(database.Client):
    """The part of the catalog that records backups."""

    def add_backup(self, row: rows.BackupRow) -> None:
        """Record a backup that is about to be made.

        Called again while it is being made, it changes the record.

        :raises errors.Conflict: it is recorded, and made already
        """
        fields = _checked(dataclasses.asdict(row))
        with self._database.write() as connection:
            known = _find(connection, row.backup_id)
            if known is None:
                connection.execute(sa.insert(schema.BACKUPS).values(fields))
            elif known.status == model.BackupStatus.CREATING:
                _change(connection, row.backup_id, fields)
            else:
                raise errors.Conflict(
                    f'backup {row.backup_id} is recorded already: '
                    f'it is {known.status}'
                )

    def update_backup(self, backup_id: str, **fields: Any) -> None:
        """Change fields of a record.

        :raises errors.NotFound: there is no such backup
        :raises errors.Conflict: its status cannot change so, or it is
            protected and would be deleted
        """
        unknown = set(fields) - set(_BACKUPS.keys())
        if unknown:
            raise errors.UsageError(
                f'a backup has no {", ".join(sorted(unknown))} to change'
            )
        if 'fail_reason' in fields:
            fields['fail_reason'] = values.prose(fields['fail_reason'])
        checked = _checked(fields)
        with self._database.write() as connection:
            known = _get(connection, backup_id)
            status = model.BackupStatus(checked.get('status', known.status))
            states.check_backup(backup_id, known.status, status)
            _check_protection(known, status, checked)
            if checked:
                _change(connection, backup_id, checked)

    def spare_backup(
        self, run_id: str, backup_id: str, former: model.BackupStatus
    ) -> None:
        """Record a backup as it was before a run began to delete it.

        :raises errors.RunAborted: the run has ended: another delete may
            have begun since, and have removed the backup
        """
        with self._database.write() as connection:
            run = runs.get(connection, run_id)
            if not run.live or run.state != states.RunState.RUNNING:
                raise errors.RunAborted(f'run {run_id} is {run.state}')
            known = _get(connection, backup_id)
            states.check_backup(backup_id, known.status, former)
            _change(connection, backup_id, _checked({'status': former}))

    def backup(self, backup_id: str) -> rows.BackupRow:
        """Return a backup by its id, or by a unique beginning of it.

        :param backup_id: at least 8 characters of it
        :raises errors.NotFound: there is none
        :raises errors.UsageError: several begin so
        """
        with self._database.read() as connection:
            found = _find(connection, backup_id)
            if found is None and _PREFIX.fullmatch(backup_id.lower()):
                found = _find_prefix(connection, backup_id.lower())
        if found is None:
            raise errors.NotFound(f'there is no backup {backup_id}')
        return found

    def backups(
        self,
        *,
        backend: str | None = None,
        volume_id: str | None = None,
        target: str | None = None,
        repository_id: str | None = None,
        statuses: Collection[model.BackupStatus] | None = None,
    ) -> list[rows.BackupRow]:
        """Return the backups that meet all conditions, oldest first."""
        query = sa.select(schema.BACKUPS).order_by(
            _BACKUPS.created_at,
            # Of one second: kept with the backup, as a run's number is not.
            _BACKUPS.sequence,
            _BACKUPS.run_number,
            _BACKUPS.backup_id,
        )
        for column, wanted in (
            (_BACKUPS.backend, backend),
            (_BACKUPS.volume_id, volume_id),
            (_BACKUPS.target, target),
            (_BACKUPS.repository_id, repository_id),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        if statuses is not None:
            query = query.where(_BACKUPS.status.in_([*map(str, statuses)]))
        with self._database.read() as connection:
            return [rows.backup(row) for row in connection.execute(query)]

    def finish_backup(self, run_id: str, summary: model.BackupSummary) -> None:
        """Record that a backup is committed, and that its run is done.

        Its manifest is there, so this holds even where the run is being
        aborted: that came too late. Once an abort has been finished its
        packs are gone, and a manifest that came later still is refuse.

        :raises errors.Conflict: the run has not begun to commit
        :raises errors.RunAborted: its abort was finished before
        """
        with self._database.write() as connection:
            run = runs.get(connection, run_id)
            if run.state not in states.COMMITTED_FROM:
                raise errors.Conflict(
                    f'run {run_id} is {run.state}: it has not begun to commit'
                )
            if run.state == states.RunState.ABORTED and run.finished_at:
                raise errors.RunAborted(
                    f'run {run_id} was aborted while it was committing'
                )
            now = values.now()
            fields = {
                **_available(summary),
                'target': run.target,
                'finished_at': now,
                'run_number': run.number,
            }
            if run.state != states.RunState.DONE:
                _record(connection, _checked(fields))
            claims.forget_journal(connection, run_id)
            runs.change(
                connection,
                run,
                state=states.RunState.DONE,
                finished_at=run.finished_at or now,
            )

    def import_backup(self, summary: model.BackupSummary, target: str) -> bool:
        """Record a backup that was found committed at a target.

        One that is known as damaged or deleted is left as it is.

        :returns: whether it was not recorded as available before
        :raises errors.FormatError: it tells what cannot be recorded
        """
        return self.import_backups([summary], target) == 1

    def import_backups(
        self, summaries: Iterable[model.BackupSummary], target: str
    ) -> int:
        """Record many backups like :meth:`import_backup`, far faster.

        :returns: how many were not recorded as available before
        """
        added = 0
        waiting = iter(summaries)
        while batch := list(itertools.islice(waiting, _BATCH)):
            told = {
                summary.backup_id: _imported(summary, target)
                for summary in batch
            }
            with self._database.write() as connection:
                added += _import(connection, told)
        return added


def _check_protection(
    known: rows.BackupRow,
    status: model.BackupStatus,
    fields: Mapping[str, Any],
) -> None:
    """Keep what is protected from being deleted, and the other way round."""
    if status == model.BackupStatus.DELETING and known.protected:
        raise errors.Conflict(
            f'backup {known.backup_id} is protected; to delete it all the '
            f'same: backupkit backup unprotect {known.backup_id}'
        )
    if fields.get('protected') and status not in _COMMITTED:
        raise errors.Conflict(
            f'backup {known.backup_id} is {status}: only a backup that is '
            'there can be protected'
        )


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    if 'status' in fields:
        fields['status'] = values.given_word(
            model.BackupStatus, fields['status']
        )
    if 'kind' in fields:
        fields['kind'] = values.given_word(model.BackupKind, fields['kind'])
    return values.checked(schema.BACKUPS, fields)


def _imported(summary: model.BackupSummary, target: str) -> dict[str, Any]:
    try:
        return _checked({**_available(summary), 'target': target})
    except errors.UsageError as error:
        raise errors.FormatError(
            f'backup {summary.backup_id!r} cannot be recorded: {error}'
        ) from error


def _import(
    connection: sa.Connection, told: Mapping[str, dict[str, Any]]
) -> int:
    """Record backups from what was told of them; return how many are new."""
    query = sa.select(_BACKUPS.backup_id, _BACKUPS.status).where(
        _BACKUPS.backup_id.in_([*told])
    )
    known = {row.backup_id: row.status for row in connection.execute(query)}
    new = [
        {**_NOTHING_KNOWN, **fields}
        for backup_id, fields in told.items()
        if backup_id not in known
    ]
    if new:
        connection.execute(sa.insert(schema.BACKUPS), new)
    added = len(new)
    for backup_id, status in known.items():
        if status not in _LEFT_ALONE:
            _change(connection, backup_id, told[backup_id])
            added += status != model.BackupStatus.AVAILABLE
    return added


def _available(summary: model.BackupSummary) -> dict[str, Any]:
    """Return all fields that follow from what a target tells."""
    return {
        **dataclasses.asdict(summary),
        'status': model.BackupStatus.AVAILABLE,
        'fail_reason': '',
    }


def _record(connection: sa.Connection, fields: dict[str, Any]) -> None:
    if not _change(connection, fields['backup_id'], fields):
        connection.execute(
            sa.insert(schema.BACKUPS).values({**_NOTHING_KNOWN, **fields})
        )


def _change(
    connection: sa.Connection, backup_id: str, fields: dict[str, Any]
) -> bool:
    changed = connection.execute(
        sa.update(schema.BACKUPS)
        .where(_BACKUPS.backup_id == backup_id)
        .values(fields)
    )
    return changed.rowcount > 0


def _get(connection: sa.Connection, backup_id: str) -> rows.BackupRow:
    found = _find(connection, backup_id)
    if found is None:
        raise errors.NotFound(f'there is no backup {backup_id}')
    return found


def _find(connection: sa.Connection, backup_id: str) -> rows.BackupRow | None:
    query = sa.select(schema.BACKUPS).where(_BACKUPS.backup_id == backup_id)
    row = connection.execute(query).first()
    return rows.backup(row) if row else None


def _find_prefix(
    connection: sa.Connection, prefix: str
) -> rows.BackupRow | None:
    query = sa.select(schema.BACKUPS).where(
        _BACKUPS.backup_id.like(f'{prefix}%')
    )
    found = connection.execute(query.limit(2)).all()
    if len(found) > 1:
        raise errors.UsageError(
            f'several backups begin with {prefix}: give more of the id'
        )
    return rows.backup(found[0]) if found else None
