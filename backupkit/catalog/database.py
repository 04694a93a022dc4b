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
from typing import Protocol

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
