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

"""Images in the store of a repository, and what may be wrong with them."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any
import unittest

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import layout
from backupkit.repository import target as repository_target
from backupkit.testing import cycle
from backupkit.testing import filed
from backupkit.testing import plain
from backupkit.testing import sections

_CHUNK = 16384


class FilesTest(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name, 'repository')
        self.cycle = cycle.Cycle(self.load())
        self.volume = plain.PlainVolume(
            b'data' * 30_000 + bytes(200_000) + b'end'
        )

    def load(self, **more: Any) -> repository_target.RepositoryTarget:
        """Load the target; by default it keeps new backups as images."""
        loaded = sections.load_target(
            'posix',
            **{
                'backup_posix_path': str(self.root),
                'chunk_size_bytes': _CHUNK,
                'pack_size_bytes': 131072,
                'layout': 'image',
                **more,
            },
        )
        assert isinstance(loaded, repository_target.RepositoryTarget)
        return loaded

    def path(self, backup_id: str, name: str) -> pathlib.Path:
        """Return the path of the one file of a backup of this kind."""
        base = self.root / layout.base(backup_id)
        (path,) = base.glob(f'{name}-*')
        return path

    def files(self, backup_id: str) -> list[str]:
        """Return the names of all files of a backup."""
        base = self.root / layout.base(backup_id)
        return sorted(path.name for path in base.glob('[it]*-*'))

    def problems(self, backup_id: str) -> list[str]:
        """Return what a verify of all finds."""
        report = self.cycle.verify(backup_id)
        for finding in report.findings:
            self.assertEqual((backup_id,), finding.backup_ids)
        return [finding.problem for finding in report.findings]

    def assert_restores(self, backup_id: str) -> None:
        expected = self.volume.history[backup_id]
        writer = plain.PlainWriter(len(expected), expected)
        self.cycle.restore(backup_id, writer)
        self.assertEqual(expected, bytes(writer.data))

    def test_image_when_made_then_is_the_volume_with_holes(self) -> None:
        summary = self.cycle.backup(self.volume)
        self.assertEqual(
            layout.base(summary.backup_id), summary.service_metadata
        )
        image = self.path(summary.backup_id, 'image')
        self.assertEqual(bytes(self.volume.data), image.read_bytes())
        self.assertLess(image.stat().st_blocks * 512, 200_000)
        self.assertEqual(0o660, image.stat().st_mode & 0o777)
        self.assertEqual(
            0o660,
            self.path(summary.backup_id, 'tree').stat().st_mode & 0o777,
        )

    def test_image_when_deleted_then_its_space_is_free_at_once(self) -> None:
        made = self.cycle.backup(self.volume).backup_id
        self.cycle.delete(made)
        self.assertEqual([], list(self.root.glob('backups/*/*/*/*')))

    def test_target_when_throttled_then_reads_images_as_objects(self) -> None:
        made = self.cycle.backup(self.volume).backup_id
        self.cycle.target = self.load(max_bytes_per_second=1 << 30)
        self.assert_restores(made)
        self.assertEqual([], self.problems(made))
        image = self.path(made, 'image')
        with image.open('r+b') as file:
            file.seek(250_000)
            file.write(b'soiled')
        (problem,) = self.problems(made)
        self.assertIn('6 bytes are not zero', problem)
        image.unlink()
        (problem,) = self.problems(made)
        self.assertRegex(problem, 'image-.* is gone')

    def test_target_when_throttled_then_makes_no_image(self) -> None:
        self.cycle.target = self.load(max_bytes_per_second=1 << 30)
        with self.assertRaisesRegex(errors.ConfigurationError, 'max_bytes'):
            self.cycle.backup(self.volume)
        self.assertEqual([], list(self.cycle.target.list()))

    def test_target_when_read_only_then_makes_no_image(self) -> None:
        made = self.cycle.backup(self.volume).backup_id
        self.cycle.target = self.load(read_only=True)
        with self.assertRaises(errors.TargetReadOnly):
            self.cycle.backup(self.volume)
        self.assertEqual([], self.problems(made))

    def test_backup_when_begun_again_then_the_rest_is_removed(self) -> None:
        run = self.cycle.begin()
        for content in (b'first', b'second'):
            self.volume.data[:6] = content.ljust(6)
            self.cycle.prepare(run, self.volume.describe(), self.volume.open)
        self.assertEqual(4, len(self.files(run.backup_id)))
        self.cycle.commit(run)
        self.assertEqual(2, len(self.files(run.backup_id)))
        self.volume.history[run.backup_id] = bytes(self.volume.data)
        self.assert_restores(run.backup_id)
        with self.assertRaises(errors.RunAborted):
            self.cycle.prepare(run, self.volume.describe(), self.volume.open)
        self.assert_restores(run.backup_id)

    def test_gc_when_an_attempt_is_left_then_it_goes(self) -> None:
        made = self.cycle.backup(self.volume).backup_id
        image = self.path(made, 'image')
        rest = image.with_name('image-0badcafe')
        rest.write_bytes(b'rest')
        self.cycle.collect()
        self.assertEqual(2, len(self.files(made)))
        self.assertFalse(rest.exists())
        self.assert_restores(made)

    def test_gc_when_a_run_died_then_its_files_go(self) -> None:
        kept = self.cycle.backup(self.volume).backup_id
        run = self.cycle.begin()
        self.cycle.prepare(run, self.volume.describe(), self.volume.open)
        self.cycle.collect()
        self.assertEqual(2, len(self.files(run.backup_id)))
        self.cycle.coordinator.end(run.number)
        self.cycle.collect()
        self.assertEqual([], self.files(run.backup_id))
        self.assert_restores(kept)

    def test_verify_when_the_image_is_cut_then_found(self) -> None:
        made = self.cycle.backup(self.volume).backup_id
        with self.path(made, 'image').open('r+b') as file:
            file.truncate(1000)
        (problem,) = self.problems(made)
        self.assertIn('has 1000 bytes', problem)
        (finding,) = self.cycle.target.list()
        self.assertIsInstance(finding, target_.Finding)
        with self.assertRaises(errors.IntegrityError):
            self.assert_restores(made)

    def test_verify_when_digests_are_of_another_then_found(self) -> None:
        made = self.cycle.backup(self.volume).backup_id
        self.volume.data[:5] = b'other'
        other = self.cycle.backup(self.volume).backup_id
        tree = self.path(made, 'tree')
        right = tree.read_bytes()
        tree.write_bytes(self.path(other, 'tree').read_bytes())
        self.assertEqual(1, len(self.problems(made)))
        tree.write_bytes(right)
        self.assertEqual([], self.problems(made))
        tree.unlink()
        self.assertEqual(1, len(self.problems(made)))
        (finding,) = [
            one
            for one in self.cycle.target.list()
            if isinstance(one, target_.Finding)
        ]
        self.assertIn('are gone', finding.problem)

    def test_parent_when_of_the_other_layout_then_all_is_read(self) -> None:
        first = self.cycle.backup(self.volume)
        self.cycle.target = self.load(layout='chunks')
        second = self.cycle.backup(self.volume)
        self.cycle.target = self.load()
        third = self.cycle.backup(self.volume)
        fourth = self.cycle.backup(self.volume)
        kinds = [one.kind for one in (first, second, third, fourth)]
        full, incremental = model.BackupKind
        self.assertEqual([full, full, full, incremental], kinds)
        for backup_id in self.volume.history:
            self.assert_restores(backup_id)
            self.assertEqual([], self.problems(backup_id))

    def test_stats_when_layouts_are_mixed_then_both_count(self) -> None:
        image = self.cycle.backup(self.volume)
        target = self.load(layout='chunks')
        self.cycle.target = target
        chunks = self.cycle.backup(self.volume)
        found = target.stats(self.cycle.coordinator)
        self.assertEqual(2, found['backups'])
        data = image.data_bytes + chunks.data_bytes
        self.assertEqual(data, found['data_bytes'])
        self.assertGreater(found['unique_bytes'], image.data_bytes)
        stored = image.stored_bytes + chunks.stored_bytes
        self.assertLess(0, found['stored_bytes'] - stored)
        self.assertLess(found['stored_bytes'] - stored, 1_100_000)

    def unread(self) -> str:
        """Make a backup of which no byte is read; return its id."""
        self.cycle.target = self.load(offload='copy')
        files = self.root.with_name('files')
        files.mkdir()
        volume = filed.FiledVolume(bytes(self.volume.data), str(files))
        made = self.cycle.backup(volume).backup_id
        self.volume.history[made] = bytes(volume.data)
        return made

    def test_check_when_never_verified_then_is_left_so(self) -> None:
        made = self.unread()
        target = self.cycle.target
        assert isinstance(target, repository_target.RepositoryTarget)
        report = target.check_repository(
            self.cycle.coordinator, control_.Control(), read_data=True
        )
        self.assertEqual((), report.findings)
        self.assertEqual(1, len(self.files(made)))
        self.assertEqual([], self.problems(made))
        self.assertEqual(2, len(self.files(made)))

    def test_restore_when_never_verified_then_it_is_told(self) -> None:
        made = self.unread()
        told = 'backupkit.repository.image'
        with self.assertLogs(told, 'WARNING') as logs:
            self.assert_restores(made)
        self.assertIn(f'{made} was never verified', ''.join(logs.output))
        self.assertEqual([], self.problems(made))
        with self.assertNoLogs(told, 'WARNING'):
            self.assert_restores(made)
