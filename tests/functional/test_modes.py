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

"""Modes of what is made, and names that somebody else has planted."""

from __future__ import annotations

from collections.abc import Callable
import functools
import os
import pathlib
import stat
from typing import Any

from backupkit import api
from backupkit import errors
from tests.functional import stand
from tests.functional import test_cli

_VOLUME = 'local:db01'


class ModeTest(test_cli.CliTest):
    def test_when_any_umask_is_set_then_the_modes_are_the_same(self) -> None:
        self.addCleanup(os.umask, os.umask(0o022))
        self.fill()
        self.good = self.config.read_text()
        for umask in (0o000, 0o022, 0o077):
            place = self.root / f'umask-{umask:03o}'
            place.mkdir()
            os.umask(umask)
            self.use(place)
            made = self.show('backup', 'create', _VOLUME)
            self.show('backup', 'restore', made['id'], '--new', 'local:new')
            self.call('backup', 'delete', made['id'], '--yes')
            self.show('repository', 'gc')
            self.assert_modes(place / 'repo')
            self.assert_modes(place / 'state')
            self.assert_mode(place / 'catalog.sqlite')
            self.assert_mode(self.volumes / 'new')
            (self.volumes / 'new').unlink()

    def use(self, place: pathlib.Path) -> None:
        """Keep backups, catalog and state in another directory."""
        text = self.good
        for name in ('state', 'catalog.sqlite', 'repo'):
            text = text.replace(f'{self.root}/{name}', f'{place}/{name}')
        self.config.write_text(text)

    def assert_modes(self, top: pathlib.Path) -> None:
        for path in (top, *top.rglob('*')):
            self.assert_mode(path)

    def assert_mode(self, path: pathlib.Path) -> None:
        expected = 0o770 if path.is_dir() else 0o660
        self.assertEqual(expected, stat.S_IMODE(path.stat().st_mode), path)


class PlantedTest(stand.Stand):
    """Links in the repository that lead out of it."""

    def setUp(self) -> None:
        super().setUp()
        self.fill('db01', 1, 2 * 1024**2)
        self.made = self.kit(api.Backupkit.create_backup, _VOLUME).backup_id
        self.outside = self.root / 'outside'
        self.outside.mkdir()

    def kit(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the API with nothing remembered; return errors too."""
        with self.connect() as kit:
            try:
                return call(kit, *args, **kwargs)
            except errors.BackupkitError as exc:
                return exc

    def plant(self, path: pathlib.Path) -> None:
        """Move something out of the repository, and link to it there."""
        moved = self.outside / path.name
        path.rename(moved)
        path.symlink_to(moved)

    def seen(self) -> dict[str, bytes | None]:
        """Return all that lies outside."""
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in self.outside.rglob('*')
        }

    def attack(self, path: pathlib.Path) -> None:
        """Do all there is to do with a link planted; nothing follows it."""
        self.plant(path)
        before = self.seen()
        self.assertNotEqual({}, before)
        (self.volumes / 'db01').write_bytes(bytes(2 * 1024**2))
        kit = api.Backupkit
        restored = self.kit(kit.restore_backup, self.made, new='local:new')
        self.assertIsInstance(
            restored, (errors.TargetError, errors.IntegrityError)
        )
        for call, arguments in (
            (kit.verify_backup, (self.made,)),
            (kit.check_repository, ()),
            (kit.create_backup, (_VOLUME,)),
            (kit.delete_backup, (self.made,)),
            (kit.collect_garbage, ()),
            (kit.collect_garbage, ()),
            (kit.rebuild_catalog, ()),
            (functools.partial(kit.doctor, clear=True), ()),
        ):
            self.kit(call, *arguments)
            self.assertEqual(before, self.seen(), call)
        self.assertFalse((self.volumes / 'new').exists())

    def test_when_a_pack_is_a_link_then_it_is_not_followed(self) -> None:
        packs = (self.root / 'repo').rglob('packs/*/*')
        self.attack(next(packs))

    def test_when_a_manifest_is_a_link_then_it_is_not_followed(self) -> None:
        self.attack(next((self.root / 'repo').rglob('manifest')))

    def test_when_a_directory_is_a_link_then_it_is_not_followed(self) -> None:
        self.attack(next((self.root / 'repo').rglob('packs')))

    def test_when_the_top_directory_is_a_link_then_it_is_not_followed(
        self,
    ) -> None:
        self.attack(self.root / 'repo' / 'backups')
