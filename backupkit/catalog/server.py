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

"""A catalog in the database of a server: PostgreSQL or MySQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
from typing import Any

import sqlalchemy as sa

from backupkit import errors

_FULL_STATES = ('53100',)
_FULL_NUMBERS = (1021, 1114)
#: How to take and release a lock that needs no table. The number, and the
#: name, are arbitrary, and the same in every release.
_LOCKS = {
    'postgresql': (
        'SELECT pg_advisory_lock(1651925099)',
        'SELECT pg_advisory_unlock(1651925099)',
    ),
    'mysql': (
        "SELECT GET_LOCK('backupkit catalog', 600)",
        "SELECT RELEASE_LOCK('backupkit catalog')",
    ),
}
_LOCKS['mariadb'] = _LOCKS['mysql']


class Server:
    """The database that holds a catalog, and how to reach and explain it."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url

    def __str__(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def engine(self) -> sa.Engine:
        """Return an engine; its connections do not survive a fork.

        :raises errors.ConfigurationError: there is no driver for it
        """
        try:
            engine = sa.create_engine(
                self._url,
                # Who holds the lock sees what was committed before.
                isolation_level='READ COMMITTED',
                pool_pre_ping=True,
            )
        except (sa.exc.ArgumentError, ImportError) as error:
            raise errors.ConfigurationError(
                f'[catalog] connection = {self}: {error}: '
                'install the driver that the URL names'
            ) from error
        bind_to_process(engine)
        return engine

    def make(self, fill: Callable[[sa.Connection], None]) -> None:
        """Do nothing: the operator makes the database."""

    @contextlib.contextmanager
    def alone(self, engine: sa.Engine) -> Iterator[None]:
        """Keep other processes from making or changing tables meanwhile."""
        take, release = _LOCKS.get(engine.dialect.name, ('', ''))
        with engine.connect() as connection:
            # MySQL tells that it gave up waiting; PostgreSQL never does.
            if take and connection.exec_driver_sql(take).scalar() == 0:
                raise errors.CatalogError(
                    f'catalog {self}: another process has been changing its '
                    'tables for long: look after that process'
                )
            try:
                yield
            finally:
                if release:
                    connection.exec_driver_sql(release)

    def look(self, connection: sa.Connection) -> None:
        """Do nothing: the server checks its own files."""

    def check(self, connection: sa.Connection) -> list[str]:
        """Return nothing: the server checks its own files."""
        return []

    def damaged(self, problem: object) -> errors.CatalogError:
        """Return the error for tables that hold what was never written."""
        return errors.CatalogError(
            f'catalog {self} is damaged ({problem}): name an empty database '
            'in [catalog] connection and run `backupkit catalog rebuild`'
        )

    def explain(self, error: BaseException | None) -> errors.CatalogError:
        """Return what an error of the server means, with a cure."""
        state = getattr(error, 'sqlstate', getattr(error, 'pgcode', None))
        number = error.args[0] if error and error.args else None
        lines = str(error).strip().splitlines() or ['unknown error']
        if state in _FULL_STATES or number in _FULL_NUMBERS:
            return errors.CatalogFull(
                f'catalog {self} cannot grow: {lines[0]}: make space there'
            )
        return errors.CatalogError(
            f'catalog {self}: {lines[0]}: look after the database server '
            'and [catalog] connection'
        )


def bind_to_process(engine: sa.Engine) -> None:
    """Keep forked processes from sharing the engine's connections."""
    sa.event.listen(engine, 'connect', _note_process)
    sa.event.listen(engine, 'checkout', _refuse_other_process)


def _note_process(
    connection: Any, record: sa.pool.ConnectionPoolEntry
) -> None:
    record.info['pid'] = os.getpid()


def _refuse_other_process(
    connection: Any,
    record: sa.pool.ConnectionPoolEntry,
    proxy: sa.pool.PoolProxiedConnection,
) -> None:
    """Leave a connection to the process that made it, before a fork."""
    if record.info['pid'] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None  # type: ignore[misc] # as SQLAlchemy's documentation has it
        raise sa.exc.DisconnectionError('made by another process')
