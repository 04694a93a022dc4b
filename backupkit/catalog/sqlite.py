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

"""A catalog in an SQLite file: all that is particular to SQLite.

The file is made whole under another name and then linked into place: what
can be seen is always a complete catalog, and an empty file is damage. Only
this module makes it; connections never do.

Its rollback journal is truncated and synced at every commit, so that what
was committed stays so after a power cut; a write-ahead log would not work
on network file systems, nor be readable from a read-only one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import errno
import os
import sqlite3
import stat
import tempfile
from typing import Any
import urllib.parse

import sqlalchemy as sa

from backupkit.catalog import directory as directory_
from backupkit import errors

#: The execution option of connections that only read.
READING = 'backupkit_reading'

_CURE = (
    'move it and any file named after it away, then run '
    '`backupkit catalog rebuild`'
)
_PAGE_BYTES = 1024

#: What SQLite puts beside its file and would replay into a new one.
_COMPANIONS = ('-journal', '-wal')


class SqliteFile:
    """The file that holds a catalog, and how to reach and explain it."""

    def __init__(self, url: sa.URL, busy_seconds: float) -> None:
        path = url.database or ''
        if not path or path == ':memory:' or path.startswith('file:'):
            raise errors.ConfigurationError(
                f'[catalog] connection = {url} names no file: '
                'write sqlite:////absolute/path/catalog.sqlite'
            )
        if url.query:
            raise errors.ConfigurationError(
                f'[catalog] connection = {url}: '
                'an SQLite catalog takes no options'
            )
        self._path = os.path.abspath(path)
        self._busy_seconds = busy_seconds

    def __str__(self) -> str:
        return self._path

    def engine(self) -> sa.Engine:
        """Return an engine for the file, which must be there when used.

        Every transaction takes the one write lock at its begin, unless it
        is marked as `READING`: a transaction that reads first and writes
        later could find the lock taken, and SQLite would not wait.
        """
        return _engine(self._path, self._busy_seconds)

    def make(self, fill: Callable[[sa.Connection], None]) -> None:
        """Make the file where it is missing; check that it can be one.

        :param fill: makes the tables in an empty database
        :raises errors.CatalogError: it cannot be a catalog, or be made
        """
        try:
            if self._missing():
                self._create(fill)
        except OSError as error:
            raise self._refused(error) from error

    def _missing(self) -> bool:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return True
        if not stat.S_ISREG(status.st_mode):
            kind = 'a directory' if stat.S_ISDIR(status.st_mode) else 'no file'
            raise errors.CatalogError(
                f'catalog {self._path} is {kind}: '
                'name a file in [catalog] connection'
            )
        if not status.st_size:
            raise self.damaged('it is empty')
        return False

    def _create(self, fill: Callable[[sa.Connection], None]) -> None:
        directory, name = os.path.split(self._path)
        directory_.make(directory)
        self._refuse_companions()
        descriptor, draft = tempfile.mkstemp('.new', f'.{name}.', directory)
        try:
            os.fchmod(descriptor, directory_.FILE_MODE)
            os.close(descriptor)
            with _engine(draft, self._busy_seconds).begin() as connection:
                fill(connection)
            os.link(draft, self._path)
        except FileExistsError:
            # Another process was first: its catalog is as good.
            return
        except sa.exc.DBAPIError as error:
            raise self.explain(error.orig) from error
        finally:
            directory_.remove(draft)
            directory_.remove(f'{draft}-journal')
        directory_.sync(directory)

    def _refuse_companions(self) -> None:
        for suffix in _COMPANIONS:
            left = self._path + suffix
            # The catalog is looked for once more: the journal may be that
            # of a process which made it just now.
            if (
                os.path.exists(left)
                and os.path.getsize(left)
                and not os.path.exists(self._path)
            ):
                raise errors.CatalogError(
                    f'{left} is left of a catalog that is gone, and would '
                    'spoil a new one: put that catalog back, or move '
                    'this file away too'
                )

    @contextlib.contextmanager
    def alone(self, engine: sa.Engine) -> Iterator[None]:
        """Do nothing: a transaction that makes tables is alone already."""
        yield

    def look(self, connection: sa.Connection) -> None:
        """Check the file's size, which SQLite does not to the last byte.

        To be called in a transaction that has read: nobody writes then.
        """
        page_size = connection.exec_driver_sql('PRAGMA page_size').scalar()
        pages = connection.exec_driver_sql('PRAGMA page_count').scalar()
        size = os.stat(self._path).st_size
        if not page_size or size % page_size or size < page_size * pages:
            raise self.damaged(
                f'it has {size} bytes, not {pages} pages of {page_size}'
            )

    def check(self, connection: sa.Connection) -> list[str]:
        """Return what SQLite's own check of the whole file finds wrong."""
        rows = connection.exec_driver_sql('PRAGMA integrity_check').scalars()
        return [str(row) for row in rows if row != 'ok']

    def damaged(self, problem: object) -> errors.CatalogError:
        """Return the error for a file that is not what was written."""
        return errors.CatalogError(
            f'catalog {self._path} is damaged ({problem}): {_CURE}'
        )

    def explain(self, error: BaseException | None) -> errors.CatalogError:
        """Return what an error of SQLite means, with a cure."""
        code = getattr(error, 'sqlite_errorcode', sqlite3.SQLITE_ERROR) & 0xFF
        free = self._free_bytes()
        if code == sqlite3.SQLITE_FULL or (
            free == 0
            and code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
        ):
            return errors.CatalogFull(
                f'catalog {self._path} cannot grow: {error} '
                f'({free} bytes are free): make space there'
            )
        if code == sqlite3.SQLITE_BUSY:
            return errors.CatalogError(
                f'catalog {self._path} was held by another process for '
                f'more than {self._busy_seconds:g} s: try again, or end it'
            )
        if code == sqlite3.SQLITE_IOERR:
            return errors.CatalogError(
                f'catalog {self._path}: {error}: look after its disk and quota'
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return self._unreachable(error)
        return self.damaged(error)

    def _unreachable(self, error: object) -> errors.CatalogError:
        if not os.path.exists(self._path):
            problem = (
                'it is not there any more: put it back, or start anew with '
                '`backupkit catalog rebuild`'
            )
        elif not os.access(self._path, os.R_OK):
            problem = 'it cannot be read: permit this user to read it'
        elif not os.access(self._path, os.W_OK):
            problem = 'it is read-only: permit this user to write it'
        else:
            problem = (
                f'{error}: permit this user to write its directory, '
                'or mount its file system read-write'
            )
        return errors.CatalogError(f'catalog {self._path}: {problem}')

    def _refused(self, error: OSError) -> errors.CatalogError:
        text = f'catalog {self._path} cannot be used: {error.strerror}'
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return errors.CatalogFull(f'{text}: make space there')
        return errors.CatalogError(
            f'{text}: look after its directory and the rights of this user'
        )

    def _free_bytes(self) -> int | None:
        try:
            status = os.statvfs(os.path.dirname(self._path))
        except OSError:
            return None
        return status.f_bavail * status.f_frsize


def _engine(path: str, busy_seconds: float) -> sa.Engine:
    # Mode rw: a catalog that went away must not come back empty.
    uri = f'file:{urllib.parse.quote(path)}?mode=rw'

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri,
            timeout=busy_seconds,
            # The begin is ours, so that it can take the lock.
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        # Counts where a catalog is made: a commit changes few rows, and each
        # page of them is written twice.
        connection.execute(f'PRAGMA page_size={_PAGE_BYTES}')
        # For other tables of the same database that cascade.
        connection.execute('PRAGMA foreign_keys=ON')
        return connection

    # Without a pool nothing is inherited by a fork, and no descriptor
    # outlives a file that was moved away.
    engine = sa.create_engine(
        'sqlite+pysqlite://', creator=connect, poolclass=sa.NullPool
    )
    sa.event.listen(engine, 'begin', _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    options: dict[str, Any] = dict(connection.get_execution_options())
    if options.get(READING):
        connection.exec_driver_sql('BEGIN')
        return
    connection.exec_driver_sql('PRAGMA journal_mode=TRUNCATE')
    connection.exec_driver_sql('PRAGMA synchronous=FULL')
    connection.exec_driver_sql('BEGIN IMMEDIATE')
