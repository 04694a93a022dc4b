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

"""Backups that are copied to Swift and back, and found there again."""

from __future__ import annotations

import pathlib
import shutil
import tempfile

from backupkit import api
from backupkit import errors
from backupkit import model
from tests.functional import configuration
from tests.functional import stand as functional
from tests.swift import cloud
from tests.swift import stand

_MIB = 1024**2
_SIZE = 6 * _MIB + 12345
_VOLUME = 'local:db01'
_SIZES = 'chunk_size_bytes = 65536\npack_size_bytes = 1048576\n'
_MORE = """\
[target:cloud]
driver = swift
container = {container}
auth_type = v1password
auth_url = {url}
username = {user}
password = {key}
{sizes}
[target:back]
driver = posix
backup_posix_path = {root}/back
chunk_size_bytes = 131072
pack_size_bytes = 1048576
"""


class CopyCase(functional.Stand):
    """Base class: targets ``repo``, in files, ``cloud``, and ``back``.

    The chunks of the last are larger than those of the others.
    """

    def make_place(self, root: pathlib.Path) -> None:
        if not hasattr(self, 'container'):
            self.container = stand.container()
        self.root = root
        self.volumes = root / 'volumes'
        path = configuration.write(root, _SIZES)
        text = path.read_text().replace(
            'enabled_targets = repo', 'enabled_targets = repo,cloud,back'
        )
        (root / 'back').mkdir()
        text += _MORE.format(
            root=root,
            container=self.container,
            url=cloud.cloud().auth_url,
            user=cloud.USER,
            key=cloud.KEY,
            sizes=_SIZES,
        )
        path.write_text(text)

    def move_away(self) -> None:
        """Lose all but the container, and begin on another host."""
        shutil.rmtree(self.root)
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.make_place(pathlib.Path(made.name).resolve())

    def assert_good(
        self, kit: api.Backupkit, backup_id: str, digest: str
    ) -> None:
        """Check that a backup has every byte of what was once there."""
        self.assert_verified(kit, {backup_id}, full=True)
        self.assertEqual(digest, self.restored(kit, backup_id))


class CopyTest(CopyCase):
    def test_when_the_original_is_gone_then_it_comes_back_from_there(
        self,
    ) -> None:
        digest = self.fill('db01', 1, _SIZE)
        with self.connect() as kit:
            first = kit.create_backup(_VOLUME)
            kept = kit.copy_backup(first.backup_id, to='cloud')
            self.assertEqual('cloud', kept.target)
            kit.delete_backup(first.backup_id)
            kit.collect_garbage('repo')
            (self.volumes / 'db01').unlink()
            for target in ('repo', 'back'):
                row = kit.copy_backup(kept.backup_id, to=target)
                self.assertEqual(model.BackupStatus.AVAILABLE, row.status)
                self.assertEqual(first.created_at, row.created_at)
                self.assert_good(kit, row.backup_id, digest)
            kit.delete_backup(kept.backup_id)
            kit.collect_garbage('cloud')
            with self.assertRaises(errors.NotFound):
                kit.restore_backup(kept.backup_id, new='local:none')
            self.assert_good(kit, row.backup_id, digest)
            self.assert_nothing_left(kit)

    def test_when_the_next_is_copied_then_only_what_is_new_goes(self) -> None:
        self.fill('db01', 1, _SIZE)
        with self.connect() as kit:
            first = kit.create_backup(_VOLUME)
            whole = kit.copy_backup(first.backup_id, to='cloud')
            with (self.volumes / 'db01').open('r+b') as image:
                image.seek(2 * _MIB)
                image.write(b'changed')
            second = kit.create_backup(_VOLUME)
            copied = kit.copy_backup(second.backup_id, to='cloud')
            self.assertGreater(whole.stored_bytes or 0, _SIZE)
            self.assertLess(copied.stored_bytes or 0, _MIB)
            kit.delete_backup(whole.backup_id)
            kit.collect_garbage('cloud')
            self.assert_good(kit, copied.backup_id, self.digest('db01'))


class RebuildTest(CopyCase):
    def test_when_nothing_but_the_container_is_left_then_all_is_there(
        self,
    ) -> None:
        self.fill('db01', 1, _SIZE)
        with self.connect() as kit:
            row = kit.create_backup(_VOLUME, target='cloud', name='weekly')
            contents = {row.backup_id: self.digest('db01')}
            with (self.volumes / 'db01').open('r+b') as image:
                image.write(b'changed')
            second = kit.create_backup(_VOLUME, target='cloud')
            contents[second.backup_id] = self.digest('db01')
        self.move_away()
        with self.connect() as kit:
            self.assertEqual([], list(kit.list_backups()))
            self.assertEqual(2, kit.rebuild_catalog('cloud').added)
            self.assertEqual(set(contents), self.good(kit))
            self.assertEqual('weekly', kit.show_backup(row.backup_id).name)
            for backup_id, digest in contents.items():
                self.assert_good(kit, backup_id, digest)
            again = kit.copy_backup(row.backup_id, to='repo')
            self.assert_good(kit, again.backup_id, contents[row.backup_id])

    def test_when_it_is_adopted_then_the_next_backup_rests_on_it(
        self,
    ) -> None:
        digest = self.fill('db01', 1, _SIZE)
        with self.connect() as kit:
            row = kit.create_backup(_VOLUME, target='cloud')
        self.move_away()
        self.assertEqual(digest, self.fill('db01', 1, _SIZE))
        with self.connect() as kit:
            kit.rebuild_catalog('cloud')
            with self.assertRaises(errors.NotOwner):
                kit.create_backup(_VOLUME, target='cloud')
            kit.adopt_repository('cloud')
            following = kit.create_backup(_VOLUME, target='cloud')
            self.assertEqual(row.backup_id, following.parent_id)
            self.assertLess(following.stored_bytes or 0, _MIB)
            kit.delete_backup(row.backup_id)
            kit.collect_garbage('cloud')
            self.assert_good(kit, following.backup_id, digest)
