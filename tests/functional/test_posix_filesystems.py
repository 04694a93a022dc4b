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


"""The driver ``posix`` on real file systems of their own."""

from __future__ import annotations

import os
import unittest

from backupkit.copy import direct
from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.testing import store
from backupkit_plugins.targets.posix import store as posix
from tests.functional import filesystems

_PACK_BYTES = 4 << 20


class _FilesystemTests(store.StoreSuite, filesystems.Mounted):
    """The whole suite, and what only a real file system can do."""

    def make_store(self) -> store_.Store:
        return posix.PosixStore(self.directory)

    def test_put_when_pack_is_large_then_it_is_not_cached(self) -> None:
        memory = direct.aligned(_PACK_BYTES)
        memory[:] = os.urandom(_PACK_BYTES)
        with self.make_store() as opened:
            opened.put('pack', [memory, b'table'])
            fd = os.open(os.path.join(self.directory, 'pack'), os.O_RDONLY)
            self.addCleanup(os.close, fd)
            with self.assertRaises(BlockingIOError):
                os.preadv(fd, [bytearray(512)], 0, os.RWF_NOWAIT)
            self.assertEqual(bytes(memory) + b'table', opened.get('pack'))

    def test_put_when_file_system_is_read_only_then_it_says_so(self) -> None:
        with self.make_store() as opened:
            opened.put('a/x', [b'data'])
        filesystems.run(['mount', '-o', 'remount,ro', self.place])
        try:
            with self.make_store() as opened:
                self.assertEqual(b'data', opened.get('a/x'))
                self.assertEqual(['a/x'], [s.name for s in opened.list()])
                for name in ('a/y', 'b/y', 'y'):
                    with self.assertRaises(errors.TargetReadOnly):
                        opened.put(name, [b'data'])
                with self.assertRaises(errors.TargetReadOnly):
                    opened.delete('a/x')
        finally:
            filesystems.run(['mount', '-o', 'remount,rw', self.place])

    def test_put_when_file_system_is_unmounted_then_it_stays_there(
        self,
    ) -> None:
        # What is behind the mount point must never be written to.
        place = filesystems.mounted(self.addCleanup, self.kind)
        root = os.path.join(place, 'repository')
        with posix.PosixStore(root) as opened:
            opened.put('x', [b'data'])
            filesystems.run(['umount', '--lazy', place])
            opened.put('y', [b'data'])
            self.assertEqual([], os.listdir(place))
            opened.close()
        image = os.path.join(os.path.dirname(place), 'image')
        filesystems.run(['mount', '-o', 'loop', image, place])
        self.assertEqual(['x', 'y'], sorted(os.listdir(root)))

    def test_when_full_then_reading_and_deleting_work(self) -> None:
        place = filesystems.mounted(
            self.addCleanup, self.kind, _SMALLEST[self.kind]
        )
        root = os.path.join(place, 'repository')
        data = os.urandom(_PACK_BYTES)
        kept: list[str] = []
        with posix.PosixStore(root) as opened:
            with self.assertRaisesRegex(errors.TargetFull, 'free: '):
                while True:
                    opened.put(f'd{len(kept)}/x', [data])
                    kept.append(f'd{len(kept)}/x')
            self.assertGreater(len(kept), 1)
            for name in kept:
                self.assertEqual(data, opened.get(name))
            names = sorted(stat.name for stat in opened.list())
            self.assertEqual(sorted(kept), names)
            self.assertEqual(0, opened.sweep())
            for name in kept:
                opened.delete(name)
            os.sync()
            opened.put('again', [data])
            self.assertEqual(data, opened.get('again'))


_SMALLEST = {'ext4': 64 << 20, 'xfs': 320 << 20, 'btrfs': 160 << 20}


class FullFilesystemTest(store.FullStoreSuite, unittest.TestCase):
    """The suite of a store that is full, in memory of its own."""

    def make_store(self) -> store_.Store:
        return posix.PosixStore(filesystems.scratch(self.addCleanup))

    def make_small_store(self, room_bytes: int) -> store_.Store:
        place = filesystems.scratch(self.addCleanup)
        size = f'size={room_bytes}'
        filesystems.run(['mount', '-t', 'tmpfs', '-o', size, 'none', place])
        self.addCleanup(filesystems.run, ['umount', place])
        return posix.PosixStore(place)


class Ext4Test(_FilesystemTests, unittest.TestCase):
    kind = 'ext4'


class XfsTest(_FilesystemTests, unittest.TestCase):
    kind = 'xfs'


class BtrfsTest(_FilesystemTests, unittest.TestCase):
    kind = 'btrfs'
