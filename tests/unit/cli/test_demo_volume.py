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

"""The volume that the demo makes."""

import pathlib
import tempfile
import unittest

from backupkit.cli import demo_volume

_MIB = 1024**2


class DemoVolumeTest(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = pathlib.Path(made.name, 'image')

    def test_when_made_then_it_has_the_size_and_holes(self) -> None:
        for size_bytes in (64 * 1024, 8 * _MIB, 9 * _MIB + 4097):
            data_bytes = demo_volume.make(self.path, size_bytes, 1)
            found = self.path.stat()
            self.assertEqual(size_bytes, found.st_size)
            self.assertLessEqual(found.st_blocks * 512, data_bytes + 64 * 1024)
            if size_bytes > 8 * _MIB:
                self.assertLess(data_bytes, size_bytes - _MIB)
            self.path.unlink()

    def test_when_made_then_some_of_it_is_there_twice(self) -> None:
        demo_volume.make(self.path, 16 * _MIB, 1)
        data = self.path.read_bytes()
        pieces = [data[i * _MIB : (i + 1) * _MIB] for i in range(16)]
        self.assertEqual(pieces[5], pieces[13])
        # Of 4 holes one counts, and no copy beside the first text.
        self.assertEqual(pieces[5], pieces[0])
        self.assertEqual(16 - 3 - 2, len(set(pieces)))

    def test_when_made_twice_then_it_is_the_same(self) -> None:
        digests = set()
        for _ in range(2):
            demo_volume.make(self.path, 3 * _MIB, 1)
            digests.add(demo_volume.digest(self.path))
            self.path.unlink()
        self.assertEqual(1, len(digests))

    def test_when_changed_then_so_much_of_it_differs(self) -> None:
        size_bytes = 16 * _MIB
        demo_volume.make(self.path, size_bytes, 1)
        before = self.path.read_bytes()
        changed_bytes = demo_volume.change(self.path, size_bytes, 1.0, 2)
        after = self.path.read_bytes()
        self.assertEqual(3 * 64 * 1024, changed_bytes)
        self.assertEqual(size_bytes, len(after))
        block = 64 * 1024
        differing = sum(
            before[i : i + block] != after[i : i + block]
            for i in range(0, size_bytes, block)
        )
        self.assertEqual(3, differing)

    def test_when_it_is_tiny_then_it_changes_all_the_same(self) -> None:
        demo_volume.make(self.path, 1000, 1)
        before = demo_volume.digest(self.path)
        self.assertEqual(1000, demo_volume.change(self.path, 1000, 1.0, 2))
        self.assertEqual(1000, self.path.stat().st_size)
        self.assertNotEqual(before, demo_volume.digest(self.path))
