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

"""What keeps the writers of a repository off each other's packs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
import itertools
from typing import Any

import sqlalchemy as sa

from backupkit.catalog import database
from backupkit.catalog import schema
from backupkit.catalog import states
from backupkit.catalog import values
from backupkit import model

_BACKUPS = schema.BACKUPS.c
_CONDEMNED = schema.CONDEMNED.c
_REPOSITORIES = schema.REPOSITORIES.c
_RUNS = schema.RUNS.c

#: Every database takes that many values in one statement.
_BATCH = 500

#: Kinds of runs that read packs. A collection would wait for itself.
_READERS = (
    states.RunKind.BACKUP,
    states.RunKind.COPY,
    states.RunKind.RESTORE,
    states.RunKind.VERIFY,
    states.RunKind.CHECK,
)
#: A backup's packs are needed while its manifest is there, damaged or not.
_COMMITTED = (model.BackupStatus.AVAILABLE, model.BackupStatus.DAMAGED)
_GONE = (model.BackupStatus.ERROR, model.BackupStatus.DELETED)


class Coordinator(database.Client):
    """The part of the catalog that targets use.

    It is a :class:`backupkit.drivers.target.Coordinator`.
    """

    def __init__(self, database: database.Database) -> None:
        super().__init__(database)
        self._catalog_id = ''

    @property
    def catalog_id(self) -> str:
        """The identity of the catalog, as a repository records it."""
        if not self._catalog_id:
            query = sa.select(schema.META.c.catalog_id)
            with self._database.read() as connection:
                found = connection.execute(query).scalars().all()
                if len(found) != 1 or not isinstance(found[0], str):
                    raise values.BadValueError(f'its identity is {found!r}')
                self._catalog_id = found[0]
        return self._catalog_id

    def known_repository(self, target: str) -> str | None:
        """Return the id of the repository last seen at this target."""
        found = self._texts(
            sa.select(_REPOSITORIES.repository_id).where(
                _REPOSITORIES.target == target
            )
        )
        return found[0] if found else None

    def remember_repository(self, target: str, repository_id: str) -> None:
        """Record which repository a target holds."""
        fields = values.checked(
            schema.REPOSITORIES,
            {
                'target': target,
                'repository_id': repository_id,
                'seen_at': values.now(),
            },
        )
        with self._database.write() as connection:
            connection.execute(
                sa.delete(schema.REPOSITORIES).where(
                    _REPOSITORIES.target == target
                )
            )
            connection.execute(sa.insert(schema.REPOSITORIES).values(fields))

    def committed(self, repository_id: str) -> Collection[str]:
        """Return the ids of all backups whose manifests are there."""
        return frozenset(
            self._texts(
                sa.select(_BACKUPS.backup_id).where(
                    _BACKUPS.repository_id == repository_id,
                    _BACKUPS.status.in_(_COMMITTED),
                )
            )
        )

    def latest(
        self, repository_id: str, backend: str, volume_id: str
    ) -> str | None:
        """Return the last available backup of a volume there."""
        found = self._texts(
            sa.select(_BACKUPS.backup_id)
            .where(
                _BACKUPS.repository_id == repository_id,
                _BACKUPS.backend == backend,
                _BACKUPS.volume_id == volume_id,
                _BACKUPS.status == model.BackupStatus.AVAILABLE,
            )
            .order_by(
                _BACKUPS.sequence.desc(),
                _BACKUPS.run_number.desc(),
                _BACKUPS.created_at.desc(),
                _BACKUPS.backup_id,
            )
            .limit(1)
        )
        return found[0] if found else None

    def known(self, repository_id: str) -> Collection[str]:
        """Return every id that ever wrote there and is not forgotten."""
        return frozenset(
            self._texts(
                sa.select(_BACKUPS.backup_id).where(
                    _BACKUPS.repository_id == repository_id
                )
            )
        )

    def live(
        self, repository_id: str, upto: int | None = None
    ) -> Collection[str]:
        """Return the backup ids of runs that may still read or write.

        A run that was aborted is one of them until it is finished too: its
        commit may be under way. One that has no backup is named by its own
        id; one whose repository was not known when it began counts for all.
        A collection that moves packs is named by the owner of those that it
        makes, unless ``upto`` is given: nobody waits for it.

        :param upto: only runs with a number up to this one
        """
        reads: sa.ColumnElement[bool] = _RUNS.kind.in_(_READERS)
        if upto is None:
            moves = (_RUNS.kind == states.RunKind.GC) & (
                _RUNS.backup_id.is_not(None)
            )
            reads = sa.or_(reads, moves)
        else:
            reads &= _RUNS.number <= upto
        query = sa.select(
            sa.func.coalesce(_RUNS.backup_id, _RUNS.run_id)
        ).where(
            _RUNS.finished_at == '',
            _RUNS.repository_id.in_((repository_id, ''))
            | (_RUNS.source_repository_id == repository_id),
            reads,
        )
        return frozenset(self._texts(query))

    def astray(self, repository_id: str) -> Collection[str]:
        """Return the backups that a writer which is lost may still put.

        Its run was aborted, or taken over, when it had begun to commit.

        Nothing proves that a writer which was past the last check has
        given up, so these stay for ever.
        """
        return frozenset(
            self._texts(
                sa.select(_RUNS.backup_id).where(
                    (
                        (_RUNS.state == states.RunState.ABORTED)
                        & (_RUNS.committing_at != '')
                    )
                    | (_RUNS.overtaken_at != ''),
                    _RUNS.backup_id.is_not(None),
                    _RUNS.repository_id.in_((repository_id, '')),
                )
            )
        )

    def last_run(self) -> int:
        """Return the number of the last run registered."""
        with self._database.read() as connection:
            return _last_run(connection)

    def condemned(self, repository_id: str) -> Mapping[str, int | None]:
        """Return the condemned packs, each with its barrier or None."""
        query = sa.select(schema.CONDEMNED).where(
            _CONDEMNED.repository_id == repository_id
        )
        with self._database.read() as connection:
            found = (
                values.read(schema.CONDEMNED, row)
                for row in connection.execute(query)
            )
            return {fields['pack']: fields['barrier'] for fields in found}

    def condemn(self, repository_id: str, packs: Iterable[str]) -> None:
        """Put packs on the list, in one transaction.

        One that is on it keeps its barrier.
        """
        now = values.now()
        with self._database.write() as connection:
            for batch in _batches(packs):
                query = sa.select(_CONDEMNED.pack).where(
                    _CONDEMNED.repository_id == repository_id,
                    _CONDEMNED.pack.in_(batch),
                )
                known = set(connection.execute(query).scalars())
                new = [
                    values.checked(
                        schema.CONDEMNED,
                        {
                            'repository_id': repository_id,
                            'pack': pack,
                            'barrier': None,
                            'condemned_at': now,
                        },
                    )
                    for pack in dict.fromkeys(batch)
                    if pack not in known
                ]
                if new:
                    connection.execute(sa.insert(schema.CONDEMNED), new)

    def set_barrier(self, repository_id: str, run_number: int) -> None:
        """Give every condemned pack without a barrier this one, or later.

        Another collection may have condemned packs after the caller read
        the number, and runs may have begun between: so the barrier is the
        last run registered now, where that is later.
        """
        with self._database.write() as connection:
            barrier = max(run_number, _last_run(connection))
            connection.execute(
                sa.update(schema.CONDEMNED)
                .where(
                    _CONDEMNED.repository_id == repository_id,
                    _CONDEMNED.barrier.is_(None),
                )
                .values(values.checked(schema.CONDEMNED, {'barrier': barrier}))
            )

    def absolve(self, repository_id: str, packs: Iterable[str]) -> None:
        """Take packs that were deleted off the list."""
        with self._database.write() as connection:
            for batch in _batches(packs):
                connection.execute(
                    sa.delete(schema.CONDEMNED).where(
                        _CONDEMNED.repository_id == repository_id,
                        _CONDEMNED.pack.in_(batch),
                    )
                )

    def forget(self, repository_id: str, backup_ids: Iterable[str]) -> None:
        """Drop the rows of backups of which nothing is left.

        Only those that failed or were deleted, by runs that have finished.
        """
        live = sa.select(_RUNS.backup_id).where(
            _RUNS.finished_at == '', _RUNS.backup_id.is_not(None)
        )
        with self._database.write() as connection:
            for batch in _batches(backup_ids):
                connection.execute(
                    sa.delete(schema.BACKUPS).where(
                        _BACKUPS.repository_id == repository_id,
                        _BACKUPS.backup_id.in_(batch),
                        _BACKUPS.status.in_(_GONE),
                        _BACKUPS.backup_id.not_in(live),
                    )
                )

    def _texts(self, query: sa.Select[Any]) -> list[str]:
        with self._database.read() as connection:
            found = connection.execute(query).scalars().all()
            for text in found:
                if not isinstance(text, str):
                    raise values.BadValueError(f'{text!r} for a text')
            return list(found)


def _last_run(connection: sa.Connection) -> int:
    number = connection.execute(sa.select(sa.func.max(_RUNS.number))).scalar()
    return int(number or 0)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(names)
    while batch := list(itertools.islice(waiting, _BATCH)):
        yield batch
