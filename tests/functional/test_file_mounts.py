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

"""Images below one directory that lie on several file systems."""

from __future__ import annotations

import pathlib
import random
import tempfile

from backupkit import errors
from backupkit.testing import sections
from tests.functional import filesystems
from tests.functional import stand
from tests.functional import systems

_SIZE = 3 << 20


class MountedBelowTest(stand.Stand):
    """``volumes_dir`` on one file system, ``volumes_dir/sub`` on another."""

    def make_place(self, root: pathlib.Path) -> None:
        """Leave it to each test."""

    def place(self, outer: str, inner: str) -> None:
        """Make the two; their kinds say which can clone."""
        base = filesystems.mounted(self.addCleanup, outer)
        made = tempfile.mkdtemp(dir=base)
        super().make_place(pathlib.Path(made))
        inside = filesystems.mounted(self.addCleanup, inner)
        below = self.volumes / 'sub'
        below.mkdir()
        systems.run('mount', '--bind', inside, str(below))
        self.addCleanup(systems.run, 'umount', str(below))
        for number, name in enumerate(('here', 'sub/there')):
            self.fill(name, number, _SIZE)

    def assert_backs_up(self, name: str, *, snapshot: bool) -> None:
        """Back a volume up as said, twice, and restore both."""
        with self.connect() as kit:
            plan = kit.plan_backup(f'local:{name}')
            self.assertEqual(snapshot, plan.snapshot)
            contents = {}
            for _ in range(2):
                digest = self.change(name, random.Random(name))
                made = kit.create_backup(f'local:{name}')
                self.assertTrue(made.consistent)
                contents[made.backup_id] = digest
            self.assert_contents(kit, contents)
            self.assert_nothing_left(kit)
        hidden = [path.name for path in self.volumes.rglob('.backupkit-snap*')]
        self.assertEqual([], hidden)

    def test_when_only_volumes_dir_can_clone_then_each_is_backed_up(
        self,
    ) -> None:
        self.place('xfs', 'ext4')
        self.assert_backs_up('here', snapshot=True)
        self.assert_backs_up('sub/there', snapshot=False)

    def test_when_only_what_is_below_can_clone_then_each_is_backed_up(
        self,
    ) -> None:
        self.place('ext4', 'xfs')
        self.assert_backs_up('here', snapshot=False)
        self.assert_backs_up('sub/there', snapshot=True)

    def test_when_the_image_is_written_then_only_a_snapshot_is_no_refusal(
        self,
    ) -> None:
        self.place('xfs', 'ext4')
        with (
            self.connect() as kit,
            (self.volumes / 'here').open('r+b'),
            (self.volumes / 'sub/there').open('r+b'),
        ):
            self.assertTrue(kit.create_backup('local:here').consistent)
            with self.assertRaises(errors.InUse):
                kit.create_backup('local:sub/there')

    def test_when_a_snapshot_is_made_then_it_lies_beside_its_image(
        self,
    ) -> None:
        self.place('ext4', 'xfs')
        driver = sections.load_volume_driver(
            'file', volumes_dir=str(self.volumes)
        )
        taken = driver.snapshot('sub/there', 'name')
        attached = driver.attach('sub/there', taken)
        self.assertEqual(
            self.volumes / 'sub', pathlib.Path(attached.path).parent
        )
        driver.delete_snapshot(taken)
        with self.assertRaises(errors.NotSupported):
            driver.snapshot('here', 'name')
        left = {path.name for path in self.volumes.rglob('*')}
        self.assertEqual({'here', 'sub', 'there'}, left - {'lost+found'})
