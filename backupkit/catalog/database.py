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

"""Transactions on the catalog's database, which comes to be on first use."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import threading

import sqlalchemy as sa

from backupkit.catalog import install
from backupkit.catalog import schema
from backupkit.catalog import server
from backupkit.catalog import sqlite
from backupkit.catalog import values
from backupkit import errors

_LOCK = sa.select(schema.META.c.catalog_id).with_for_update()


class Database:
    """The database of a catalog; nothing is touched before its first use.

    It may be used by several threads and by forked processes. There is one
    lock in it, which every writer holds from its begin to its commit: so
    whatever a writer reads stays true until it has committed, and runs are
    numbered in the order in which they become visible.

    :param url: as SQLAlchemy writes it
    :param busy_seconds: how long to wait for another process's writing
    """

    def __init__(self, url: str, busy_seconds: float = 30) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise errors.ConfigurationError(
                '[catalog] connection is no URL of a database: write '
                'sqlite:////path, postgresql://... or mysql://...'
            ) from error
        self._place: sqlite.SqliteFile | server.Server = (
            sqlite.SqliteFile(parsed, busy_seconds)
            if parsed.get_backend_name() == 'sqlite'
            else server.Server(parsed)
        )
        self._preparing = threading.Lock()
        self._engine: sa.Engine | None = None

    def __str__(self) -> str:
        return str(self._place)

    @property
    def engine(self) -> sa.Engine:
        """The engine, once the database is ready.

        Every transaction of it is a writer on SQLite, even one that only
        reads.
        """
        if self._engine is None:
            with self._preparing:
                if self._engine is None:
                    self._engine = self._prepared()
        return self._engine

    def _prepared(self) -> sa.Engine:
        self._place.make(install.fill)
        engine = self._place.engine()
        with self._explained(), _reading(engine).begin() as connection:
            current = install.current(connection)
            self._place.look(connection)
        if not current:
            with (
                self._explained(),
                self._place.alone(engine),
                engine.begin() as connection,
            ):
                install.bring_up(connection)
        return engine

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection for a transaction that only reads.

        :raises errors.CatalogError: the database cannot be used
        """
        engine = _reading(self.engine)
        with self._explained(), engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection for a transaction that is alone in writing.

        It is committed at the end, or rolled back where an error leaves.

        :raises errors.CatalogFull: there is no space left
        :raises errors.CatalogError: the database cannot be used
        """
        engine = self.engine
        with self._explained(), engine.begin() as connection:
            # SQLite has its lock already, and passes over FOR UPDATE.
            if len(connection.execute(_LOCK).all()) != 1:
                raise values.BadValueError('it has no identity')
            yield connection

    def check(self) -> list[str]:
        """Return what is wrong in the database's files; reads all of it.

        :raises errors.CatalogError: the database cannot be used
        """
        with self.read() as connection:
            return self._place.check(connection)

    def close(self) -> None:
        """Close connections that are not in use; more can be opened."""
        if self._engine is not None:
            self._engine.dispose()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the database raises into errors that name a cure."""
        try:
            yield
        except (
            sa.exc.SQLAlchemyError,
            values.BadValueError,
            install.TooNewError,
            # Where SQLite's message itself quotes the damage.
            UnicodeDecodeError,
        ) as error:
            raise self.explain(error) from error

    def explain(self, error: BaseException) -> errors.CatalogError:
        """Return what an error means that the engine has raised."""
        if isinstance(error, sa.exc.DBAPIError):
            return self._place.explain(error.orig)
        if isinstance(error, values.BadValueError | UnicodeDecodeError):
            return self._place.damaged(error)
        return errors.CatalogError(f'catalog {self} {error}')


def _reading(engine: sa.Engine) -> sa.Engine:
    return engine.execution_options(**{sqlite.READING: True})


class Client:
    """Base of the parts of the catalog: something that uses its database."""

    def __init__(self, database: Database) -> None:
        self._database = database
