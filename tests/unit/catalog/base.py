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

"""What the tests of the catalog stand on: a scratch database."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any
import unittest
import uuid

import sqlalchemy as sa

from backupkit import catalog
from backupkit.catalog import schema
from backupkit import model

#: Names another database for the tests that are not about SQLite's file.
#: All its tables are dropped.
URL_VARIABLE = 'BACKUPKIT_TEST_CATALOG'

REPOSITORY = 'a0000000-0000-4000-8000-000000000001'


def scratch(test: unittest.TestCase) -> str:
    """Return a new directory, in memory where there is such a place.

    What is tested syncs thousands of times.
    """
    parent = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    path = tempfile.mkdtemp(prefix='catalog-', dir=parent)
    test.addCleanup(shutil.rmtree, path)
    # A test may have taken the right to write there away, or never gave it.
    test.addCleanup(os.chmod, path, 0o755)
    os.chmod(path, 0o755)
    return path


def empty(url: str) -> None:
    """Drop every table that a server's database holds."""
    engine = sa.create_engine(url)
    found = sa.MetaData()
    found.reflect(engine)
    found.drop_all(engine)
    engine.dispose()


class FileTestCase(unittest.TestCase):
    """A test of a catalog in an SQLite file that is not there yet."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = scratch(self)
        self.path = os.path.join(self.directory, 'catalog.sqlite')
        self.url = f'sqlite:///{self.path}'

    def open(self) -> catalog.Catalog:
        """Open the catalog anew, as another process would."""
        opened = catalog.open(self.url)
        self.addCleanup(opened.close)
        return opened


class CatalogTestCase(FileTestCase):
    """A test of an empty catalog in the database of the test run."""

    def setUp(self) -> None:
        super().setUp()
        other = os.environ.get(URL_VARIABLE)
        if other:
            empty(other)
            self.url = other
        self.catalog = self.open()

    def execute(self, statement: Any) -> None:
        """Change the database behind the catalog's back."""
        with self.catalog.engine.begin() as connection:
            connection.execute(statement)

    def register(self, kind: str = 'backup', **fields: Any) -> catalog.Run:
        """Register a run, by default a backup of a volume of its own."""
        backup_id = str(uuid.uuid4())
        return self.catalog.register_run(
            kind,
            **{
                'backup_id': backup_id,
                'backend': 'local',
                'volume_id': backup_id,
                'target': 'repo',
                'repository_id': REPOSITORY,
                **fields,
            },
        )

    def begin(self, **fields: Any) -> catalog.Run:
        """Register the run of a backup and record the backup."""
        run = self.register(**fields)
        assert run.backup_id is not None
        self.catalog.add_backup(
            catalog.BackupRow(
                run.backup_id,
                run.backend,
                run.volume_id,
                target=run.target,
                repository_id=run.repository_id,
                created_at='2026-11-21T09:00:00+00:00',
                run_number=run.number,
            )
        )
        return run

    def commit(self, run: catalog.Run, **fields: Any) -> model.BackupSummary:
        """Commit a backup that was begun; return its summary."""
        summary = summarized(run, **fields)
        self.catalog.begin_commit(run.run_id)
        self.catalog.finish_backup(run.run_id, summary)
        return summary

    def put_state(self, run: catalog.Run, state: str) -> None:
        """Put a run into a state, however it would come there."""
        ended = state in ('done', 'failed')
        self.execute(
            sa.update(schema.RUNS)
            .where(schema.RUNS.c.run_id == run.run_id)
            .values(
                state=state, finished_at='2026-11-21T10:00' if ended else ''
            )
        )

    def put_status(self, backup_id: str | None, status: str) -> None:
        """Put a backup into a status, however it would come there."""
        self.execute(
            sa.update(schema.BACKUPS)
            .where(schema.BACKUPS.c.backup_id == backup_id)
            .values(status=status)
        )


def summarized(run: catalog.Run, **fields: Any) -> model.BackupSummary:
    """Return what a target could tell of the backup of a run."""
    assert run.backup_id is not None
    return model.BackupSummary(
        **{
            'backup_id': run.backup_id,
            'backend': run.backend,
            'volume_id': run.volume_id,
            'size_bytes': 1 << 46,
            'kind': model.BackupKind.INCREMENTAL,
            'name': 'nightly',
            'parent_id': 'the-parent',
            'created_at': '2026-11-21T09:00:00+00:00',
            'volume_generation': 'g1',
            'data_bytes': 5,
            'read_bytes': 4,
            'changed_bytes': 3,
            'stored_bytes': 2,
            'consistent': False,
            'content': 'volume',
            'sequence': 7,
            'service_metadata': 'backups/aa/bb/x/',
            'repository_id': run.repository_id,
            **fields,
        }
    )
