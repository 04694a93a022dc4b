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

"""A catalog in a server's database, as far as no server is needed."""

from __future__ import annotations

import os
import unittest

import sqlalchemy as sa

from backupkit import catalog
from backupkit.catalog import schema
from backupkit.catalog import server
from backupkit import errors
from tests.unit.catalog import base
from tests.unit.catalog import processes

_URL = 'postgresql://keeper:secret@db.example/catalog'


class _PostgresError(Exception):
    sqlstate = '53100'


class ServerTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = server.Server(sa.make_url(_URL))

    def test_when_it_is_named_then_the_password_is_not(self) -> None:
        for text in (
            str(self.server),
            str(self.server.damaged('x')),
            str(self.server.explain(None)),
            str(self.server.explain(ValueError('one\ntwo'))),
        ):
            self.assertIn('postgresql://keeper:***@db.example/catalog', text)
            self.assertNotIn('secret', text)
            self.assertNotIn('two', text)

    def test_when_it_is_full_then_the_error_says_so(self) -> None:
        for error in (
            _PostgresError('could not extend file'),
            Exception(1021, 'Disk full'),
            Exception(1114, 'The table is full'),
        ):
            with self.subTest(error=error):
                explained = self.server.explain(error)
                self.assertIsInstance(explained, errors.CatalogFull)
        other = self.server.explain(Exception(2013, 'Lost connection'))
        self.assertNotIsInstance(other, errors.CatalogFull)

    def test_when_no_driver_is_installed_then_the_error_says_so(self) -> None:
        for url in ('nosuchdatabase://x/y', 'postgresql+nosuchdriver://x/y'):
            with (
                self.subTest(url=url),
                self.assertRaisesRegex(
                    errors.ConfigurationError, 'install the driver'
                ),
            ):
                catalog.open(url).runs()


class ForkTest(base.FileTestCase):
    def test_when_forked_then_a_pooled_connection_is_not_shared(
        self,
    ) -> None:
        self.open().runs()
        engine = sa.create_engine(self.url, poolclass=sa.QueuePool)
        self.addCleanup(engine.dispose)
        server.bind_to_process(engine)

        def owner() -> int:
            with engine.connect() as connection:
                owners = connection.connection.info
                return int(owners['pid'])

        self.assertEqual(os.getpid(), owner())
        self.assertEqual(os.getpid(), owner())
        child = processes.apart(lambda: (os.getpid(), owner()))
        self.assertEqual(child[0], child[1])
        self.assertEqual(os.getpid(), owner())


class DialectTest(unittest.TestCase):
    def test_when_statements_are_written_then_any_database_takes_them(
        self,
    ) -> None:
        for name in ('postgresql', 'mysql', 'sqlite'):
            engine = sa.create_mock_engine(f'{name}://', lambda *_: None)
            for table in schema.METADATA.tables.values():
                with self.subTest(dialect=name, table=table.name):
                    text = str(
                        sa.schema.CreateTable(table).compile(
                            dialect=engine.dialect
                        )
                    )
                    self.assertIn(f'CREATE TABLE {table.name}', text)

    def test_when_mysql_indexes_texts_then_no_key_is_too_long(self) -> None:
        for table in schema.METADATA.tables.values():
            for columns in (
                table.primary_key.columns,
                *(index.columns for index in table.indexes),
            ):
                length = sum(
                    4 * getattr(column.type, 'length', 1) for column in columns
                )
                self.assertLessEqual(length, 3072, table.name)
