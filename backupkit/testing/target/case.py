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


"""What the tests of a target are given."""

from __future__ import annotations

import tempfile

from backupkit.drivers import capability
from backupkit.drivers import target
from backupkit import errors
from backupkit.repository import target as repository_target
from backupkit.testing import cycle as cycle_
from backupkit.testing import plain
from backupkit.testing import suite

#: Size of most volumes: some chunks of most chunk sizes, and a rest.
SIZE = 1_500_123


class TargetCase(suite.Suite):
    """Makes targets and volumes, and drives the one with the other."""

    def make_target(self) -> target.Target:
        """Return the target under test. The hook of the suite.

        The first call in a test configures an empty place; further calls
        return another object for the same place, as another process has it.
        """
        raise NotImplementedError('a suite needs its hook make_target')

    def make_source(self) -> str:
        """Return a directory for volumes that are files. A hook.

        One on the file system of the target lets a ``transfer`` by the
        storage itself be tested. By default it is a temporary one.
        """
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        return holder.name

    def setUp(self) -> None:
        """Make the target and a catalog of its own."""
        super().setUp()
        self.target = self.make_target()
        self.cycle = cycle_.Cycle(self.target)

    @property
    def effective(self) -> capability.TargetCapabilities:
        """What the target can do here."""
        return self.target.check()

    def make_volume(
        self, size: int = SIZE, volume_id: str = 'plain'
    ) -> plain.PlainVolume:
        """Return a volume of random bytes, with a hole in its middle."""
        data = bytearray(self.random.randbytes(size))
        data[size // 3 : size // 2] = bytes(size // 2 - size // 3)
        return plain.PlainVolume(bytes(data), volume_id)

    def change(self, volume: plain.PlainVolume, count: int = 3) -> None:
        """Change some ranges of a volume."""
        for _ in range(count):
            length = self.random.randrange(1, 20_000)
            offset = self.random.randrange(len(volume.data) - length)
            volume.data[offset : offset + length] = self.random.randbytes(
                length
            )

    def assert_restores(self, backup_id: str, expected: bytes) -> None:
        """Assert that a backup restores whole, and every byte right."""
        writer = plain.PlainWriter(len(expected), expected)
        summary = self.cycle.restore(backup_id, writer)
        self.assertEqual(backup_id, summary.backup_id)
        self.assertEqual(len(expected), summary.size_bytes)
        self.assertEqual(
            [(0, len(expected))] if expected else [], writer.ranges()
        )
        self.assert_bytes(expected, writer.data, f'backup {backup_id}')
        self.assertTrue(writer.finished)

    def assert_all_restore(self, volume: plain.PlainVolume) -> None:
        """Assert that every backup of a volume is there and good."""
        listed = self.cycle.listed()
        for backup_id, expected in volume.history.items():
            if self.store_is_complete:
                self.assertIn(backup_id, listed)
            self.assert_restores(backup_id, expected)
            self.assertEqual((), self.cycle.verify(backup_id).findings)

    def assert_absent(self, backup_id: str) -> None:
        """Assert that a backup does not exist, wherever one asks."""
        with self.assertRaises(errors.NotFound):
            self.target.show(backup_id)
        with self.assertRaises(errors.NotFound):
            self.cycle.restore(backup_id, plain.PlainWriter(SIZE))
        self.assertNotIn(backup_id, self.cycle.listed())

    @property
    def store_is_complete(self) -> bool:
        """Whether a listing shows every backup at once."""
        effective = self.effective
        return effective.store.list_complete or not effective.repository

    @property
    def lends_backups(self) -> bool:
        """Whether the target overrides ``open_backup``."""
        return type(self.target).open_backup is not target.Target.open_backup

    def repository(self) -> repository_target.RepositoryTarget | None:
        """Return the target where it keeps a repository."""
        if isinstance(self.target, repository_target.RepositoryTarget):
            return self.target
        return None

    def objects(self) -> set[str]:
        """Return the names of all objects of the target's repository."""
        repository = self.repository()
        if repository is None:
            return set()
        with repository.open() as opened:
            return {found.name for found in opened.list()}
