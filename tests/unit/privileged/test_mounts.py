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

from __future__ import annotations

import fcntl
import os
import pathlib
import stat
import threading
from unittest import mock

from backupkit import errors
from backupkit import privileged
from backupkit.privileged import mountinfo
from backupkit.privileged import mounts
from tests.unit.privileged import hostile
from tests.unit.privileged import stage

LOCK = f'{stage.PLACE}.lock'
USERS = f'{stage.PLACE}.users'


class EntryTest(stage.StageTest):
    def path(self, name: str) -> pathlib.Path:
        return pathlib.Path(f'{self.top}{name}')

    def hold(self, name: str, kind: int) -> int:
        fd = os.open(self.path(name), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        fcntl.flock(fd, kind)
        return fd


class MountTest(EntryTest):
    def test_when_it_is_not_mounted_then_it_is(self) -> None:
        self.assertEqual(stage.PLACE, stage.mount('target:share', '4.1'))
        self.assertEqual(
            [
                *('MOUNT', '-t', 'nfs', '-o'),
                'hard,timeo=100,retry=0,vers=4.1,nosuid,nodev,noexec',
                *('--', stage.SHARE, stage.PLACE),
            ],
            self.lines(),
        )

    def test_when_it_is_mounted_then_nothing_is_done(self) -> None:
        stage.mount('target:share', '')
        for version in ('', '3', '4.0', '4.1', '4.2'):
            self.assertEqual(stage.PLACE, stage.mount('target:share', version))
        self.assertEqual(1, self.lines().count('MOUNT'))

    def test_when_many_mount_at_once_then_there_is_one_mount(self) -> None:
        self.program('MOUNT', f'sleep 0.2; {self.mounting()}')
        threads = [
            threading.Thread(target=stage.mount, args=('target:share', ''))
            for _number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(1, self.mounted())
        self.assertEqual(1, self.lines().count('MOUNT'))

    def test_when_files_are_made_then_their_modes_are_ours(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        for group, users in ((0, 0o644), (7, 0o640)):
            with mock.patch.object(
                os, 'getegid', return_value=group, autospec=True
            ):
                stage.mount('target:share', '')
            found = {
                name: stat.S_IMODE(self.path(name).stat().st_mode)
                for name in (stage.PLACE, LOCK, USERS)
            }
            self.assertEqual(
                {stage.PLACE: 0, LOCK: 0o600, USERS: users}, found
            )
            stage.unmount('target:share')
            self.path(USERS).unlink()

    def test_when_something_else_is_there_then_it_is_refused(self) -> None:
        for kind, source, flags in (
            ('tmpfs', stage.SHARE, 'nosuid,nodev,noexec'),
            ('nfs4', 'other:/export', 'nosuid,nodev,noexec'),
            ('nfs4', stage.SHARE, 'nosuid,noexec'),
        ):
            self.table.write_text(
                f'36 25 0:99 / {stage.PLACE} rw,{flags} - {kind} {source} rw\n'
            )
            with self.assertRaises(errors.TargetMissing):
                stage.mount('target:share', '')
            with self.assertRaises(errors.TargetMissing):
                stage.unmount('target:share')
        self.assertEqual([], self.lines())

    def test_when_it_is_mounted_with_other_options_then_it_is_refused(
        self,
    ) -> None:
        stage.mount('target:share', '')
        self.configure(stage.CONFIGURATION.replace('timeo=100', 'timeo=99'))
        with self.assertRaisesRegex(
            errors.ConfigurationError, "'hard,timeo=100', not 'hard,timeo=99'"
        ):
            stage.mount('target:share', '')
        self.assertTrue(stage.unmount('target:share'))
        stage.mount('target:share', '')
        self.assertEqual('hard,timeo=99', self.path(USERS).read_text())

    def test_when_the_mount_is_not_what_was_asked_then_it_is_taken_away(
        self,
    ) -> None:
        for entry in (
            '36 25 0:99 / %s rw,nodev,noexec - nfs4 %s rw\\n',
            '36 25 0:99 /sub %s rw,nosuid,nodev,noexec - nfs4 %s rw\\n',
            '36 25 0:99 / %s rw,nosuid,nodev,noexec - cifs %s rw\\n',
            '36 25 0:99 / %s rw,nosuid,nodev,noexec - nfs4 x%s rw\\n',
        ):
            self.program('MOUNT', self.mounting(entry))
            with self.assertRaises(errors.TargetMissing):
                stage.mount('target:share', '')
            self.assertEqual(0, self.mounted())

    def test_when_nothing_is_there_after_mounting_then_that_is_told(
        self,
    ) -> None:
        self.program('MOUNT', 'true')
        with self.assertRaisesRegex(errors.TargetMissing, 'is not there'):
            stage.mount('target:share', '')

    def test_when_it_fails_after_mounting_then_no_mount_is_left(self) -> None:
        self.program('MOUNT', f'{self.mounting()}; exit 32')
        with self.assertRaises(errors.TargetMissing):
            stage.mount('target:share', '')
        self.assertEqual(0, self.mounted())

    def test_when_it_cannot_be_taken_away_then_the_first_error_is_told(
        self,
    ) -> None:
        self.program('MOUNT', f'{self.mounting()}; echo first >&2; exit 32')
        self.program('UMOUNT', 'echo second >&2; exit 32')
        with self.assertRaisesRegex(errors.TargetMissing, 'first'):
            stage.mount('target:share', '')
        self.assertEqual(1, self.mounted())

    def test_when_the_mount_point_is_not_ours_then_it_is_refused(self) -> None:
        place = self.path(stage.PLACE)
        place.parent.mkdir(parents=True)
        target = self.top / 'run/target'
        target.mkdir()

        def link() -> None:
            place.symlink_to(target)

        def open_directory() -> None:
            place.mkdir(0o755)

        def regular() -> None:
            place.write_text('')
            place.chmod(0)

        for make, remove in (
            (link, place.unlink),
            (open_directory, place.rmdir),
            (regular, place.unlink),
        ):
            make()
            with (
                self.subTest(make=make.__name__),
                self.assertRaisesRegex(errors.PrivilegeError, 'remove'),
            ):
                stage.mount('target:share', '')
            remove()
        self.assertEqual([], self.lines())

    def test_when_a_link_takes_a_files_place_then_it_is_refused(self) -> None:
        self.path(stage.BASE).mkdir(parents=True)
        target = self.top / 'run/target'
        for name in (LOCK, USERS):
            self.path(name).symlink_to(target)
            with self.assertRaises(OSError):
                stage.mount('target:share', '')
            self.path(name).unlink()
        self.assertFalse(target.exists())
        self.assertEqual([], self.lines())

    def test_when_the_base_is_hostile_then_it_is_refused(self) -> None:
        for base in hostile.PATHS:
            if not base.strip() or not base.isprintable():
                continue
            text = base.replace('$', '$$')
            self.configure(
                f'{stage.CONFIGURATION}backup_mount_point_base = "{text}"\n'
            )
            with (
                self.subTest(base=base[:80]),
                self.assertRaises(errors.PrivilegeError),
            ):
                stage.mount('target:share', '')
        self.assertEqual([], self.lines())

    def test_when_names_and_versions_are_hostile_then_nothing_is_done(
        self,
    ) -> None:
        for name in hostile.NAMES:
            with self.assertRaises(errors.PrivilegeError):
                stage.mount(name, '')
            with self.assertRaises(errors.PrivilegeError):
                stage.unmount(name)
        for version in hostile.VERSIONS:
            with self.assertRaises(errors.PrivilegeError):
                stage.mount('target:share', version)
        self.assertEqual([], self.lines())
        self.assertEqual([], os.listdir(self.top / 'run'))

    def test_when_another_daemon_is_busy_then_it_is_waited_for(self) -> None:
        stage.mount('target:share', '')
        self.configure(f'{stage.CONFIGURATION}mount_timeout_seconds = 1\n')
        fd = self.hold(LOCK, fcntl.LOCK_EX)
        with self.assertRaisesRegex(errors.TargetUnavailable, 'is busy'):
            stage.mount('target:share', '')
        timer = threading.Timer(0.2, fcntl.flock, (fd, fcntl.LOCK_UN))
        timer.start()
        self.addCleanup(timer.join)
        self.assertEqual(stage.PLACE, stage.mount('target:share', ''))


class UnmountTest(EntryTest):
    def test_when_nobody_uses_it_then_it_is_unmounted(self) -> None:
        stage.mount('target:share', '')
        self.assertTrue(stage.unmount('target:share'))
        self.assertEqual(
            ['UMOUNT', '-i', '-c', '--', stage.PLACE], self.lines()[-5:]
        )
        self.assertEqual(0, self.mounted())

    def test_when_it_is_not_mounted_then_that_is_well(self) -> None:
        self.assertTrue(stage.unmount('target:share'))
        stage.mount('target:share', '')
        self.table.write_text('')
        self.assertTrue(stage.unmount('target:share'))
        self.assertNotIn('UMOUNT', self.lines())

    def test_when_somebody_uses_it_then_it_stays(self) -> None:
        stage.mount('target:share', '')
        fd = self.hold(USERS, fcntl.LOCK_SH)
        self.assertFalse(stage.unmount('target:share'))
        self.assertNotIn('UMOUNT', self.lines())
        fcntl.flock(fd, fcntl.LOCK_UN)
        self.assertTrue(stage.unmount('target:share'))

    def test_when_it_goes_while_we_wait_then_that_is_well(self) -> None:
        stage.mount('target:share', '')
        entry = mountinfo.at(stage.PLACE)
        with mock.patch.object(
            mountinfo, 'at', side_effect=[entry, None], autospec=True
        ):
            self.assertTrue(stage.unmount('target:share'))
        self.assertNotIn('UMOUNT', self.lines())

    def test_when_the_kernel_says_busy_then_it_stays(self) -> None:
        stage.mount('target:share', '')
        self.program('UMOUNT', 'echo "target is busy." >&2; exit 32')
        self.assertFalse(stage.unmount('target:share'))


class ContextTest(EntryTest):
    def test_when_the_calls_are_counted_then_there_are_two(self) -> None:
        served = [
            name
            for name, value in vars(mounts).items()
            if privileged.context.is_entrypoint(value)
        ]
        self.assertEqual(['mount', 'unmount'], served)
