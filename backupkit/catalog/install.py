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

"""Making the tables of the catalog, or bringing them up to date.

New tables are made from :mod:`backupkit.catalog.schema`, and alembic is
loaded only where older ones stand: that both lead to the same tables is
tested.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from backupkit.catalog import schema
from backupkit.catalog import values


class TooNewError(Exception):
    """The tables have a revision that only a newer release knows.

    The database turns it into a :class:`errors.CatalogError`.
    """


def current(connection: sa.Connection) -> bool:
    """Tell whether the tables are there, as this release has them.

    :raises TooNewError: a newer release has changed them
    """
    found = _revisions(connection)
    # No row: on MySQL another process may be making the tables.
    return _checked(found) == schema.REVISION if found else False


def _revisions(connection: sa.Connection) -> list[object] | None:
    if not sa.inspect(connection).has_table(schema.VERSION.name):
        return None
    return [row[0] for row in connection.execute(sa.select(schema.VERSION))]


def _checked(found: list[object]) -> str:
    if len(found) != 1 or not str(found[0]).isdecimal():
        raise values.BadValueError(f'its revision cannot be {found!r}')
    revision = str(found[0])
    if int(revision) > int(schema.REVISION):
        raise TooNewError(
            f'was written by a newer release (its revision is {revision}, '
            f'this release knows {schema.REVISION}): use that release'
        )
    return revision


def fill(connection: sa.Connection) -> None:
    """Make all tables in a database that has none of them."""
    _compare_bytes(connection.dialect.name)
    schema.METADATA.create_all(connection, checkfirst=False)
    connection.execute(
        sa.insert(schema.META).values(
            meta_id=1, catalog_id=str(uuid.uuid4()), created_at=values.now()
        )
    )
    connection.execute(
        sa.insert(schema.VERSION).values(version_num=schema.REVISION)
    )


def _compare_bytes(dialect: str) -> None:
    """Keep MySQL from taking ids for equal that differ by case.

    Not in the tables' definitions: options of a dialect load it.
    """
    if dialect in ('mysql', 'mariadb'):
        for table in schema.METADATA.tables.values():
            table.dialect_kwargs[f'{dialect}_charset'] = 'utf8mb4'
            table.dialect_kwargs[f'{dialect}_collate'] = 'utf8mb4_bin'


def bring_up(connection: sa.Connection) -> None:
    """Make the tables, or change older ones, in the caller's transaction."""
    found = _revisions(connection)
    if found is None:
        fill(connection)
    elif _checked(found) != schema.REVISION:
        # 0.4 s of CPU, for once in the life of a catalog.
        from backupkit.catalog import migrate

        migrate.upgrade(connection)
