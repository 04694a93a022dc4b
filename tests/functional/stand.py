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

"""A place with volumes and a repository, and what must be true of it."""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
import pathlib
import random
import sqlite3
import tempfile
import unittest

from backupkit import api
from backupkit import catalog
from backupkit import model
from tests.functional import configuration

_MIB = 1024**2
#: Many small chunks and packs, so that there is much to be caught between.
_SMALL = 'chunk_size_bytes = 65536\npack_size_bytes = 1048576\n'


class Stand(unittest.TestCase):
    """Base class: the place; everything in it is asked through the API."""

    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.make_place(pathlib.Path(made.name).resolve())

    def make_place(self, root: pathlib.Path) -> None:
        """Make the directories and the configuration."""
        self.root = root
        self.volumes = root / 'volumes'
        configuration.write(root, _SMALL)

    def connect(self) -> api.Backupkit:
        """Return a new connection, as a process has it that starts now."""
        return api.connect([str(self.root / 'backupkit.conf')])

    def catalog(self) -> catalog.Catalog:
        """Return the catalog itself, for what the API does not show."""
        return catalog.open(f'sqlite:///{self.root}/catalog.sqlite')

    def fill(self, name: str, seed: int, size_bytes: int) -> str:
        """Make a volume of random data and return its digest."""
        source = random.Random(seed)
        (self.volumes / name).write_bytes(source.randbytes(size_bytes))
        return self.digest(name)

    def change(self, name: str, source: random.Random) -> str:
        """Write somewhere into a volume and return its new digest."""
        path = self.volumes / name
        length = source.randrange(100_000, 1_500_000)
        with path.open('r+b') as image:
            image.seek(source.randrange(path.stat().st_size - length))
            image.write(source.randbytes(length))
        return self.digest(name)

    def digest(self, name: str) -> str:
        with (self.volumes / name).open('rb') as image:
            return hashlib.file_digest(image, 'sha256').hexdigest()

    def good(self, kit: api.Backupkit) -> set[str]:
        """Return the ids of the backups that are listed as good."""
        return {
            row.backup_id
            for row in kit.list_backups()
            if row.status == model.BackupStatus.AVAILABLE
        }

    def restored(self, kit: api.Backupkit, backup_id: str) -> str:
        """Return the digest of a backup's content."""
        kit.restore_backup(backup_id, new='local:restored')
        digest = self.digest('restored')
        kit.delete_volume('local:restored')
        return digest

    def assert_verified(
        self, kit: api.Backupkit, backup_ids: set[str], *, full: bool
    ) -> None:
        for backup_id in sorted(backup_ids):
            report = kit.verify_backup(backup_id, full=full)
            self.assertEqual((), report.findings, backup_id)

    def assert_contents(
        self, kit: api.Backupkit, contents: Mapping[str, str]
    ) -> None:
        """Check that backups restore to what they were made of."""
        for backup_id, digest in contents.items():
            self.assertEqual(digest, self.restored(kit, backup_id), backup_id)

    def assert_sound(self, kit: api.Backupkit) -> None:
        """Check every byte of the repository."""
        report = kit.check_repository(read_data=True)
        self.assertEqual((), report.findings)
        self.assertGreater(report.bytes_read, 0)

    def assert_nothing_left(self, kit: api.Backupkit) -> None:
        """Check that nothing temporary is left anywhere."""
        self.assertEqual([], kit.list_runs())
        self.assertEqual([], self.catalog().ledger())
        self.assertEqual([], list((self.root / 'state/runs').iterdir()))
        for pattern in ('.tmp-*', '.backupkit-*'):
            found = [
                path
                for path in self.root.rglob(pattern)
                # A file system's own id is there to stay.
                if path.name != '.backupkit-storage'
            ]
            self.assertEqual([], found)
        with sqlite3.connect(self.root / 'catalog.sqlite') as database:
            rows = database.execute('select count(*) from logbooks')
            self.assertEqual((0,), rows.fetchone())
        database.close()
