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


"""What the tests of flows and API stand on: a kit with drivers in memory."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import tempfile
from typing import Any
import unittest
from unittest import mock
import uuid

from backupkit import api
from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import environment as environment_
from backupkit.flows.tasks import step
from backupkit import model
from backupkit.repository import target as repository_target
from backupkit.testing.memory import array as array_
from backupkit.testing.memory import store as store_
from backupkit.testing.memory import volume as memory_volume

MIB = 1 << 20

CONFIGURATION = """
[DEFAULT]
enabled_backends = local
enabled_targets = repo
state_path = {directory}/state
[backend:local]
driver = memory
array = {name}
[target:repo]
driver = memory
medium = {name}-medium
chunk_size_bytes = 65536
pack_size_bytes = 1048576
"""

#: Volumes and their contents.
CONTENT = b'one' * 100_000


def scratch(test: unittest.TestCase) -> pathlib.Path:
    """Return a new directory, in memory where there is such a place."""
    parent = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    path = tempfile.mkdtemp(prefix='backupkit-', dir=parent)
    test.addCleanup(shutil.rmtree, path)
    return pathlib.Path(path)


class KitTestCase(unittest.TestCase):
    """A test of a whole backupkit with one backend and one target."""

    configuration = CONFIGURATION

    def setUp(self) -> None:
        super().setUp()
        self.directory = scratch(self)
        self.name = uuid.uuid4().hex
        self.kit = self.connect()
        # Tests look behind the API, to tell what is left.
        self.session = self.kit._session
        self.addCleanup(store_.discard, f'{self.name}-medium')

    def connect(self) -> api.Backupkit:
        """Return a kit as another process would make it."""
        path = self.directory / 'backupkit.conf'
        path.write_text(
            self.configuration.format(directory=self.directory, name=self.name)
        )
        kit = api.connect([str(path)])
        self.addCleanup(kit.close)
        return kit

    @property
    def catalog(self) -> catalog_.Catalog:
        """The kit's catalog."""
        return self.session.catalog

    @property
    def driver(self) -> volume_.VolumeDriver:
        """The kit's volume driver."""
        return self.session.volume_driver('local')

    @property
    def target(self) -> target_.Target:
        """The kit's target."""
        return self.session.target('repo')

    @property
    def array(self) -> array_.Array:
        """What is behind the volume driver."""
        return array_.array(self.name)

    @property
    def medium(self) -> store_.Medium:
        """What is behind the target."""
        return store_.medium(f'{self.name}-medium')

    def environment(self) -> environment_.Environment:
        """Return an environment of the kit's drivers."""
        return self.session.environment()

    def make_volume(self, volume_id: str = 'v', size_bytes: int = MIB) -> None:
        """Make a volume with some content in it."""
        self.kit.create_volume(f'local:{volume_id}', size_bytes)
        self.write(CONTENT[:size_bytes], volume_id)

    def write(
        self, data: bytes, volume_id: str = 'v', offset: int = 0
    ) -> None:
        """Write to a volume."""
        with self.opened(volume_id) as path, open(path, 'r+b') as file:
            file.seek(offset)
            file.write(data)

    def read(self, volume_id: str = 'v') -> bytes:
        """Return all of a volume."""
        attachment = self.driver.attach(volume_id, None)
        try:
            return pathlib.Path(attachment.path).read_bytes()
        finally:
            self.driver.detach(attachment)

    @contextlib.contextmanager
    def opened(self, volume_id: str = 'v') -> Iterator[str]:
        """Have a volume open for writing."""
        attachment = self.driver.attach_volume(volume_id)
        try:
            yield attachment.path
        finally:
            self.driver.detach(attachment)

    def without(self, *names: str) -> None:
        """Take capabilities from the volume driver."""
        patcher = mock.patch.object(
            type(self.driver),
            'capabilities',
            _less(type(self.driver).capabilities, names),
        )
        patcher.start()
        self.addCleanup(patcher.stop)

    def packs(self) -> list[str]:
        """Return the names of the packs that the target holds."""
        return [name for name in self.medium.objects if '/packs/' in name]

    def rows_of_flows(self) -> int:
        """Return how many rows TaskFlow has in the database."""
        engine = self.catalog.engine
        with engine.begin() as connection:
            tables = [
                name
                for name in ('logbooks', 'flowdetails', 'atomdetails')
                if engine.dialect.has_table(connection, name)
            ]
            return sum(
                connection.exec_driver_sql(
                    f'SELECT count(*) FROM {table}'
                ).scalar_one()
                for table in tables
            )

    def locks(self) -> list[str]:
        """Return the lock files of runs."""
        directory = self.directory / 'state' / 'runs'
        return sorted(os.listdir(directory)) if directory.exists() else []

    def temporary(self) -> list[catalog_.LedgerEntry]:
        """Return what the ledger names that is not kept on purpose."""
        return [entry for entry in self.catalog.ledger() if not entry.retained]

    def assert_nothing_left(self) -> None:
        """Assert that nothing temporary is left, and nothing names it."""
        self.assertEqual({}, self.array.opened)
        self.assertEqual({}, self.array.snapshots)
        self.assertEqual([], self.temporary())
        self.assertEqual([], self.kit.list_runs())
        self.assertEqual(0, self.rows_of_flows())
        self.assertEqual([], self.locks())

    def last_row(self) -> catalog_.BackupRow:
        """Return the record of the backup that was begun last."""
        rows = self.catalog.backups()
        return max(rows, key=lambda row: row.run_number)

    def only_run(self) -> catalog_.Run:
        """Return the one live run."""
        (run,) = self.kit.list_runs()
        return run

    def patch(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace an attribute for the rest of this test."""
        patcher = mock.patch.object(owner, name, replacement)
        patcher.start()
        self.addCleanup(patcher.stop)

    @contextlib.contextmanager
    def stopping_at(self, name: str, error: BaseException) -> Iterator[None]:
        """Let a step raise before it begins."""
        before = step.Step.pre_execute

        def pre_execute(task: step.Step) -> None:
            before(task)
            if task.name == name:
                raise error

        with mock.patch.object(step.Step, 'pre_execute', pre_execute):
            yield

    @contextlib.contextmanager
    def breaking(
        self,
        method: str,
        error: BaseException | None = None,
        *,
        after: bool = False,
    ) -> Iterator[None]:
        """Let a method of volume driver or target raise.

        :param after: when it has done what it does
        """
        cls: Any = memory_volume.MemoryVolumeDriver
        if not hasattr(cls, method) or method in ('delete', 'check'):
            cls = repository_target.RepositoryTarget
        call = getattr(cls, method)

        @functools.wraps(call)
        def fail(*args: Any, **kwargs: Any) -> Any:
            if after:
                call(*args, **kwargs)
            raise error or FAULT

        with mock.patch.object(cls, method, fail):
            yield


def _less(able: Any, names: tuple[str, ...]) -> Any:
    return dataclasses.replace(able, **dict.fromkeys(names, False))


#: An error that stands for any other.
FAULT = errors.SourceError('a fault was injected')
REF = model.VolumeRef('local', 'v')
