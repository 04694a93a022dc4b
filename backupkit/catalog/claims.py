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

"""Who works on a run: a process takes over what another has left.

Each process that begins or takes over a run draws an *attempt*, which the
run's row keeps. From then on whoever had it before can commit nothing,
abort nothing and remove nothing of the run any more.
"""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from backupkit.catalog import database
from backupkit.catalog import liveness
from backupkit.catalog import rows
from backupkit.catalog import schema
from backupkit.catalog import states
from backupkit.catalog import values
from backupkit import errors

_RUNS = schema.RUNS.c
_JOURNALS = schema.JOURNALS.c

#: Where a run stands that another process may go on with.
_CLAIMABLE = (
    states.RunState.RUNNING,
    states.RunState.COMMITTING,
    states.RunState.SUSPENDED,
)


class Claims(database.Client):
    """The part of the catalog that knows whose a run is."""

    def __init__(self, database: database.Database) -> None:
        super().__init__(database)
        #: The attempts of this process, by the ids of their runs.
        self._attempts: dict[str, str] = {}

    def begin_attempt(self, run_id: str) -> str:
        """Return an attempt of this process; not kept in any row yet."""
        attempt = secrets.token_hex(8)
        self._attempts[run_id] = attempt
        return attempt

    def claim_run(self, seen: rows.Run) -> rows.Run:
        """Make this process the one that works on a run.

        Who calls it has proved that no other does. Of two who do so at the
        same time one is refused.

        :param seen: the run as it was when that was proved
        :raises errors.Conflict: it has ended, or is another's by now
        """
        process = liveness.this_process()
        attempt = secrets.token_hex(8)
        with self._database.write() as connection:
            run = _get(connection, seen.run_id)
            if run.attempt != seen.attempt:
                raise errors.Conflict(
                    f'run {run.number} was resumed meanwhile, by process '
                    f'{run.pid} on host {run.host}'
                )
            if not run.live or run.state not in _CLAIMABLE:
                raise errors.Conflict(
                    f'run {run.number} is {run.state}: it cannot be resumed'
                )
            fields: dict[str, Any] = {
                'attempt': attempt,
                'state': states.RunState.RUNNING,
                'reason': '',
                'host': process.host,
                'boot_id': process.boot_id,
                'pid': process.pid,
            }
            if run.committing_at:
                # What the former process has sent may still arrive.
                fields['state'] = states.RunState.COMMITTING
                fields['overtaken_at'] = values.now()
            connection.execute(
                sa.update(schema.RUNS)
                .where(_RUNS.number == run.number)
                .values(values.checked(schema.RUNS, fields))
            )
            claimed = _get(connection, seen.run_id)
        self._attempts[seen.run_id] = attempt
        return claimed

    def check_attempt(self, run_id: str) -> None:
        """Refuse to go on with a run that was taken over.

        :raises errors.RunAborted: another process works on it now
        """
        if run_id in self._attempts:
            with self._database.read() as connection:
                self._check_attempt(_get(connection, run_id))

    def _check_attempt(self, run: rows.Run) -> None:
        """Refuse a run that was begun here and is another's now."""
        mine = self._attempts.get(run.run_id)
        if mine is not None and mine != run.attempt:
            raise errors.RunAborted(
                f'run {run.number} was taken over by process {run.pid} on '
                f'host {run.host}: nothing more is done for it here'
            )

    def keep_journal(self, run_id: str, body: str) -> None:
        """Keep how far the copy of a run has come, in place of before.

        :raises errors.RunAborted: another process works on the run now
        """
        fields = values.checked(
            schema.JOURNALS,
            {'run_id': run_id, 'body': body, 'kept_at': values.now()},
        )
        with self._database.write() as connection:
            self._check_attempt(_get(connection, run_id))
            connection.execute(
                sa.delete(schema.JOURNALS).where(_JOURNALS.run_id == run_id)
            )
            connection.execute(sa.insert(schema.JOURNALS).values(fields))

    def journal(self, run_id: str) -> str:
        """Return what was kept last of a run; empty if nothing was."""
        query = sa.select(_JOURNALS.body).where(_JOURNALS.run_id == run_id)
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
            if found is not None and not isinstance(found, str):
                raise values.BadValueError(f'{found!r} for a journal')
            return found or ''


def forget_journal(connection: sa.Connection, run_id: str) -> None:
    """Remove what is kept of a run that has ended."""
    connection.execute(
        sa.delete(schema.JOURNALS).where(_JOURNALS.run_id == run_id)
    )


def _get(connection: sa.Connection, run_id: str) -> rows.Run:
    query = sa.select(schema.RUNS).where(_RUNS.run_id == run_id)
    row = connection.execute(query).first()
    if row is None:
        raise errors.NotFound(f'there is no run {run_id}')
    return rows.run(row)
