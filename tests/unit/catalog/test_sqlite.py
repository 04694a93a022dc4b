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

"""How the catalog's file comes to be, and what stands in the way."""

from __future__ import annotations

from collections.abc import Callable
import os
import resource
import shutil
import socket
import sqlite3
import stat

import sqlalchemy as sa

from backupkit import catalog
from backupkit import errors
from tests.unit.catalog import base
from tests.unit.catalog import processes


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


class MakeTest(base.FileTestCase):
    def test_when_opened_then_nothing_is_touched(self) -> None:
        self.open()

        self.assertEqual([], os.listdir(self.directory))

    def test_when_first_used_then_the_file_is_there_and_nothing_else(
        self,
    ) -> None:
        self.assertEqual([], self.open().backups())

        self.assertEqual(['catalog.sqlite'], os.listdir(self.directory))

    def test_when_made_then_no_umask_changes_its_mode(self) -> None:
        for umask in (0o000, 0o022, 0o077):
            with self.subTest(umask=oct(umask)):
                parent = os.path.join(self.directory, str(umask))
                path = os.path.join(parent, 'deep', 'catalog.sqlite')
                before = os.umask(umask)
                try:
                    opened = catalog.open(f'sqlite:///{path}')
                    opened.register_run('gc')
                finally:
                    os.umask(before)
                self.assertEqual(
                    [0o770, 0o770, 0o660, 0o660],
                    [
                        _mode(name)
                        for name in (
                            parent,
                            os.path.dirname(path),
                            path,
                            f'{path}-journal',
                        )
                    ],
                )

    def test_when_names_are_strange_then_they_are_taken_as_they_are(
        self,
    ) -> None:
        for name in ('a b', 'a#b', 'a%20b', 'ä', '-x', ':x'):
            with self.subTest(name=name):
                directory = os.path.join(self.directory, name)
                url = sa.URL.create(
                    'sqlite', database=os.path.join(directory, name)
                ).render_as_string()
                catalog.open(url).backups()
                self.assertEqual([name], os.listdir(directory))

    def test_when_it_was_made_then_a_relative_path_stays_where_it_was(
        self,
    ) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.directory)
        opened = catalog.open('sqlite:///catalog.sqlite')
        os.chdir(before)

        opened.backups()

        self.assertTrue(os.path.exists(self.path))

    def test_when_a_url_names_no_file_then_it_is_refused(self) -> None:
        for url in (
            'sqlite://',
            'sqlite:///:memory:',
            'sqlite:///file:x?mode=memory&uri=true',
            f'{self.url}?timeout=5',
            'catalog.sqlite',
            '',
        ):
            with (
                self.subTest(url=url),
                self.assertRaisesRegex(
                    errors.ConfigurationError, r'\[catalog\] connection'
                ),
            ):
                catalog.open(url)

    def test_when_the_file_goes_away_then_it_does_not_come_back_empty(
        self,
    ) -> None:
        opened = self.open()
        opened.backups()
        os.unlink(self.path)

        with self.assertRaisesRegex(
            errors.CatalogError, f'{self.path}: it is not there any more'
        ):
            opened.backups()

        self.assertEqual([], os.listdir(self.directory))

    def test_when_an_old_journal_is_left_then_no_new_file_is_made(
        self,
    ) -> None:
        for suffix in ('-journal', '-wal'):
            with self.subTest(suffix=suffix):
                left = self.path + suffix
                with open(left, 'wb') as file:
                    file.write(b'x' * 512)
                with self.assertRaisesRegex(errors.CatalogError, left):
                    self.open().backups()
                os.unlink(left)
        with open(f'{self.path}-journal', 'wb'):
            pass

        self.assertEqual([], self.open().backups())


class WayTest(base.FileTestCase):
    """Something stands where the file should be, or keeps it away."""

    def _assert_refused(
        self, pattern: str, use: Callable[[catalog.Catalog], object]
    ) -> None:
        def attempt() -> str:
            opened = catalog.open(self.url)
            with self.assertRaises(errors.CatalogError) as caught:
                use(opened)
            return str(caught.exception)

        text = processes.unprivileged(attempt)
        self.assertIn(self.path, text)
        self.assertRegex(text, pattern)

    def _made(self) -> catalog.Catalog:
        opened = self.open()
        opened.register_run('gc')
        return opened

    def test_when_it_is_a_directory_then_the_error_says_so(self) -> None:
        os.mkdir(self.path)

        self._assert_refused('is a directory', lambda c: c.backups())

    def test_when_it_is_no_file_then_nobody_waits_for_it(self) -> None:
        for make in (self._make_fifo, self._make_socket):
            make()
            self._assert_refused('is no file', lambda c: c.backups())
            os.unlink(self.path)

    def _make_fifo(self) -> None:
        os.mkfifo(self.path)

    def _make_socket(self) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)

    def test_when_a_link_leads_nowhere_then_it_is_not_followed(self) -> None:
        os.symlink(os.path.join(self.directory, 'gone'), self.path)
        os.chmod(self.directory, 0o777)

        self._assert_refused('is not there', lambda c: c.backups())

        self.assertEqual(['catalog.sqlite'], os.listdir(self.directory))

    def test_when_a_link_leads_to_it_then_it_is_used(self) -> None:
        run = self._made().register_run('check')
        link = os.path.join(self.directory, 'link')
        os.symlink(self.path, link)

        found = catalog.open(f'sqlite:///{link}').run(run.run_id)

        self.assertEqual(run, found)

    def test_when_it_cannot_be_read_then_the_error_says_so(self) -> None:
        self._made()
        os.chmod(self.path, 0)

        self._assert_refused('cannot be read: permit', lambda c: c.backups())

    def test_when_it_cannot_be_written_then_it_can_be_read(self) -> None:
        self._made()
        os.chmod(self.path, 0o444)

        def read() -> int:
            return len(catalog.open(self.url).runs())

        self.assertEqual(1, processes.unprivileged(read))
        self._assert_refused(
            'is read-only: permit', lambda c: c.register_run('gc')
        )

    def test_when_its_directory_cannot_be_written_then_the_error_says_so(
        self,
    ) -> None:
        self._made()
        os.unlink(f'{self.path}-journal')
        os.chmod(self.path, 0o666)
        os.chmod(self.directory, 0o555)

        self._assert_refused(
            'write its directory', lambda c: c.register_run('gc')
        )

    def test_when_it_cannot_be_made_then_the_error_says_so(self) -> None:
        os.chmod(self.directory, 0o555)

        self._assert_refused('Permission denied', lambda c: c.backups())

    def test_when_a_parent_is_a_file_then_the_error_says_so(self) -> None:
        parent = os.path.join(self.directory, 'file')
        with open(parent, 'wb'):
            pass
        self.path = os.path.join(parent, 'catalog.sqlite')
        self.url = f'sqlite:///{self.path}'

        self._assert_refused('look after its directory', lambda c: c.runs())


class BusyTest(base.FileTestCase):
    def test_when_another_process_writes_too_long_then_it_is_told(
        self,
    ) -> None:
        self.open().backups()
        impatient = catalog.open(self.url, busy_seconds=0)
        writer = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(writer.close)
        writer.execute('BEGIN IMMEDIATE')

        with self.assertRaisesRegex(
            errors.CatalogError, f'{self.path} was held by another process'
        ):
            impatient.register_run('gc')

        self.assertEqual([], impatient.runs())
        writer.execute('ROLLBACK')
        self.assertEqual(1, impatient.register_run('gc').number)


class SpaceTest(base.FileTestCase):
    """The file system, or a limit, lets the file not grow."""

    def _limit_pages(self, opened: catalog.Catalog, pages: int) -> None:
        def limit(connection: sqlite3.Connection, record: object) -> None:
            connection.execute(f'PRAGMA max_page_count={pages}')

        sa.event.listen(opened.engine, 'connect', limit)

    def test_when_it_is_full_then_nothing_is_half_done(self) -> None:
        opened = self.open()
        run = opened.register_run('gc')
        self._limit_pages(opened, os.path.getsize(self.path) // 4096 + 2)
        packs = [f'pack-{number:06d}' for number in range(2000)]

        with self.assertRaisesRegex(
            errors.CatalogFull, f'{self.path} cannot grow.*make space'
        ):
            opened.condemn('r', packs)

        again = self.open()
        self.assertEqual({}, again.condemned('r'))
        self.assertEqual([run], again.runs())
        self.assertEqual([], again.check())
        again.condemn('r', packs)
        self.assertEqual(2000, len(again.condemned('r')))

    def test_when_a_write_fails_then_nothing_is_half_done(self) -> None:
        opened = self.open()
        run = opened.register_run('gc')
        size = os.path.getsize(self.path)

        def write() -> str:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            with self.assertRaises(errors.CatalogError) as caught:
                opened.condemn('r', [f'{n:0200d}' for n in range(2000)])
            return str(caught.exception)

        text = processes.apart(write)

        self.assertRegex(text, f'{self.path}: .*disk and quota')
        self.assertEqual([run], opened.runs())
        self.assertEqual({}, opened.condemned('r'))
        self.assertEqual([], opened.check())

    def test_when_it_cannot_be_made_whole_then_it_is_not_made(self) -> None:
        def make() -> str:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
            with self.assertRaises(errors.CatalogError) as caught:
                self.open().backups()
            return str(caught.exception)

        self.assertIn(self.path, processes.apart(make))

        self.assertEqual([], os.listdir(self.directory))
        self.assertEqual([], self.open().backups())


class CrashTest(base.FileTestCase):
    def test_when_killed_in_a_write_then_the_journal_undoes_it(self) -> None:
        opened = self.open()
        run = opened.register_run('gc')

        def write(acknowledge: Callable[[object], None]) -> None:
            def packs() -> object:
                # More than SQLite caches: some of it is in the file by now.
                for number in range(40_000):
                    yield f'{number:0200d}'
                acknowledge(os.path.getsize(self.path))
                os.read(os.pipe()[0], 1)

            opened.condemn('r', packs())  # type: ignore[arg-type] # a generator

        size = os.path.getsize(self.path)
        (grown,) = processes.killed_after(1, write)
        self.assertGreater(grown, size)
        self.assertTrue(os.path.getsize(f'{self.path}-journal'))
        copy = f'{self.path}.copy'
        shutil.copy(self.path, copy)

        again = self.open()

        self.assertEqual([run], again.runs())
        self.assertEqual({}, again.condemned('r'))
        self.assertEqual([], again.check())
        self.assertEqual(size, os.path.getsize(self.path))

    def test_when_killed_again_and_again_then_nothing_told_is_lost(
        self,
    ) -> None:
        opened = self.open()
        told = []

        def write(acknowledge: Callable[[object], None]) -> None:
            number = 0
            while True:
                number += 1
                acknowledge(
                    opened.ledger_add(
                        f'run-{os.getpid()}', 'mount', f'{number}', {}
                    )
                )

        for count in range(1, 11):
            told += processes.killed_after(count * 3, write)
            left = {entry.entry_id for entry in opened.ledger()}
            self.assertLessEqual(set(told), left)
        self.assertEqual(len(told), len(set(told)))
        self.assertEqual([], opened.check())
