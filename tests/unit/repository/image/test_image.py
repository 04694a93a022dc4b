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

"""Images: written, committed, aborted, read, checked."""

from __future__ import annotations

import functools
import os
import shutil
from unittest import mock

from backupkit.copy import control as control_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import area as area_
from backupkit.repository.image import check
from backupkit.repository.image import manifest as manifest_
from backupkit.repository.image import writer as writer_
from backupkit.repository import selection
from backupkit.repository import tree
from backupkit.testing import plain
from backupkit.testing import suite
from tests.unit.repository.image import case


class ImageTest(case.ImageCase):
    def test_image_when_committed_then_restores(self) -> None:
        for size in (0, 1, 4095, 4096, 4097, case.SIZE, 4100 * 4096 + 5):
            with self.subTest(size=size):
                data = self.random.randbytes(size)
                path = self.make(data, f'of-{size}')
                self.assertEqual(data, self.restored(path))
                with open(path, 'rb') as file:
                    self.assertEqual(data, file.read(size))

    def test_image_when_zeros_are_read_then_stays_sparse(self) -> None:
        data = bytes(2000 * case.CHUNK)
        path = self.make(data)
        self.assertLess(os.stat(path).st_blocks * 512, 64 << 10)
        self.assertEqual(0, self.counts.data)
        self.assertEqual(data, self.restored(path))

    def test_manifest_when_not_committed_then_not_found(self) -> None:
        path = self.allocate(case.SIZE)
        with self.opened(path, writable=True) as volume:
            self.fill(volume, self.data())
            with self.assertRaises(errors.NotFound):
                volume.manifest()

    def test_manifest_when_the_locator_is_a_clones_then_not_found(
        self,
    ) -> None:
        path = self.make(self.data())
        with self.opened(path) as volume:
            volume._id = case.OTHER_ID
            self.assertIsNone(volume.locator())
            with self.assertRaises(errors.NotFound):
                volume.manifest()

    def test_commit_when_repeated_then_stays(self) -> None:
        path = self.make(self.data())
        with self.opened(path, writable=True) as volume:
            before = volume.manifest()
            volume.commit(manifest_.dump(case.manifest(name='another')))
            self.assertEqual(before, volume.manifest())

    def test_commit_when_aborted_then_refused(self) -> None:
        path = self.allocate(case.SIZE)
        with self.opened(path, writable=True) as volume:
            self.assertTrue(volume.abort())
            self.assertTrue(volume.abort())
            with self.assertRaises(errors.RunAborted):
                volume.commit(manifest_.dump(case.manifest()))
            with self.assertRaises(errors.NotFound):
                volume.manifest()

    def test_abort_when_committed_then_refused(self) -> None:
        path = self.make(self.data())
        with self.opened(path, writable=True) as volume:
            self.assertFalse(volume.abort())
            self.assertEqual(case.ID, volume.manifest().summary.backup_id)

    def test_abort_when_there_is_no_room_for_it_then_is_aborted(self) -> None:
        path = os.path.join(self.directory, 'tiny')
        for size in (0, 100, 4095):
            with open(path, 'wb') as file:
                file.truncate(size)
            with self.opened(path, writable=True) as volume:
                self.assertTrue(volume.abort())
                self.assertIsNone(volume.locator())
            self.assertEqual(size, os.path.getsize(path))

    def test_commit_when_an_abort_races_then_one_of_them_wins(self) -> None:
        for number in range(30):
            path = self.allocate(case.SIZE, f'race-{number}')
            results = suite.together(
                functools.partial(self.try_to, 'commit', path),
                functools.partial(self.try_to, 'abort', path),
            )
            self.assertEqual(1, sum(suite.successes(results)), results)

    def try_to(self, end: str, path: str) -> bool:
        """Commit or abort a backup volume; tell whether it came true."""
        with self.opened(path, writable=True) as volume:
            if end == 'abort':
                return volume.abort()
            try:
                volume.commit(manifest_.dump(case.manifest()))
            except errors.RunAborted:
                return False
            return True

    def test_write_when_parent_is_cloned_then_only_changes_go_in(self) -> None:
        data = self.data()
        first = self.make(data)
        second = os.path.join(self.directory, 'second')
        shutil.copy(first, second)
        data[20 * case.CHUNK : 21 * case.CHUNK] = b'x' * case.CHUNK
        data[30 * case.CHUNK : 31 * case.CHUNK] = bytes(case.CHUNK)
        with (
            self.opened(first) as old,
            self.opened(second, writable=True) as new,
        ):
            parent = writer_.Parent(self.reader(old), cloned=True)
            root = self.fill(new, data, parent=parent)
        self.assertEqual(2 * case.CHUNK, self.counts.changed)
        self.assertLess(self.counts.stored, 3 * case.CHUNK + 4096)
        self.assertIsNotNone(root)
        with open(second, 'rb') as file:
            self.assertEqual(data, file.read(case.SIZE))

    def test_same_when_parent_is_damaged_then_read_from_source(self) -> None:
        data = self.data()
        first = self.make(data)
        with open(first, 'r+b') as file:
            file.seek(12 * case.CHUNK + 5)
            file.write(b'damage')
        second = self.allocate(case.SIZE, 'second')
        same = model.Extent(0, case.SIZE, model.ExtentKind.SAME)
        source = plain.PlainReader(bytes(data), [same])
        with (
            self.opened(first) as old,
            self.opened(second, writable=True) as new,
        ):
            parent = writer_.Parent(self.reader(old), cloned=False)
            root = self.fill(new, data, parent=parent, source=source)
            new.commit(manifest_.dump(case.manifest(root=root)))
        self.assertEqual(case.CHUNK, source.read_bytes)
        self.assertEqual(bytes(data), self.restored(second))

    def test_same_when_there_is_no_parent_then_refused(self) -> None:
        data = self.data()
        path = self.allocate(case.SIZE)
        same = model.Extent(0, case.SIZE, model.ExtentKind.SAME)
        source = plain.PlainReader(bytes(data), [same])
        with (
            self.opened(path, writable=True) as volume,
            self.assertRaises(errors.BackupkitError),
        ):
            self.fill(volume, data, source=source)


class CheckTest(case.ImageCase):
    def check(self, path: str, *, full: bool) -> list[str]:
        """Check a backup volume; return the problems."""
        with self.opened(path) as volume:
            report = check.check(
                self.reader(volume),
                'volume',
                case.ID,
                control_.Control(),
                threads=2,
                reads=selection.All() if full else selection.Nothing(),
            )
        for finding in report.findings:
            self.assertEqual((case.ID,), finding.backup_ids)
        return [finding.problem for finding in report.findings]

    def overwrite(self, path: str, offset: int, data: bytes) -> None:
        """Damage a backup volume."""
        with open(path, 'r+b') as file:
            file.seek(offset)
            file.write(data)

    def test_check_when_all_is_good_then_nothing_is_found(self) -> None:
        path = self.make(self.data())
        for full in (False, True):
            self.assertEqual([], self.check(path, full=full))

    def test_check_when_a_byte_is_wrong_then_full_finds_it(self) -> None:
        path = self.make(self.data())
        for offset in (0, 10 * case.CHUNK, case.SIZE - 1):
            with open(path, 'rb') as file:
                file.seek(offset)
                right = file.read(1)
            self.overwrite(path, offset, bytes([right[0] ^ 1]))
            self.assertEqual([], self.check(path, full=False))
            (problem,) = self.check(path, full=True)
            self.assertIn('1 chunks are damaged', problem)
            with self.assertRaises(errors.Damaged):
                self.restored(path)
            self.overwrite(path, offset, right)

    def test_check_when_a_part_is_chosen_then_only_that_is_read(self) -> None:
        path = self.make(self.data())
        self.overwrite(path, case.SIZE - 1, b'another')
        with (
            mock.patch.object(check, '_PIECE_BYTES', 4 * case.CHUNK),
            self.opened(path) as volume,
        ):
            reader = self.reader(volume)
            found = [
                check.check(
                    reader,
                    'volume',
                    case.ID,
                    control_.Control(),
                    threads=2,
                    reads=selection.Part(number, 5),
                )
                for number in range(1, 6)
            ]
        whole = case.SIZE - 6 * case.CHUNK
        self.assertEqual(whole, sum(one.bytes_read for one in found))
        self.assertEqual(1, sum(len(one.findings) for one in found))
        self.assertGreater(sum(one.bytes_read > 0 for one in found), 1)

    def test_check_when_a_zero_is_soiled_then_full_finds_it(self) -> None:
        path = self.make(self.data())
        self.overwrite(path, 5 * case.CHUNK, b'\x01\x02\x00')
        (problem,) = self.check(path, full=True)
        self.assertIn('2 bytes are not zero', problem)

    def test_check_when_a_node_is_damaged_then_found(self) -> None:
        path = self.make(self.data())
        area = area_.Area(tree.Geometry(case.SIZE, case.CHUNK))
        self.overwrite(path, area.tree_offset + 4096 + 10, b'?')
        for full in (False, True):
            (problem,) = self.check(path, full=full)
            self.assertIn('part of its digests is lost', problem)

    def test_complete_when_nothing_was_read_then_puts_the_tree(self) -> None:
        data = self.data()
        path = self.allocate(case.SIZE)
        self.overwrite(path, 0, bytes(data))
        with self.opened(path, writable=True) as volume:
            volume.commit(manifest_.dump(case.manifest()))
        with self.opened(path) as volume:
            self.assertIsNone(self.reader(volume).map)
        self.assertEqual(bytes(data), self.restored(path))
        with self.opened(path, writable=True) as volume:
            report = check.complete(volume, control_.Control(), threads=2)
        self.assertTrue(report.good)
        self.assertGreaterEqual(report.bytes_read, case.SIZE - 6 * case.CHUNK)
        self.assertEqual([], self.check(path, full=True))
        self.overwrite(path, 0, b'another')
        self.assertEqual(1, len(self.check(path, full=True)))
        with self.assertRaises(errors.Damaged):
            self.restored(path)
