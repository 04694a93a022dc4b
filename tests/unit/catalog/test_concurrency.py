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

"""Many processes, and many threads, on one catalog."""

from __future__ import annotations

from collections.abc import Callable
import functools
import multiprocessing
from multiprocessing import synchronize
import os
import threading
from typing import Any
import uuid

import sqlalchemy as sa

from backupkit import catalog
from backupkit import errors
from backupkit import model
from tests.unit.catalog import base
from tests.unit.catalog import processes

_WRITERS = 8


def _barrier(parties: int) -> synchronize.Barrier:
    return multiprocessing.get_context('fork').Barrier(parties)


class OpenTest(base.CatalogTestCase):
    def test_when_eight_processes_make_it_then_it_is_one_catalog(
        self,
    ) -> None:
        start = _barrier(_WRITERS)

        def use() -> tuple[str, int]:
            opened = self.open()
            start.wait()
            number = opened.register_run('check').number
            return opened.catalog_id, number

        answers = processes.together([use] * _WRITERS)

        self.assertEqual(1, len({identity for identity, _ in answers}))
        self.assertEqual(
            list(range(1, _WRITERS + 1)),
            sorted(number for _, number in answers),
        )
        self.assertLessEqual(
            set(os.listdir(self.directory)),
            {'catalog.sqlite', 'catalog.sqlite-journal'},
        )


class ExclusionTest(base.CatalogTestCase):
    def test_when_eight_want_one_volume_then_one_has_it(self) -> None:
        rounds = 12
        self.catalog.runs()
        start, end = _barrier(_WRITERS), _barrier(_WRITERS)

        def compete(kind: str) -> list[bool]:
            opened = self.open()
            won = []
            for _ in range(rounds):
                start.wait()
                try:
                    run = opened.register_run(
                        kind, backend='local', volume_id='v'
                    )
                except errors.Conflict:
                    run = None
                won.append(run is not None)
                end.wait()
                if run is not None:
                    opened.finish_run(run.run_id, 'done')
            return won

        answers = processes.together(
            [
                functools.partial(compete, ('backup', 'restore')[number % 2])
                for number in range(_WRITERS)
            ]
        )

        for outcomes in zip(*answers, strict=True):
            self.assertEqual(1, sum(outcomes))
        self.assertEqual([], self.catalog.runs(live_only=True))


class CommitTest(base.CatalogTestCase):
    """The committer and the aborter of one run, as flows and targets are.

    Where a manifest would be put, a file is made that must not be there:
    the committer's manifest or the aborter's tombstone.
    """

    def _put(self, run: catalog.Run, content: str) -> bool:
        path = os.path.join(self.directory, str(run.backup_id))
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        os.write(file, content.encode())
        os.close(file)
        return True

    def _commit(self, run: catalog.Run, opened: catalog.Catalog) -> str:
        try:
            opened.begin_commit(run.run_id)
        except errors.RunAborted:
            return 'refused'
        if not self._put(run, 'manifest'):
            return 'too late'
        opened.finish_backup(run.run_id, base.summarized(run))
        return 'committed'

    def _abort(self, run: catalog.Run, opened: catalog.Catalog) -> str:
        try:
            opened.abort_run(run.run_id)
        except errors.Conflict:
            return 'too late'
        if not self._put(run, 'tombstone'):
            opened.finish_backup(run.run_id, base.summarized(run))
            return 'found it'
        opened.finish_run(run.run_id, 'aborted', 'by the operator')
        return 'aborted'

    def test_when_commit_and_abort_race_then_exactly_one_wins(self) -> None:
        runs = [self.begin() for _ in range(60)]
        start = _barrier(2)

        def work(
            step: Callable[[catalog.Run, catalog.Catalog], str],
        ) -> list[str]:
            opened = self.open()
            outcomes = []
            for run in runs:
                start.wait()
                outcomes.append(step(run, opened))
            return outcomes

        committed, aborted = processes.together(
            [
                functools.partial(work, self._commit),
                functools.partial(work, self._abort),
            ]
        )

        for run, one, other in zip(runs, committed, aborted, strict=True):
            self.assertIn(
                (one, other),
                {
                    ('refused', 'aborted'),
                    ('too late', 'aborted'),
                    ('committed', 'too late'),
                    ('committed', 'found it'),
                },
            )
            self._assert_told(run, 'done' if one == 'committed' else 'aborted')

    def _assert_told(self, run: catalog.Run, state: str) -> None:
        ended = self.catalog.run(run.run_id)
        self.assertEqual(state, ended.state)
        self.assertFalse(ended.live)
        path = os.path.join(self.directory, str(run.backup_id))
        with open(path, encoding='ascii') as file:
            manifest = file.read() == 'manifest'
        self.assertEqual(state == 'done', manifest)
        self.assertEqual(
            model.BackupStatus.AVAILABLE
            if manifest
            else model.BackupStatus.ERROR,
            self.catalog.backup(str(run.backup_id)).status,
        )


class CollectionTest(base.CatalogTestCase):
    """Eight writers that reuse packs, and a collection that deletes them."""

    _PACKS = tuple(f'pack-{number}' for number in range(6))
    _ROUNDS = 6

    def _write(self, start: synchronize.Barrier) -> list[tuple[Any, ...]]:
        opened = self.open()
        start.wait()
        written = []
        for _ in range(self._ROUNDS):
            backup_id = str(uuid.uuid4())
            run = opened.register_run(
                'backup',
                backup_id=backup_id,
                backend='local',
                volume_id=backup_id,
                repository_id=base.REPOSITORY,
            )
            condemned = opened.condemned(base.REPOSITORY)
            reused = [name for name in self._PACKS if name not in condemned]
            opened.add_backup(
                catalog.BackupRow(
                    backup_id,
                    'local',
                    backup_id,
                    repository_id=base.REPOSITORY,
                )
            )
            opened.begin_commit(run.run_id)
            opened.finish_backup(run.run_id, base.summarized(run))
            written.append((run.number, reused))
        return written

    def _collect(self, start: synchronize.Barrier) -> dict[str, Any]:
        opened = self.open()
        start.wait()
        found = {}
        for name in self._PACKS:
            run = opened.register_run('gc', repository_id=base.REPOSITORY)
            opened.condemn(base.REPOSITORY, [name])
            opened.set_barrier(base.REPOSITORY, opened.last_run())
            barrier = opened.condemned(base.REPOSITORY)[name]
            while opened.live(base.REPOSITORY, upto=barrier):
                pass
            # Here it would delete the pack: who finishes later may not
            # have reused it.
            unfinished = {live.number for live in opened.runs(live_only=True)}
            found[name] = (barrier, unfinished)
            opened.finish_run(run.run_id, 'done')
        return found

    def test_when_packs_are_collected_then_nobody_reuses_them(self) -> None:
        self.catalog.runs()
        start = _barrier(_WRITERS + 1)
        tasks: list[Callable[[], Any]] = [
            functools.partial(self._write, start) for _ in range(_WRITERS)
        ]

        *writers, deleted = processes.together(
            [*tasks, functools.partial(self._collect, start)]
        )

        written = [row for rows in writers for row in rows]
        numbers = [number for number, _ in written]
        self.assertEqual(_WRITERS * self._ROUNDS, len(set(numbers)))
        for name, (barrier, unfinished) in deleted.items():
            for number, reused in written:
                if name in reused:
                    self.assertLessEqual(number, barrier)
                    self.assertNotIn(number, unfinished)
        self.assertEqual(
            _WRITERS * self._ROUNDS,
            len(self.catalog.committed(base.REPOSITORY)),
        )
        self.assertEqual([], self.catalog.check())


class ThreadsTest(base.FileTestCase):
    """Threads of one process, on the catalog and on engines beside it."""

    _COUNT = 25
    _TABLE = sa.Table(
        'foreign_things', sa.MetaData(), sa.Column('thing', sa.Integer)
    )

    def setUp(self) -> None:
        super().setUp()
        self.catalog = self.open()
        self.catalog.runs()
        self.other = sa.create_engine(
            self.url, poolclass=sa.NullPool, connect_args={'timeout': 30}
        )
        self._TABLE.create(self.other)
        self.failures: list[BaseException] = []

    def _use_catalog(self) -> None:
        name = str(uuid.uuid4())
        for number in range(self._COUNT):
            self.catalog.ledger_add(name, 'mount', str(number), {})
            self.catalog.ledger(name)

    def _use_other(self) -> None:
        for number in range(self._COUNT):
            with self.other.begin() as connection:
                connection.execute(sa.insert(self._TABLE).values(thing=number))
                connection.execute(sa.select(self._TABLE)).all()

    def _use_engine(self) -> None:
        for number in range(self._COUNT):
            with self.catalog.engine.begin() as connection:
                connection.execute(sa.select(self._TABLE)).all()
                connection.execute(sa.insert(self._TABLE).values(thing=number))

    def _guarded(self, use: Callable[[], None]) -> None:
        try:
            use()
        except BaseException as error:  # noqa: BLE001 the test shows it
            self.failures.append(error)

    def test_when_threads_and_another_engine_write_then_all_is_kept(
        self,
    ) -> None:
        uses = [self._use_catalog, self._use_other, self._use_engine] * 2
        threads = [
            threading.Thread(target=self._guarded, args=(use,)) for use in uses
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual([], self.failures)
        self.assertEqual(2 * self._COUNT, len(self.catalog.ledger()))
        with self.other.connect() as connection:
            things = connection.execute(sa.select(self._TABLE)).all()
        self.assertEqual(4 * self._COUNT, len(things))
        self.assertEqual([], self.catalog.check())
