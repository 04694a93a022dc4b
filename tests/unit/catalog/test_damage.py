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

"""A catalog whose file is not what was written."""

from __future__ import annotations

import os
import random
import sqlite3
import zlib

from backupkit import catalog
from backupkit.catalog import schema
from backupkit import errors
from tests.unit.catalog import base

_FLIPS = 250


class DamageTestCase(base.CatalogTestCase):
    """A test that damages a catalog with rows in every table."""

    def setUp(self) -> None:
        super().setUp()
        # What is damaged here is a file, whatever database others use.
        self.url = f'sqlite:///{self.path}'
        self.catalog = self.open()
        self.made = self.begin()
        self.commit(self.made)
        self.catalog.ledger_add('r', 'mount', 'n', {'a': 1})
        self.catalog.destination_begin('local', 'v', 'r', 'b')
        self.catalog.condemn(base.REPOSITORY, ['p1', 'p2'])
        self.catalog.set_barrier(base.REPOSITORY, 1)
        self.catalog.remember_repository('repo', base.REPOSITORY)
        with open(self.path, 'rb') as file:
            self.good = file.read()

    def put(self, content: bytes) -> catalog.Catalog:
        """Replace the file; return a catalog that has not looked yet."""
        with open(self.path, 'wb') as file:
            file.write(content)
        return catalog.open(self.url)

    def read_all(self, opened: catalog.Catalog) -> object:
        """Read all that there is."""
        return (
            opened.catalog_id,
            opened.runs(),
            opened.backups(),
            opened.ledger(),
            opened.destinations(),
            opened.condemned(base.REPOSITORY),
            opened.known_repository('repo'),
            opened.committed(base.REPOSITORY),
            opened.live(base.REPOSITORY),
            opened.last_run(),
            opened.journal('r'),
        )

    def write_all(self, opened: catalog.Catalog) -> None:
        """Write into every table."""
        run = opened.register_run('backup', backup_id='b', volume_id='v')
        opened.add_backup(catalog.BackupRow('b', 'local', 'v'))
        opened.keep_journal(run.run_id, '{}')
        opened.begin_commit(run.run_id)
        opened.finish_backup(run.run_id, base.summarized(run))
        opened.condemn(base.REPOSITORY, ['p3'])
        opened.set_barrier(base.REPOSITORY, 2)
        opened.absolve(base.REPOSITORY, ['p1'])
        opened.remember_repository('repo', 'r')
        opened.ledger_remove(opened.ledger_add('s', 'mount', 'n', {}))
        opened.destination_done('local', 'v')


class DamageTest(DamageTestCase):
    def _assert_damaged(self, opened: catalog.Catalog, pattern: str) -> None:
        for use in (self.read_all, self.write_all):
            with self.assertRaisesRegex(errors.CatalogError, pattern) as seen:
                use(opened)
            self.assertIn(self.path, str(seen.exception))

    def test_when_cut_short_anywhere_then_it_is_never_used(self) -> None:
        # Twenty pages and more; each is cut in its middle as well.
        self.assertGreater(len(self.good), 20_480)
        for size in range(0, len(self.good), 512):
            with self.subTest(size=size):
                self._assert_damaged(
                    self.put(self.good[:size]), 'backupkit catalog rebuild'
                )
                # Nothing was made better, or worse, of it.
                self.assertEqual(size, os.path.getsize(self.path))

    def test_when_it_is_no_database_then_it_is_never_used(self) -> None:
        for content in (
            b'[DEFAULT]\nenabled_backends = local\n',
            zlib.compress(self.good),
            b'\0' * 8192,
            b'SQLite format 3\0',
            b'SQLite format 3\0' + bytes(4080),
            random.Random(1).randbytes(8192),
        ):
            with self.subTest(content=content[:16]):
                self._assert_damaged(
                    self.put(content), 'backupkit catalog rebuild'
                )

    def test_when_any_bit_flips_then_there_is_an_answer_or_an_error(
        self,
    ) -> None:
        seen = self.flip(self._places())

        # Most of what is not zero matters to somebody.
        self.assertGreater(seen, _FLIPS // 10)

    def _places(self) -> list[int]:
        chance = random.Random(2)
        used = [at for at, byte in enumerate(self.good) if byte]
        header = list(range(100))
        return header + chance.sample(used, _FLIPS - len(header))

    def flip(self, places: list[int]) -> int:
        """Flip a bit of each of these bytes; return how many were seen."""
        chance = random.Random(3)
        seen = 0
        for place in places:
            content = bytearray(self.good)
            content[place] ^= 1 << chance.randrange(8)
            for use in (self.read_all, self.write_all):
                opened = self.put(bytes(content))
                try:
                    use(opened)
                except errors.CatalogError as error:
                    self.assertIn(self.path, str(error))
                    seen += 1
                except errors.BackupkitError:
                    # A name has changed, and is not found.
                    seen += 1
        return seen

    def test_when_a_row_holds_another_type_then_it_is_damage(self) -> None:
        for table, column, value in (
            ('runs', 'state', 'over'),
            ('runs', 'kind', b'gc'),
            ('runs', 'params', '[1]'),
            ('runs', 'params', '{'),
            ('runs', 'params', '[' * 60_000),
            ('runs', 'pid', 'x'),
            ('backups', 'status', 'fine'),
            ('backups', 'kind', ''),
            ('backups', 'size_bytes', 'many'),
            ('backups', 'size_bytes', 1.5),
            ('ledger', 'kind', 'x'),
            ('ledger', 'details', 'null'),
            ('condemned', 'barrier', 'x'),
            ('destinations', 'begun_at', b'x'),
            ('meta', 'catalog_id', b'x'),
            ('repositories', 'repository_id', b'x'),
            ('catalog_version', 'version_num', 'x'),
            ('catalog_version', 'version_num', '0000'),
        ):
            with self.subTest(table=table, column=column, value=value):
                opened = self.put(self.good)
                other = sqlite3.connect(self.path)
                with other:
                    other.execute(f'UPDATE {table} SET {column} = ?', [value])
                other.close()
                with self.assertRaisesRegex(
                    errors.CatalogError, 'is damaged.*catalog rebuild'
                ):
                    self.read_all(opened)

    def test_when_a_table_is_missing_then_it_is_damage(self) -> None:
        for table in schema.METADATA.tables:
            with self.subTest(table=table):
                opened = self.put(self.good)
                other = sqlite3.connect(self.path)
                other.execute(f'DROP TABLE {table}')
                other.close()
                self._assert_damaged(opened, 'backupkit catalog rebuild')

    def test_when_identity_or_revision_is_lost_then_it_is_damage(
        self,
    ) -> None:
        for table in ('meta', 'catalog_version'):
            with self.subTest(table=table):
                opened = self.put(self.good)
                other = sqlite3.connect(self.path)
                with other:
                    other.execute(f'DELETE FROM {table}')
                other.close()
                self._assert_damaged(opened, 'is damaged')

    def test_when_moved_away_then_the_next_use_makes_a_new_one(self) -> None:
        opened = self.put(self.good[:5000])
        with self.assertRaises(errors.CatalogError):
            opened.backups()
        os.rename(self.path, f'{self.path}.damaged')

        self.assertEqual([], opened.backups())
        self.assertEqual([], opened.check())

    def test_when_a_page_is_damaged_then_the_check_finds_it(self) -> None:
        content = bytearray(self.good)
        # The first byte of a page tells its kind.
        content[4096 * 3] ^= 0xFF
        opened = self.put(bytes(content))

        try:
            problems = opened.check()
        except errors.CatalogError as error:
            problems = [str(error)]

        self.assertTrue(problems)
