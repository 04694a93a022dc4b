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

"""Runs: who does what, and who may not at the same time."""

from __future__ import annotations

from collections.abc import Mapping
import re
from typing import Any
import uuid

import sqlalchemy as sa

from backupkit.catalog import claims
from backupkit.catalog import liveness
from backupkit.catalog import rows
from backupkit.catalog import schema
from backupkit.catalog import states
from backupkit.catalog import values
from backupkit import errors
from backupkit import model

_RUNS = schema.RUNS.c
_LIVE = _RUNS.finished_at == ''
_PREFIX = re.compile(r'[0-9a-f-]{8,36}')
_FINAL = (states.RunState.DONE, states.RunState.FAILED)

#: Runs of these kinds hold their volume against each other.
_HOLD_VOLUME = (states.RunKind.BACKUP, states.RunKind.RESTORE)
#: Runs of the first kind are kept off a backup by live runs of the others.
_KEPT_OFF_BACKUP = {
    states.RunKind.COPY: (states.RunKind.DELETE,),
    states.RunKind.RESTORE: (states.RunKind.DELETE,),
    states.RunKind.VERIFY: (states.RunKind.DELETE,),
    states.RunKind.DELETE: (
        states.RunKind.BACKUP,
        states.RunKind.COPY,
        states.RunKind.RESTORE,
        states.RunKind.VERIFY,
        states.RunKind.DELETE,
    ),
}


class Runs(claims.Claims):
    """The part of the catalog that coordinates who does what."""

    def register_run(  # noqa: PLR0913 a row has that many columns
        self,
        kind: str,
        *,
        backup_id: str | None = None,
        backend: str = '',
        volume_id: str = '',
        target: str = '',
        repository_id: str = '',
        params: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        source_id: str | None = None,
        source_repository_id: str = '',
    ) -> rows.Run:
        """Record a run of this process before it does anything.

        Called again with the same ``run_id`` it returns the same run.

        :param kind: a :class:`states.RunKind`
        :param params: plain data that the run may be resumed with
        :param source_id: a backup that is read, and must stay till then
        :raises errors.Conflict: a live run holds the volume or the backup
        """
        process = liveness.this_process()
        run_id = run_id or str(uuid.uuid4())
        fields: dict[str, Any] = {
            'run_id': run_id,
            'kind': values.given_word(states.RunKind, kind),
            'state': states.RunState.RUNNING,
            'backup_id': backup_id,
            'backend': backend,
            'volume_id': volume_id,
            'target': target,
            'repository_id': repository_id,
            'host': process.host,
            'boot_id': process.boot_id,
            'pid': process.pid,
            'started_at': values.now(),
            'finished_at': '',
            'reason': '',
            'params': values.packed(params or {}),
            'committing_at': '',
            'attempt': '',
            'overtaken_at': '',
            'source_id': source_id,
            'source_repository_id': source_repository_id,
        }
        fields = values.checked(schema.RUNS, fields)
        with self._database.write() as connection:
            known = _find(connection, fields['run_id'])
            if known is not None:
                return known
            _refuse_conflict(connection, fields)
            fields['attempt'] = self.begin_attempt(run_id)
            connection.execute(sa.insert(schema.RUNS).values(fields))
            return get(connection, fields['run_id'])

    def run(self, run_id: str) -> rows.Run:
        """Return a run by its id, or by a unique beginning of it.

        :raises errors.NotFound: there is none
        :raises errors.UsageError: several begin so
        """
        with self._database.read() as connection:
            found = _find(connection, run_id)
            if found is None and _PREFIX.fullmatch(run_id.lower()):
                found = _find_prefix(connection, run_id.lower())
        if found is None:
            raise errors.NotFound(f'there is no run {run_id}')
        return found

    def runs(self, *, live_only: bool = False) -> list[rows.Run]:
        """Return runs, in the order in which they were registered.

        :param live_only: only those that may still read or write
        """
        query = sa.select(schema.RUNS).order_by(_RUNS.number)
        if live_only:
            query = query.where(_LIVE)
        with self._database.read() as connection:
            return [rows.run(row) for row in connection.execute(query)]

    def begin_commit(self, run_id: str) -> None:
        """Let a backup be committed; from here only its target can tell.

        :raises errors.RunAborted: the run was aborted, or has ended, or
            was taken over
        """
        with self._database.write() as connection:
            run = get(connection, run_id)
            self._check_attempt(run)
            states.check_run(run_id, run.state, states.RunState.COMMITTING)
            change(
                connection,
                run,
                state=states.RunState.COMMITTING,
                committing_at=run.committing_at or values.now(),
            )
            _mark_backup(connection, run, model.BackupStatus.COMMITTING, '')

    def suspend_run(self, run_id: str, reason: str = '') -> None:
        """Leave a run where it is, with all that it has made.

        :raises errors.RunAborted: it was aborted meanwhile
        :raises errors.Conflict: it has ended already
        """
        with self._database.write() as connection:
            run = get(connection, run_id)
            self._check_attempt(run)
            states.check_run(run_id, run.state, states.RunState.SUSPENDED)
            change(
                connection,
                run,
                state=states.RunState.SUSPENDED,
                reason=values.prose(reason),
            )

    def abort_run(self, run_id: str, *, committing: bool = True) -> rows.Run:
        """Make sure that a run can begin no commit any more.

        It stays live until it is finished too: by :meth:`finish_run` once
        its target has undone it, or by :meth:`finish_backup` where the
        target turned out to have committed it.

        :param committing: False refuses one that has begun its commit
        :raises errors.Conflict: it has ended already, or is refused
        """
        with self._database.write() as connection:
            run = get(connection, run_id)
            self._check_attempt(run)
            states.check_run(run_id, run.state, states.RunState.ABORTED)
            if run.committing_at and not committing:
                raise errors.Conflict(
                    f'run {run_id} has begun to commit, and its target '
                    'cannot keep a commit and an abort apart'
                )
            change(connection, run, state=states.RunState.ABORTED)
            return get(connection, run_id)

    def finish_run(self, run_id: str, state: str, reason: str = '') -> None:
        """Record how a run has ended; nothing of it may work any more.

        A run that was done or failed stays so, and one that was aborted
        stays aborted; only its reason may then still come. A backup that
        did not become available is recorded as an error.

        :param state: done, failed or aborted
        :raises errors.Conflict: it is committing or suspended: abort it
        """
        new = values.given_word(states.RunState, state)
        if new not in (*_FINAL, states.RunState.ABORTED):
            raise errors.UsageError(f'a run does not end as {new}')
        with self._database.write() as connection:
            run = get(connection, run_id)
            if run.state in _FINAL:
                return
            self._check_attempt(run)
            if run.state not in states.FINISHED_FROM:
                raise errors.Conflict(
                    f'run {run_id} is {run.state}: it must be aborted, and '
                    'undone, before it ends'
                )
            if run.state == states.RunState.ABORTED:
                new = run.state
            change(
                connection,
                run,
                state=new,
                reason=values.prose(run.reason or reason),
                finished_at=run.finished_at or values.now(),
            )
            claims.forget_journal(connection, run_id)
            if new != states.RunState.DONE:
                _mark_backup(
                    connection, run, model.BackupStatus.ERROR, reason or new
                )


def get(connection: sa.Connection, run_id: str) -> rows.Run:
    """Return the run of this id.

    :raises errors.NotFound: there is none
    """
    run = _find(connection, run_id)
    if run is None:
        raise errors.NotFound(f'there is no run {run_id}')
    return run


def change(connection: sa.Connection, run: rows.Run, **fields: Any) -> None:
    """Set columns of a run."""
    connection.execute(
        sa.update(schema.RUNS)
        .where(_RUNS.number == run.number)
        .values(values.checked(schema.RUNS, fields))
    )


def _find(connection: sa.Connection, run_id: str) -> rows.Run | None:
    query = sa.select(schema.RUNS).where(_RUNS.run_id == run_id)
    row = connection.execute(query).first()
    return rows.run(row) if row else None


def _find_prefix(connection: sa.Connection, prefix: str) -> rows.Run | None:
    query = sa.select(schema.RUNS).where(_RUNS.run_id.like(f'{prefix}%'))
    found = connection.execute(query.limit(2)).all()
    if len(found) > 1:
        raise errors.UsageError(
            f'several runs begin with {prefix}: give more of the id'
        )
    return rows.run(found[0]) if found else None


def _refuse_conflict(
    connection: sa.Connection, fields: Mapping[str, Any]
) -> None:
    kind = states.RunKind(fields['kind'])
    clashes = []
    if kind in _HOLD_VOLUME and fields['volume_id']:
        clashes.append(
            _RUNS.kind.in_(_HOLD_VOLUME)
            & (_RUNS.backend == fields['backend'])
            & (_RUNS.volume_id == fields['volume_id'])
        )
    wanted = [fields[key] for key in ('backup_id', 'source_id') if fields[key]]
    if kind in _KEPT_OFF_BACKUP and wanted:
        clashes.append(
            _RUNS.kind.in_(_KEPT_OFF_BACKUP[kind])
            & (_RUNS.backup_id.in_(wanted) | _RUNS.source_id.in_(wanted))
        )
    if kind == states.RunKind.GC and fields['backup_id']:
        # Only one collection at a time moves packs of a repository.
        clashes.append(
            (_RUNS.kind == states.RunKind.GC)
            & _RUNS.backup_id.is_not(None)
            & (_RUNS.repository_id == fields['repository_id'])
        )
    if not clashes:
        return
    query = sa.select(schema.RUNS).where(_LIVE, sa.or_(*clashes))
    row = connection.execute(query.order_by(_RUNS.number)).first()
    if row:
        raise errors.Conflict(_describe_holder(rows.run(row), fields))


def _describe_holder(holder: rows.Run, fields: Mapping[str, Any]) -> str:
    held = f'volume {holder.backend}:{holder.volume_id}'
    if holder.kind == states.RunKind.GC:
        held = f'repository {holder.repository_id}'
    for one in (fields['backup_id'], fields['source_id']):
        if one and one in (holder.backup_id, holder.source_id):
            held = f'backup {one}'
    return (
        f'{held} is held by run {holder.run_id} ({holder.kind}, '
        f'{holder.state}, host {holder.host}, pid {holder.pid}): wait for '
        f'it; once its process is gone, `backupkit run resume '
        f'{holder.run_id}` or `backupkit run abort {holder.run_id}`'
    )


def _mark_backup(
    connection: sa.Connection,
    run: rows.Run,
    status: model.BackupStatus,
    reason: str,
) -> None:
    """Take the record of a backup along with the run that makes it."""
    if run.kind not in states.WRITERS:
        return
    backups = schema.BACKUPS
    connection.execute(
        sa.update(backups)
        .where(
            backups.c.backup_id == run.backup_id,
            backups.c.status.in_(
                (model.BackupStatus.CREATING, model.BackupStatus.COMMITTING)
            ),
        )
        .values(status=str(status), fail_reason=values.prose(reason))
    )
