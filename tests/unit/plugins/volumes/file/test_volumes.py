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


"""Image files: made, removed, mapped, told apart."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import os
import stat
from unittest import mock

from backupkit import errors
from backupkit import model
from tests.unit.plugins.volumes.file import base

_MIB = 1 << 20


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


class CreateTest(base.DriverTestCase):
    def test_when_created_then_size_is_exact_and_no_space_is_used(
        self,
    ) -> None:
        volume = self.driver.create('x', 10**9 + 1)
        self.assertEqual(10**9 + 1, volume.size_bytes)
        found = os.stat(self.path('x'))
        self.assertEqual(10**9 + 1, found.st_size)
        self.assertEqual(0, found.st_blocks)

    def test_when_umask_differs_then_modes_are_exact(self) -> None:
        for mask in (0o000, 0o022, 0o077):
            with _umask(mask):
                self.driver.create(f'd{mask}/x', 512)
            for path, mode in ((f'd{mask}', 0o770), (f'd{mask}/x', 0o660)):
                found = os.stat(self.path(path)).st_mode
                self.assertEqual(mode, stat.S_IMODE(found), path)

    def test_when_name_is_taken_then_the_volume_stays(self) -> None:
        self.write('x', b'data')
        with self.assertRaises(errors.VolumeExists):
            self.driver.create('x', 512)
        self.assertEqual(4, os.stat(self.path('x')).st_size)

    def test_when_name_is_taken_by_a_link_then_it_is_refused(self) -> None:
        os.symlink(os.path.join(self.base, 'new'), self.path('x'))
        with self.assertRaises(errors.VolumeExists):
            self.driver.create('x', 512)
        self.assertFalse(os.path.exists(os.path.join(self.base, 'new')))

    def test_when_size_is_impossible_then_nothing_is_left(self) -> None:
        for size in (-1, 1 << 63, 1 << 62):
            with self.assertRaises(errors.BackupkitError):
                self.driver.create('x', size)
            self.assertEqual([], os.listdir(self.root))

    def test_when_sync_fails_then_nothing_is_left(self) -> None:
        failure = OSError(errno.EIO, 'Input/output error')
        with (
            mock.patch('os.fsync', autospec=True, side_effect=failure),
            self.assertRaises(errors.SourceError),
        ):
            self.driver.create('x', 512)
        self.assertEqual([], os.listdir(self.root))

    def test_when_made_anew_then_the_generation_differs(self) -> None:
        first = self.driver.create('x', 512)
        self.assertEqual(first.generation, self.driver.show('x').generation)
        self.driver.delete('x')
        again = self.driver.create('x', 512)
        self.assertNotEqual(first.generation, again.generation)


class DeleteTest(base.DriverTestCase):
    def test_when_deleted_then_it_is_gone(self) -> None:
        self.write('x')
        self.driver.delete('x')
        self.driver.delete('x')
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.show('x')

    def test_when_it_is_no_volume_then_nothing_goes(self) -> None:
        os.mkdir(self.path('directory'))
        os.symlink('target', self.path('link'))
        for volume_id in ('directory', 'link'):
            with contextlib.suppress(errors.SourceError):
                self.driver.delete(volume_id)
        self.assertEqual(['directory', 'link'], sorted(os.listdir(self.root)))


class ExtentsTest(base.DriverTestCase):
    def test_when_file_has_holes_then_they_are_told(self) -> None:
        path = self.write('x', b'')
        with open(path, 'r+b') as file:
            file.truncate(10 * _MIB)
            file.seek(2 * _MIB)
            file.write(os.urandom(_MIB))
            file.seek(8 * _MIB)
            file.write(os.urandom(_MIB))
        self.assertEqual(
            [
                (0, 2 * _MIB, 'zero'),
                (2 * _MIB, _MIB, 'data'),
                (3 * _MIB, 5 * _MIB, 'zero'),
                (8 * _MIB, _MIB, 'data'),
                (9 * _MIB, _MIB, 'zero'),
            ],
            self.extents('x'),
        )

    def test_when_file_is_full_then_it_is_one_extent(self) -> None:
        self.write('x', os.urandom(_MIB + 17))
        self.assertEqual([(0, _MIB + 17, 'data')], self.extents('x'))

    def test_when_file_is_a_hole_then_it_is_one_extent(self) -> None:
        self.driver.create('x', 5 * _MIB + 1)
        self.assertEqual([(0, 5 * _MIB + 1, 'zero')], self.extents('x'))

    def test_when_file_is_empty_then_there_are_none(self) -> None:
        self.write('x', b'')
        self.assertEqual([], self.extents('x'))

    def test_when_map_is_not_supported_then_all_is_data(self) -> None:
        self.driver.create('x', _MIB)
        attachment = self.driver.attach('x', None)
        failure = OSError(errno.EINVAL, 'Invalid argument')
        with mock.patch('os.lseek', autospec=True, side_effect=failure):
            found = base.plain(self.driver, attachment)
        self.assertEqual([(0, _MIB, 'data')], found)

    def test_when_file_shrank_then_the_rest_is_not_called_zero(self) -> None:
        path = self.write('x', os.urandom(_MIB))
        attachment = self.driver.attach('x', None)
        os.truncate(path, 4096)
        with self.assertRaises(errors.VolumeChanged):
            base.plain(self.driver, attachment)

    def test_when_file_shrinks_between_two_calls_then_it_raises(
        self,
    ) -> None:
        path = self.write('x', os.urandom(_MIB))
        attachment = self.driver.attach('x', None)
        real = os.lseek

        def shrinking(fd: int, offset: int, whence: int) -> int:
            if whence == os.SEEK_HOLE:
                os.truncate(path, 0)
            return real(fd, offset, whence)

        with (
            mock.patch('os.lseek', shrinking),
            self.assertRaises(errors.VolumeChanged),
        ):
            base.plain(self.driver, attachment)

    def test_when_file_grew_then_the_size_at_attach_holds(self) -> None:
        path = self.write('x', os.urandom(_MIB))
        attachment = self.driver.attach('x', None)
        with open(path, 'ab') as file:
            file.write(os.urandom(_MIB))
        self.assertEqual(
            [(0, _MIB, 'data')], base.plain(self.driver, attachment)
        )

    def test_when_file_is_gone_then_it_is_not_found(self) -> None:
        path = self.write('x')
        attachment = self.driver.attach('x', None)
        os.unlink(path)
        with self.assertRaises(errors.VolumeNotFound):
            base.plain(self.driver, attachment)

    def test_when_iteration_ends_early_then_the_file_is_closed(self) -> None:
        self.write('x', os.urandom(_MIB))
        before = len(os.listdir('/proc/self/fd'))
        extents = self.driver.extents(self.driver.attach('x', None))
        next(extents)
        del extents
        self.assertEqual(before, len(os.listdir('/proc/self/fd')))


class FingerprintTest(base.DriverTestCase):
    def _fingerprint(self) -> str:
        return self.driver.fingerprint(self.driver.attach('x', None))

    def test_when_nothing_changes_then_it_is_the_same(self) -> None:
        self.write('x')
        before = self._fingerprint()
        with open(self.path('x'), 'rb') as file:
            file.read()
        self.assertEqual(before, self._fingerprint())

    def test_when_bytes_change_then_it_differs(self) -> None:
        path = self.write('x', bytes(4096))
        seen = {self._fingerprint()}
        for number in range(50):
            with open(path, 'r+b') as file:
                file.seek(number)
                file.write(b'x')
            seen.add(self._fingerprint())
        self.assertEqual(51, len(seen))

    def test_when_times_are_put_back_then_it_still_differs(self) -> None:
        path = self.write('x', b'old')
        found = os.stat(path)
        before = self._fingerprint()
        self.write('x', b'new')
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        self.assertNotEqual(before, self._fingerprint())

    def test_when_replaced_then_it_differs(self) -> None:
        path = self.write('x', b'data')
        attachment = self.driver.attach('x', None)
        before = self.driver.fingerprint(attachment)
        other = self.write('y', b'data')
        os.rename(other, path)
        self.assertNotEqual(before, self.driver.fingerprint(attachment))

    def test_when_gone_then_it_is_not_found(self) -> None:
        path = self.write('x')
        attachment = self.driver.attach('x', None)
        os.unlink(path)
        with self.assertRaises(errors.VolumeNotFound):
            self.driver.fingerprint(attachment)


class CheckTest(base.DriverTestCase):
    def test_when_checked_then_nothing_is_left(self) -> None:
        before = os.stat(self.root).st_mtime_ns
        for _ in range(3):
            self.assertTrue(self.driver.check().allocation_map)
        self.assertEqual([], os.listdir(self.root))
        self.assertEqual(before, os.stat(self.root).st_mtime_ns)

    def test_when_directory_is_wrong_then_the_option_is_named(self) -> None:
        self.write('file')
        for path in ('relative', '/no/such/place', self.path('file')):
            driver = self.make_driver(volumes_dir=path)
            with self.assertRaisesRegex(
                errors.ConfigurationError, 'volumes_dir'
            ):
                driver.check()

    def test_when_nothing_is_configured_then_the_option_is_named(
        self,
    ) -> None:
        with self.assertRaisesRegex(errors.ConfigurationError, 'volumes_dir'):
            self.make_driver().check()

    def test_when_device_is_relative_then_the_option_is_named(self) -> None:
        driver = self.make_driver(allowed_devices='sda')
        with self.assertRaisesRegex(
            errors.ConfigurationError, 'allowed_devices'
        ):
            driver.check()

    def test_when_directory_vanishes_then_it_is_a_source_error(self) -> None:
        os.rmdir(self.root)
        calls = (
            lambda: [*self.driver.list()],
            lambda: self.driver.show('x'),
            lambda: self.driver.create('x', 512),
            lambda: self.driver.attach('x', None),
        )
        for call in calls:
            with self.assertRaises(errors.SourceError):
                call()
        self.assertFalse(os.path.exists(self.root))

    def test_when_on_one_file_system_then_identity_is_the_same(self) -> None:
        os.mkdir(self.path('a'))
        other = self.make_driver(volumes_dir=self.path('a'))
        self.assertEqual(
            self.driver.storage_identity(), other.storage_identity()
        )

    def test_when_pool_differs_then_identity_differs(self) -> None:
        other = self.make_driver(volumes_dir=self.root, storage_pool='gold')
        self.assertNotEqual(
            self.driver.storage_identity(), other.storage_identity()
        )

    def test_when_size_is_read_then_errors_are_translated(self) -> None:
        self.write('x')
        failure = OSError(errno.EIO, 'Input/output error')
        with (
            mock.patch('os.fstat', autospec=True, side_effect=failure),
            self.assertRaisesRegex(errors.SourceError, 'x'),
        ):
            self.driver.attach('x', None)

    def test_when_detached_twice_then_it_is_fine(self) -> None:
        self.write('x')
        attachment = model.Attachment.from_dict(
            self.driver.attach('x', None).to_dict()
        )
        self.driver.detach(attachment)
        self.driver.detach(attachment)
