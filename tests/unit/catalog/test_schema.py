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

"""The tables, and how older ones are brought up to them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from unittest import mock

from alembic import autogenerate
from alembic.runtime import migration
import sqlalchemy as sa

from backupkit.catalog import install
from backupkit.catalog import migrate
from backupkit.catalog import schema
from backupkit import errors
from tests.unit.catalog import base
from tests.unit.catalog import processes

_NEXT_MIGRATION = """
from alembic import op
import sqlalchemy as sa

revision = '0002'
down_revision = '0001'


def upgrade():
    with op.batch_alter_table('runs') as batch:
        batch.add_column(
            sa.Column('shade', sa.String(7), server_default='none')
        )
        batch.alter_column('host', type_=sa.String(300))
    op.drop_table('destinations')
"""

_FOREIGN = (
    'CREATE TABLE alembic_version (version_num TEXT)',
    "INSERT INTO alembic_version VALUES ('14b227d79a87')",
    'CREATE TABLE logbooks (uuid TEXT PRIMARY KEY)',
    "INSERT INTO logbooks VALUES ('book-1')",
)


def _described(path: str) -> list[tuple[object, ...]]:
    """Return all that SQLite says of a database's tables and indexes."""
    connection = sqlite3.connect(path)
    found: list[tuple[object, ...]] = []
    for name, kind, sql in connection.execute(
        'SELECT name, type, sql FROM sqlite_master ORDER BY name'
    ).fetchall():
        found.append((name, kind, 'AUTOINCREMENT' in (sql or '')))
        pragma = 'table_info' if kind == 'table' else 'index_info'
        for row in connection.execute(f'PRAGMA {pragma}({name})'):
            found.append((name, *row))
        if kind == 'table':
            # Its indexes: origin and uniqueness, but not their order.
            found += sorted(
                (name, *row[1:])
                for row in connection.execute(f'PRAGMA index_list({name})')
            )
    connection.close()
    return found


def _execute(path: str, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


class MigrationTest(base.CatalogTestCase):
    def test_when_made_or_migrated_then_the_tables_are_the_same(self) -> None:
        made = os.path.join(self.directory, 'made')
        migrated = os.path.join(self.directory, 'migrated')
        for path, fill in ((made, install.fill), (migrated, migrate.upgrade)):
            engine = sa.create_engine(f'sqlite:///{path}')
            with engine.begin() as connection:
                fill(connection)
            engine.dispose()

        self.assertGreater(len(_described(made)), 50)
        self.assertEqual(_described(made), _described(migrated))

    def test_when_alembic_compares_then_it_finds_nothing_to_do(self) -> None:
        with self.catalog.engine.begin() as connection:
            schema.METADATA.drop_all(connection)
            migrate.upgrade(connection)
            context = migration.MigrationContext.configure(
                connection,
                opts={
                    'version_table': schema.VERSION.name,
                    'compare_server_default': True,
                },
            )
            differences = autogenerate.compare_metadata(
                context, schema.METADATA
            )
            revision = context.get_current_revision()

        self.assertEqual([], differences)
        self.assertEqual(schema.REVISION, revision)


class OlderTest(base.FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_before = self.open().register_run('gc')
        scripts = os.path.join(self.directory, 'migrations % of later')
        shutil.copytree(migrate.SCRIPTS, scripts)
        later = os.path.join(scripts, 'versions', '0002_later.py')
        with open(later, 'w', encoding='utf-8') as file:
            file.write(_NEXT_MIGRATION)
        for patch in (
            mock.patch.object(schema, 'REVISION', '0002'),
            mock.patch.object(migrate, 'SCRIPTS', scripts),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def test_when_tables_are_older_then_they_are_brought_up(self) -> None:
        self.assertEqual(self.run_before, self.open().runs()[0])

        tables = {row[0] for row in _described(self.path)}
        self.assertNotIn('destinations', tables)
        columns = [row[2] for row in _described(self.path) if row[0] == 'runs']
        self.assertIn('shade', columns)
        self.assertGreater(
            self.open().register_run('gc').number, self.run_before.number
        )

    def test_when_a_migration_fails_then_nothing_has_changed(self) -> None:
        _execute(self.path, 'DROP TABLE destinations')
        before = _described(self.path)

        with self.assertRaisesRegex(errors.CatalogError, self.path):
            self.open().runs()

        self.assertEqual(before, _described(self.path))

    def test_when_many_open_it_at_once_then_one_brings_it_up(self) -> None:
        def count() -> int:
            return len(self.open().runs())

        self.assertEqual([1] * 4, processes.together([count] * 4))

    def test_when_other_tables_are_there_then_they_stay(self) -> None:
        _execute(self.path, *_FOREIGN)

        self.open().runs()

        self.assertLessEqual(
            {'logbooks', 'alembic_version'},
            {row[0] for row in _described(self.path)},
        )


class NewerTest(base.FileTestCase):
    def test_when_tables_are_newer_then_they_are_not_touched(self) -> None:
        self.open().runs()
        _execute(self.path, "UPDATE catalog_version SET version_num = '0099'")
        before = _described(self.path)

        for use in ('runs', 'register_run'):
            arguments = ['gc'] if use == 'register_run' else []
            with self.assertRaisesRegex(
                errors.CatalogError,
                f'{self.path} was written by a newer release',
            ):
                getattr(self.open(), use)(*arguments)

        self.assertEqual(before, _described(self.path))


class ForeignTest(base.FileTestCase):
    def test_when_other_tables_came_first_then_ours_come_beside(
        self,
    ) -> None:
        _execute(self.path, *_FOREIGN)

        run = self.open().register_run('gc')

        self.assertEqual([run], self.open().runs())
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(
            [('14b227d79a87',)],
            connection.execute('SELECT * FROM alembic_version').fetchall(),
        )

    def test_when_a_table_of_ours_stands_alone_then_it_is_refused(
        self,
    ) -> None:
        _execute(self.path, 'CREATE TABLE backups (x TEXT)')

        with self.assertRaisesRegex(
            errors.CatalogError, 'backups already exists'
        ):
            self.open().runs()

        self.assertEqual(
            {'backups'}, {row[0] for row in _described(self.path)}
        )


class ImportTest(base.FileTestCase):
    def test_when_listing_then_nothing_slow_is_imported(self) -> None:
        program = (
            'import sys; from backupkit import catalog; '
            'c = catalog.open(sys.argv[1]); c.backups(); c.backups(); '
            'print(" ".join(sys.modules))'
        )
        for state in ('new', 'old'):
            with self.subTest(state=state):
                loaded = set(
                    subprocess.run(
                        [sys.executable, '-c', program, self.url],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout.split()
                )
                self.assertIn('sqlalchemy', loaded)
                for name in (
                    'alembic',
                    'backupkit.catalog.migrate',
                    'sqlalchemy.orm',
                    'sqlalchemy.dialects.mysql',
                    'sqlalchemy.dialects.postgresql',
                    'taskflow',
                    'eventlet',
                    'backupkit.drivers',
                ):
                    self.assertNotIn(name, loaded)
