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


"""The driver ``file`` where the file system clones files."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import stat
import struct
import time
import unittest

from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit import model
from backupkit.testing import sections
from backupkit.testing import volume
from tests.functional import filesystems

_FORK = multiprocessing.get_context('fork')
_TIB = 1 << 40
_PAGE = 4096


class _ReflinkTests(volume.VolumeDriverSuite, filesystems.Mounted):
    """The whole suite, and what is particular to clones."""

    def setUp(self) -> None:
        os.mkdir(self.directory)
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver('file', volumes_dir=self.directory)

    def _free(self) -> int:
        os.sync()
        found = os.statvfs(self.directory)
        return found.f_bfree * found.f_frsize

    def _hidden(self) -> list[str]:
        return [n for n in os.listdir(self.directory) if n.startswith('.')]

    def test_check_when_clones_work_then_it_says_so(self) -> None:
        for _ in range(3):
            found = self.make_driver().check()
            self.assertTrue(found.snapshots)
            self.assertTrue(found.online_snapshots)
        self.assertEqual([], os.listdir(self.directory))

    def test_snapshot_when_volume_is_large_then_no_data_is_copied(
        self,
    ) -> None:
        volume_id, _ = self.make_filled(64 << 20)
        before = self._free()
        with self.snapshot(volume_id):
            self.assertLess(before - self._free(), 8 << 20)

    def test_snapshot_when_volumes_share_a_directory_then_each_has_its_own(
        self,
    ) -> None:
        first, first_data = self.make_filled(1 << 20)
        second, second_data = self.make_filled(1 << 20)
        taken = [self.driver.snapshot(v, 'same') for v in (first, second)]
        self.assertEqual(first_data, self.read(first, taken[0]))
        self.assertEqual(second_data, self.read(second, taken[1]))
        self.driver.delete_snapshot(taken[0])
        self.assertEqual(second_data, self.read(second, taken[1]))
        self.driver.delete_snapshot(taken[1])
        self.assertEqual([], self._hidden())

    def test_snapshot_when_made_then_only_its_maker_may_read_it(self) -> None:
        volume_id, _ = self.make_filled(4096)
        with self.snapshot(volume_id):
            path = os.path.join(self.directory, self._hidden()[0])
            self.assertEqual(0o600, stat.S_IMODE(os.stat(path).st_mode))

    def test_snapshot_when_killed_before_then_it_is_made_anew(self) -> None:
        volume_id, data = self.make_filled(1 << 20)
        with self.snapshot(volume_id) as taken:
            name = self._hidden()[0]
        part = name.replace('snap', 'part', 1)
        with open(os.path.join(self.directory, part), 'wb') as file:
            file.write(b'half')
        again = self.driver.snapshot(volume_id, taken.name)
        self.assertEqual(data, self.read(volume_id, again))
        with open(os.path.join(self.directory, part), 'wb') as file:
            file.write(b'half')
        self.driver.delete_snapshot(again)
        self.assertEqual([], self._hidden())

    def test_snapshot_when_below_a_directory_then_it_lies_there(self) -> None:
        os.mkdir(os.path.join(self.directory, 'a'))
        self.driver.create('a/x', 1 << 20)
        self.write('a/x', 4096, b'data')
        taken = self.driver.snapshot('a/x', 'name')
        self.assertEqual(b'data', self.read('a/x', taken)[4096:4100])
        self.assertEqual(['a'], os.listdir(self.directory))
        self.driver.delete_snapshot(taken)

    def test_snapshot_when_volume_has_holes_then_they_stay(self) -> None:
        self.driver.create('x', 64 << 20)
        self.write('x', 32 << 20, os.urandom(1 << 20))
        with self.snapshot('x') as taken, self.attached('x', taken) as found:
            extents = [*self.driver.extents(found)]
        kinds = [(e.offset, e.length, e.kind) for e in extents]
        self.assertEqual(
            [
                (0, 32 << 20, model.ExtentKind.ZERO),
                (32 << 20, 1 << 20, model.ExtentKind.DATA),
                (33 << 20, 31 << 20, model.ExtentKind.ZERO),
            ],
            kinds,
        )

    def test_snapshot_when_it_is_written_then_it_is_one_moment(self) -> None:
        # A writer counts up in the first page and then in the last: at any
        # moment the first is as far as the last, or one ahead.
        size = 16 << 20
        self.driver.create('x', size)
        path = os.path.join(self.directory, 'x')
        started, stop = _FORK.Event(), _FORK.Event()
        writer = _FORK.Process(target=_count, args=(path, size, started, stop))
        writer.start()
        started.wait()
        seen = set()
        try:
            for number in range(40):
                taken = self.driver.snapshot('x', f's{number}')
                data = self.read('x', taken)
                self.driver.delete_snapshot(taken)
                first, last = (
                    struct.unpack('Q', data[at : at + 8])[0]
                    for at in (0, size - _PAGE)
                )
                self.assertIn(first - last, (0, 1))
                seen.add(first)
        finally:
            stop.set()
            writer.join()
        self.assertGreater(len(seen), 20)
        self.assertEqual(0, writer.exitcode)

    def test_extents_when_volume_is_64_tib_then_they_come_at_once(
        self,
    ) -> None:
        self.driver.create('huge', 64 * _TIB)
        path = os.path.join(self.directory, 'huge')
        offsets = [number * _TIB + 4096 for number in range(0, 64, 4)]
        with open(path, 'r+b') as file:
            for offset in offsets:
                file.seek(offset)
                file.write(os.urandom(4096))
        begin = time.process_time()
        with self.attached('huge') as found:
            extents = [*self.driver.extents(found)]
        self.assertLess(time.process_time() - begin, 1)
        data = [e for e in extents if e.kind is model.ExtentKind.DATA]
        self.assertEqual(offsets, [e.offset for e in data])
        self.assertEqual(64 * _TIB, sum(e.length for e in extents))
        self.driver.delete('huge')


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def _count(
    path: str,
    size: int,
    started: multiprocessing.synchronize.Event,
    stop: multiprocessing.synchronize.Event,
) -> None:
    fd = os.open(path, os.O_RDWR)
    number = 0
    while not stop.is_set():
        number += 1
        page = struct.pack('Q', number) * (_PAGE // 8)
        os.pwrite(fd, page, 0)
        os.pwrite(fd, page, size - _PAGE)
        started.set()


class XfsTest(_ReflinkTests, unittest.TestCase):
    kind = 'xfs'


class BtrfsTest(_ReflinkTests, unittest.TestCase):
    kind = 'btrfs'

    def test_identity_when_in_a_subvolume_then_it_is_the_same(self) -> None:
        below = os.path.join(self.directory, 'subvolume')
        filesystems.run(['btrfs', 'subvolume', 'create', below])
        other = sections.load_volume_driver('file', volumes_dir=below)
        self.assertEqual(
            self.driver.storage_identity(), other.storage_identity()
        )

    def test_snapshot_when_in_a_subvolume_then_it_works(self) -> None:
        below = os.path.join(self.directory, 'subvolume')
        filesystems.run(['btrfs', 'subvolume', 'create', below])
        self.driver.create('subvolume/x', 1 << 20)
        with self.snapshot('subvolume/x') as taken:
            self.assertEqual(bytes(1 << 20), self.read('subvolume/x', taken))


class Qcow2Test(
    volume.VolumeDriverSuite, filesystems.Mounted, unittest.TestCase
):
    """Snapshots and checkpoints of qcow2 images."""

    kind = 'xfs'
    granularity_bytes = 512
    volume_format = 'qcow2'

    def setUp(self) -> None:
        os.mkdir(self.directory)
        super().setUp()

    def make_driver(self) -> volume_.VolumeDriver:
        return sections.load_volume_driver(
            'file',
            volumes_dir=self.directory,
            qcow2_volumes='*',
            dirty_bitmaps='true',
        )

    def test_keep_when_open_at_the_snapshot_then_not_kept(self) -> None:
        volume_id, data = self.make_filled()
        with self.in_use(volume_id):
            taken = self.driver.snapshot(volume_id, 'backupkit-x')
        # By now a bitmap could be made, which would be too late.
        again = self.make_driver().snapshot(volume_id, 'backupkit-x')
        self.assertEqual(taken, again)
        self.write(volume_id, 0, b'later')
        with self.assertRaisesRegex(errors.InUse, 'no dirty bitmap'):
            self.driver.keep_checkpoint(volume_id, taken.name)
        self.assert_bytes(data, self.read(volume_id, taken), taken.name)
        self.driver.delete_snapshot(taken)

    def test_keep_when_the_snapshot_is_gone_then_not_kept(self) -> None:
        volume_id, _ = self.make_filled()
        with self.assertRaises(errors.InUse):
            self.driver.keep_checkpoint(volume_id, 'backupkit-x')


class WithoutReflinkTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        place = filesystems.mounted(self.addCleanup, 'ext4', 64 << 20)
        self.place = place
        self.driver = sections.load_volume_driver('file', volumes_dir=place)

    def test_snapshot_when_clones_do_not_work_then_not_supported(
        self,
    ) -> None:
        self.driver.create('x', 1 << 20)
        self.assertFalse(self.driver.check().snapshots)
        with self.assertRaises(errors.NotSupported):
            self.driver.snapshot('x', 'name')
        self.assertEqual(['lost+found', 'x'], sorted(os.listdir(self.place)))

    def test_list_when_lost_and_found_is_closed_then_the_rest_is_listed(
        self,
    ) -> None:
        self.driver.create('x', 1 << 20)
        for path in (self.place, os.path.dirname(self.place)):
            os.chmod(path, 0o755)

        def list_as_nobody() -> None:
            _become_nobody()
            assert not os.access(self.place + '/lost+found', os.R_OK)
            assert [v.volume_id for v in self.driver.list()] == ['x']

        process = _FORK.Process(target=list_as_nobody)
        process.start()
        process.join()
        self.assertEqual(0, process.exitcode)

    def test_attach_when_it_is_not_ours_to_read_then_it_is_told(self) -> None:
        self.driver.create('x', 1 << 20)
        os.chmod(os.path.dirname(self.place), 0o755)
        os.chmod(self.place, 0o755)

        def attach_as_nobody() -> None:
            _become_nobody()
            try:
                self.driver.attach('x', None)
            except errors.SourceError as exc:
                assert 'user 65534' in str(exc), exc
                assert not isinstance(exc, errors.VolumeNotFound)
            else:
                raise AssertionError('it could be attached')

        process = _FORK.Process(target=attach_as_nobody)
        process.start()
        process.join()
        self.assertEqual(0, process.exitcode)
