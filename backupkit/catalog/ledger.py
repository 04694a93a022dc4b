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

"""The ledger of temporary things, and of volumes left incomplete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from backupkit.catalog import database
from backupkit.catalog import liveness
from backupkit.catalog import rows
from backupkit.catalog import schema
from backupkit.catalog import states
from backupkit.catalog import values
from backupkit import errors

_LEDGER = schema.LEDGER.c
_DESTINATIONS = schema.DESTINATIONS.c


class Ledger(database.Client):
    """The part of the catalog that knows what may be left outside.

    An entry is committed before its thing is made, and removed after that
    is proved gone. So nothing is ever left that no entry names, and an
    entry whose thing is absent is fine.
    """

    def ledger_add(
        self,
        run_id: str,
        kind: str,
        name: str,
        details: Mapping[str, Any],
        *,
        retained: bool = False,
    ) -> int:
        """Enter a thing that is about to be made, on this host.

        Called again for the same thing it changes the entry.

        :param kind: a :class:`states.LedgerKind`
        :param details: plain data that its driver needs to remove it
        :param retained: it stays after its run, as a checkpoint does
        :returns: the entry's id
        """
        process = liveness.this_process()
        fields = values.checked(
            schema.LEDGER,
            {
                'run_id': run_id,
                'kind': values.given_word(states.LedgerKind, kind),
                'name': name,
                'host': process.host,
                'boot_id': process.boot_id,
                'retained': retained,
                'details': values.packed(details),
                'made_at': values.now(),
            },
        )
        same = (
            (_LEDGER.run_id == fields['run_id'])
            & (_LEDGER.kind == fields['kind'])
            & (_LEDGER.name == fields['name'])
        )
        query = sa.select(_LEDGER.entry_id).where(same)
        with self._database.write() as connection:
            if connection.execute(query).first():
                connection.execute(
                    sa.update(schema.LEDGER).where(same).values(fields)
                )
            else:
                connection.execute(sa.insert(schema.LEDGER).values(fields))
            return int(connection.execute(query).scalar_one())

    def ledger_update(self, entry_id: int, details: Mapping[str, Any]) -> None:
        """Replace the details of an entry, once more is known.

        :raises errors.NotFound: there is no such entry
        """
        fields = values.checked(
            schema.LEDGER, {'details': values.packed(details)}
        )
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(schema.LEDGER)
                .where(_LEDGER.entry_id == entry_id)
                .values(fields)
            )
            if not changed.rowcount:
                raise errors.NotFound(f'the ledger has no entry {entry_id}')

    def ledger_remove(self, entry_id: int) -> None:
        """Remove the entry of a thing that is gone; absent is fine."""
        with self._database.write() as connection:
            connection.execute(
                sa.delete(schema.LEDGER).where(_LEDGER.entry_id == entry_id)
            )

    def ledger(self, run_id: str | None = None) -> list[rows.LedgerEntry]:
        """Return the entries of one run, or all, oldest first."""
        query = sa.select(schema.LEDGER).order_by(_LEDGER.entry_id)
        if run_id is not None:
            query = query.where(_LEDGER.run_id == run_id)
        with self._database.read() as connection:
            return [
                rows.ledger_entry(row) for row in connection.execute(query)
            ]

    def destination_begin(
        self, backend: str, volume_id: str, run_id: str, backup_id: str
    ) -> None:
        """Record that a volume is incomplete, before its first write."""
        fields = values.checked(
            schema.DESTINATIONS,
            {
                'backend': backend,
                'volume_id': volume_id,
                'run_id': run_id,
                'backup_id': backup_id,
                'begun_at': values.now(),
            },
        )
        with self._database.write() as connection:
            connection.execute(_forget_destination(backend, volume_id))
            connection.execute(sa.insert(schema.DESTINATIONS).values(fields))

    def destination_done(self, backend: str, volume_id: str) -> None:
        """Record that a restore over a volume has finished, or is moot."""
        with self._database.write() as connection:
            connection.execute(_forget_destination(backend, volume_id))

    def destinations(self) -> list[rows.Destination]:
        """Return the volumes that are incomplete."""
        query = sa.select(schema.DESTINATIONS).order_by(
            _DESTINATIONS.backend, _DESTINATIONS.volume_id
        )
        with self._database.read() as connection:
            return [rows.destination(row) for row in connection.execute(query)]


def _forget_destination(backend: str, volume_id: str) -> sa.Delete:
    return sa.delete(schema.DESTINATIONS).where(
        _DESTINATIONS.backend == backend, _DESTINATIONS.volume_id == volume_id
    )
