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

"""The target ``volume`` on real file systems, and killed at random."""

from __future__ import annotations

import os
import pathlib
import random

from backupkit import api
from backupkit.copy import control as control_
from backupkit import errors
from backupkit import model
from tests.functional import configuration
from tests.functional import filesystems
from tests.functional import stand
from tests.functional import test_kills

_MIB = 1024**2
_SECTIONS = """\
[backend:local]
driver = file
volumes_dir = {volumes}
storage_pool = {pools[0]}
[backend:place]
driver = file
volumes_dir = {place}
storage_pool = {pools[1]}
[target:repo]
driver = volume
backend = place
{more}
"""


def _configure(
    root: pathlib.Path,
    volumes: pathlib.Path,
    place: pathlib.Path,
    pools: tuple[str, str] = ('', ''),
    more: str = '',
) -> None:
    for path in (volumes, place):
        path.mkdir(exist_ok=True)
    text = configuration.beginning(root) + _SECTIONS.format(
        volumes=volumes, place=place, pools=pools, more=more
    )
    (root / 'backupkit.conf').write_text(text)


class VolumeTargetKillTest(test_kills.KillCase):
    def make_place(self, root: pathlib.Path) -> None:
        self.root = root
        self.volumes = root / 'volumes'
        pools = ('one', 'two')
        _configure(root, self.volumes, root / 'place', pools, 'offload = none')

    def exercise(self) -> None:
        with self.connect() as kit:
            made = kit.create_backup('local:db01').backup_id
            self.restored(kit, made)
            self.assert_verified(kit, {made}, full=True)
            kit.delete_backup(made)
            kit.doctor(clear=True)

    def assert_sound(self, kit: api.Backupkit) -> None:
        """Check that there is one volume for each good backup."""
        kept = {path.name for path in (self.root / 'place').iterdir()}
        good = {f'backupkit-{backup_id}' for backup_id in self.good(kit)}
        self.assertEqual(good, kept - {'.backupkit-storage'})

    def test_when_a_backup_is_killed_then_nothing_is_lost(self) -> None:
        self.kill(50, test_kills._back_up, self.none_is_lost)


class VolumeTargetTest(stand.Stand):
    """Two file systems that share blocks, and pools of one."""

    def setUp(self) -> None:
        self.random = random.Random(self.id())
        super().setUp()

    def make_place(self, root: pathlib.Path) -> None:
        self.root = root
        mounted = filesystems.mounted(self.addCleanup, 'xfs')
        self.one = pathlib.Path(mounted)
        self.volumes = self.one / 'volumes'

    def second(self) -> pathlib.Path:
        """Return another file system."""
        return pathlib.Path(filesystems.mounted(self.addCleanup, 'xfs'))

    def stored(self) -> list[pathlib.Path]:
        """Return the files of the backup volumes."""
        return sorted(self.place.glob('backupkit-*'))

    def configure(
        self,
        place: pathlib.Path,
        pools: tuple[str, str] = ('', ''),
        more: str = '',
    ) -> None:
        """Write the configuration, and make a volume."""
        self.place = place
        _configure(self.root, self.volumes, place, pools, more)
        self.fill('db01', 1, 40 * _MIB + 513)

    def test_backup_when_storage_is_the_same_then_refused(self) -> None:
        self.configure(self.one / 'place')
        with self.connect() as kit:
            with self.assertRaises(errors.ConfigurationError) as refused:
                kit.create_backup('local:db01')
            self.assertIn('on the storage of', str(refused.exception))
            problems = [
                one.name for one in kit.doctor() if one.area == 'storage'
            ]
            self.assertEqual(['local, repo'], problems)
            self.assertEqual([], kit.list_backups())
        self.assertEqual([], self.stored())

    def test_backup_when_the_backend_is_its_place_then_refused(self) -> None:
        self.configure(self.second() / 'place')
        path = self.root / 'backupkit.conf'
        text = path.read_text().replace('= local\n', '= local,place\n')
        path.write_text(text)
        with self.connect() as kit:
            kit.create_volume('place:other', _MIB)
            with self.assertRaises(errors.ConfigurationError):
                kit.create_backup('place:other')
            kit.create_backup('local:db01')

    def test_backup_when_changed_then_a_clone_takes_the_changes(self) -> None:
        self.configure(self.second() / 'place')
        with self.connect() as kit:
            contents = {}
            for _ in range(3):
                row = kit.create_backup('local:db01')
                contents[row.backup_id] = self.digest('db01')
                self.change('db01', self.random)
            self.assertLess(row.stored_bytes, 3 * _MIB)
            self.assertEqual(model.BackupKind.INCREMENTAL, row.kind)
            os.sync()
            found = os.statvfs(self.place)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            self.assertLess(used, 110 * _MIB)
            self.assert_verified(kit, set(contents), full=True)
            first = next(iter(contents))
            kit.delete_backup(first)
            del contents[first]
            self.assert_contents(kit, contents)
            self.assertEqual(2, kit.rebuild_catalog().found)
            self.assert_nothing_left(kit)

    def test_backup_when_pools_differ_then_blocks_are_shared(self) -> None:
        self.configure(self.one / 'place', ('one', 'two'))
        digest = self.digest('db01')
        os.sync()
        before = os.statvfs(self.one).f_bfree
        with self.connect() as kit:
            row = kit.create_backup('local:db01')
            self.assertEqual(0, row.read_bytes)
            os.sync()
            taken = before - os.statvfs(self.one).f_bfree
            self.assertLess(taken * 4096, 8 * _MIB)
            self.assertEqual(digest, self.restored(kit, row.backup_id))
            report = kit.verify_backup(row.backup_id)
            self.assertTrue(report.good)
            self.assertGreater(report.bytes_read, 39 * _MIB)
            (stored,) = self.stored()
            with stored.open('r+b') as file:
                file.seek(7 * _MIB)
                file.write(b'damage')
            report = kit.verify_backup(row.backup_id, full=True)
            self.assertFalse(report.good)

    def test_backup_when_the_place_is_full_then_says_so(self) -> None:
        self.configure(self.second() / 'place')
        with (self.place / 'ballast').open('wb') as file:
            found = os.statvfs(self.place)
            length = found.f_bavail * found.f_frsize - 16 * _MIB
            os.posix_fallocate(file.fileno(), 0, length)
        with self.connect() as kit:
            with self.assertRaises(errors.TargetFull):
                kit.create_backup('local:db01')
            self.assertEqual([], self.stored())
            self.assert_nothing_left(kit)

    def test_backup_when_in_use_and_shared_then_by_a_snapshot(self) -> None:
        self.configure(self.one / 'place', ('one', 'two'))
        self.assert_backed_up_in_use()

    def test_backup_when_in_use_and_read_then_by_a_snapshot(self) -> None:
        self.configure(self.second() / 'place')
        self.assert_backed_up_in_use()

    def assert_backed_up_in_use(self) -> None:
        """Back up a volume while it is open for writing, and written."""
        digest = self.digest('db01')
        told: list[str] = []
        with (
            self.connect() as kit,
            (self.volumes / 'db01').open('r+b') as guest,
        ):

            def write(progress: control_.Progress) -> None:
                if progress.step != 'backup':
                    return
                told.append(progress.step)
                guest.seek(0)
                guest.write(os.urandom(4096))
                guest.flush()

            row = kit.create_backup(
                'local:db01', control=control_.Control(write)
            )
            self.assertNotEqual([], told)
            self.assertTrue(row.consistent)
            # What was written since is not in it.
            self.assertNotEqual(digest, self.digest('db01'))
            self.assertEqual(digest, self.restored(kit, row.backup_id))
            self.assert_no_snapshots(kit)

    def test_backup_when_it_fails_then_its_snapshot_is_gone(self) -> None:
        self.configure(self.second() / 'place', more='offload = none')

        def fail(progress: control_.Progress) -> None:
            if progress.done_bytes:
                raise errors.SourceError('as if the medium had failed')

        with self.connect() as kit, (self.volumes / 'db01').open('r+b'):
            with self.assertRaises(errors.SourceError):
                kit.create_backup('local:db01', control=control_.Control(fail))
            self.assertEqual([], self.stored())
            self.assert_no_snapshots(kit)

    def assert_no_snapshots(self, kit: api.Backupkit) -> None:
        self.assertEqual(['db01'], os.listdir(self.volumes))
        self.assert_nothing_left(kit)

    def test_restore_when_the_volume_is_too_small_then_refused(self) -> None:
        self.configure(self.second() / 'place')
        before = self.fill('small', 2, 40 * _MIB)
        larger = 41 * _MIB
        self.fill('large', 3, larger)
        with self.connect() as kit:
            made = kit.create_backup('local:db01').backup_id
            with self.assertRaises(errors.DestinationTooSmall):
                kit.restore_backup(made, to='local:small', overwrite=True)
            self.assertEqual(before, self.digest('small'))
            kit.restore_backup(made, to='local:large', overwrite=True)
            restored = (self.volumes / 'large').read_bytes()
            original = (self.volumes / 'db01').read_bytes()
            self.assertEqual(larger, len(restored))
            self.assertEqual(original, restored[: len(original)])

    def test_backup_when_the_file_system_copies_then_as_good(self) -> None:
        ext4 = pathlib.Path(filesystems.mounted(self.addCleanup, 'ext4'))
        self.volumes = ext4 / 'volumes'
        self.configure(ext4 / 'place', ('one', 'two'), 'offload = copy')
        os.truncate(self.volumes / 'db01', 100 * _MIB + 513)
        with self.connect() as kit:
            contents = {}
            for _ in range(2):
                row = kit.create_backup('local:db01')
                contents[row.backup_id] = self.digest('db01')
                self.assertEqual(0, row.read_bytes)
                self.change('db01', self.random)
            for path in self.stored():
                self.assertLess(path.stat().st_blocks * 512, 44 * _MIB)
            self.assert_contents(kit, contents)
            for backup_id in contents:
                report = kit.verify_backup(backup_id)
                self.assertGreater(report.bytes_read, 39 * _MIB)
            self.assert_verified(kit, set(contents), full=True)
            self.assert_contents(kit, contents)

    def test_doctor_when_a_volume_was_left_then_shown_and_cleared(
        self,
    ) -> None:
        self.configure(self.second() / 'place')
        with self.connect() as kit:
            row = kit.create_backup('local:db01')
            kit.delete_backup(row.backup_id)
            name = f'backupkit-{row.backup_id}'
            foreign = 'backupkit-0272912a-85a2-4a9f-93e0-5fd5590ee8af'
            for one in (name, foreign):
                (self.place / one).write_bytes(bytes(_MIB))
            told = {
                one.name: one.state
                for one in kit.doctor()
                if one.area == 'leftover'
            }
            self.assertEqual(
                {
                    f'repo, backup {row.backup_id}': 'problem',
                    f'repo, backup {foreign[10:]}': 'warning',
                },
                told,
            )
            kit.doctor(clear=True)
        self.assertEqual([foreign], [path.name for path in self.stored()])
