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


"""A store whose objects are rows of an SQLite database.

SQLite does what a store promises: a transaction is whole or not there at
all, and with ``synchronous = FULL`` it survives a power cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import os
import sqlite3
import threading

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit import errors

#: So many names are read at a time while the store is listed.
PAGE_ROWS = 500
#: How long one waits for another process that writes, in seconds.
BUSY_SECONDS = 30.0

#: What SQLite's primary result codes mean here. Only what may pass by
#: itself is an error that the framework tries again.
_ERRORS: dict[int, type[errors.BackupkitError]] = {
    sqlite3.SQLITE_FULL: errors.TargetFull,
    sqlite3.SQLITE_READONLY: errors.TargetReadOnly,
    sqlite3.SQLITE_BUSY: errors.TargetUnavailable,
    sqlite3.SQLITE_LOCKED: errors.TargetUnavailable,
    sqlite3.SQLITE_CANTOPEN: errors.TargetMissing,
    sqlite3.SQLITE_CORRUPT: errors.Damaged,
    sqlite3.SQLITE_NOTADB: errors.Damaged,
}


class SqliteStore(store.Store):
    """An opened database; one connection, one thread at a time.

    :param path: of the database, made where its directory is there
    """

    capabilities = capability.StoreCapabilities(
        list_complete=True, put_if_absent=True
    )

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._translated('open it'):
            self._connection = _connect(path)

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Insert a row; its name is the primary key."""
        data = b''.join(parts)
        with self._translated(f'put {name}'), self._connection as connection:
            try:
                connection.execute(
                    'INSERT INTO object (name, data) VALUES (?, ?)',
                    (name, data),
                )
            except sqlite3.IntegrityError:
                raise errors.ObjectExists(
                    f'object {name} exists already'
                ) from None

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Read a part of the row's data, without the rest of it."""
        with self._translated(f'get {name}'):
            row = self._connection.execute(
                'SELECT rowid, length(data) FROM object WHERE name = ?',
                (name,),
            ).fetchone()
            if row is None:
                raise errors.ObjectNotFound(f'there is no object {name}')
            rowid, size = row
            end = size if length is None else offset + length
            if max(offset, end) > size:
                raise errors.Damaged(
                    f'object {name} has {size} bytes, not {end} or more'
                )
            with self._connection.blobopen(
                'object', 'data', rowid, readonly=True
            ) as blob:
                blob.seek(offset)
                data: bytes = blob.read(end - offset)
                return data

    def stat(self, name: str) -> store.ObjectStat:
        """Ask for the size of the row's data."""
        with self._translated(f'stat {name}'):
            row = self._connection.execute(
                'SELECT length(data) FROM object WHERE name = ?', (name,)
            ).fetchone()
        if row is None:
            raise errors.ObjectNotFound(f'there is no object {name}')
        return store.ObjectStat(name, row[0])

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """Read the names in their order, some at a time.

        Nothing is locked in between, so that others can write.
        """
        # All names that begin with "a/" lie between "a/" and "a0", because
        # the digit follows the slash.
        last, end = prefix, f'{prefix[:-1]}0' if prefix else '\U0010ffff'
        while True:
            with self._translated(f'list {prefix}*'):
                rows = self._connection.execute(
                    'SELECT name, length(data) FROM object '
                    'WHERE name > ? AND name < ? ORDER BY name LIMIT ?',
                    (last, end, PAGE_ROWS),
                ).fetchall()
            for name, size in rows:
                yield store.ObjectStat(name, size)
                last = name
            if len(rows) < PAGE_ROWS:
                return

    def delete(self, name: str) -> None:
        """Delete the row, if there is one."""
        with (
            self._translated(f'delete {name}'),
            self._connection as connection,
        ):
            connection.execute('DELETE FROM object WHERE name = ?', (name,))

    def limit(self, size_bytes: int) -> None:
        """Let the database not grow beyond a size, for tests."""
        with self._translated('limit it'):
            page = self._connection.execute('PRAGMA page_size').fetchone()[0]
            self._connection.execute(
                f'PRAGMA max_page_count = {size_bytes // page + 8}'
            )

    def close(self) -> None:
        """Close the connection; twice is fine."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Have the connection to oneself, and raise backupkit's errors."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise _translate(error, f'{self._path}: cannot {what}') from (
                    error
                )


def _connect(path: str) -> sqlite3.Connection:
    # SQLite would make the file with other permissions.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660))
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, check_same_thread=False
    )
    connection.execute('PRAGMA synchronous = FULL')
    with connection:
        connection.execute(
            'CREATE TABLE IF NOT EXISTS object (rowid INTEGER PRIMARY KEY, '
            'name TEXT NOT NULL UNIQUE, data BLOB NOT NULL)'
        )
    return connection


def _translate(error: Exception, what: str) -> errors.BackupkitError:
    if isinstance(error, OSError):
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        kind = errors.TargetMissing if missing else errors.TargetError
        return kind(f'{what}: {error.strerror}')
    # The primary result code is in the lowest byte of the extended one.
    code = getattr(error, 'sqlite_errorcode', 0) & 0xFF
    return _ERRORS.get(code, errors.TargetError)(f'{what}: {error}')
