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

"""Records of backups and runs, and the coordination of their writers.

:func:`open` gives a :class:`Catalog`. The repositories are the truth of
the data; the catalog can be rebuilt from them, but for its history of runs.
"""

from __future__ import annotations

import sqlalchemy as sa

from backupkit.catalog import backups
from backupkit.catalog import coordinator as coordinator_
from backupkit.catalog import database
from backupkit.catalog import ledger
from backupkit.catalog import rows
from backupkit.catalog import runs
from backupkit.catalog import states
from backupkit import errors

Run = rows.Run
BackupRow = rows.BackupRow
LedgerEntry = rows.LedgerEntry
Destination = rows.Destination
RunKind = states.RunKind
WRITERS = states.WRITERS
RunState = states.RunState
LedgerKind = states.LedgerKind


class Catalog(
    runs.Runs, backups.Backups, ledger.Ledger, coordinator_.Coordinator
):
    """All records, in one database that many processes share.

    Every method is one transaction: it has happened wholly, and durably,
    when the method returns, or not at all when it raises. A catalog may be
    used by several threads.
    """

    def coordinator(self) -> coordinator_.Coordinator:
        """Return what a target may ask."""
        return self

    def explain(self, error: BaseException) -> errors.CatalogError:
        """Return what an error of the engine means, with a cure.

        :param error: what SQLAlchemy raised to another user of the engine
        """
        return self._database.explain(error)

    @property
    def engine(self) -> sa.Engine:
        """The engine of the database, for other tables in it.

        Its transactions exclude all other writers from their begin on
        SQLite, so they must be short, and never hold one while calling a
        method of the catalog.
        """
        return self._database.engine

    def check(self) -> list[str]:
        """Return what is wrong in the database's files; reads all of it."""
        return self._database.check()

    def close(self) -> None:
        """Close idle connections; the catalog can still be used."""
        self._database.close()


def open(url: str, *, busy_seconds: float = 30) -> Catalog:  # noqa: A001 read as catalog.open
    """Return the catalog in a database, which is made on first use.

    Nothing is touched before the first method is called.

    :param url: as SQLAlchemy writes it
    :param busy_seconds: how long to wait for another process's writing, on
        SQLite
    :raises errors.ConfigurationError: the URL cannot be one of a catalog
    """
    return Catalog(database.Database(url, busy_seconds))
