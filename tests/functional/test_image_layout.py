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

"""The layout ``image`` on real file systems, beside the layout ``chunks``."""

from __future__ import annotations

import os
import pathlib
import random
from typing import ClassVar, TYPE_CHECKING

from backupkit import api
from backupkit import errors
from backupkit import model
from tests.functional import configuration
from tests.functional import filesystems
from tests.functional import stand
from tests.functional import test_kills

_MIB = 1024**2
_SIZE = 40 * _MIB + 513
_SECTIONS = """\
[backend:local]
driver = file
volumes_dir = {volumes}
storage_pool = one
[target:repo]
driver = posix
backup_posix_path = {place}
storage_pool = two
chunk_size_bytes = 65536
pack_size_bytes = 1048576
layout = {layout}
offload = {offload}
"""


class _Images(stand.Stand):
    """Writes configurations of one place, with one layout or the other."""

    place: pathlib.Path

    def write(self, layout: str = 'image', offload: str = 'share') -> None:
        """Write the configuration: backups are kept like this from now on."""
        self.volumes.mkdir(exist_ok=True)
        text = configuration.beginning(self.root) + _SECTIONS.format(
            volumes=self.volumes,
            place=self.place,
            layout=layout,
            offload=offload,
        )
        (self.root / 'backupkit.conf').write_text(text)

    def stored(self, name: str = 'image') -> list[pathlib.Path]:
        """Return the files of all images, or all their digest trees."""
        return sorted(self.place.glob(f'backups/*/*/*/{name}-*'))


if TYPE_CHECKING:
    _Base = _Images
else:
    # A mixin must not run by itself.
    _Base = object


class ImageKillTest(_Images, test_kills.KillCase):
    kills: ClassVar[int] = 12

    def make_place(self, root: pathlib.Path) -> None:
        self.root = root
        self.volumes = root / 'volumes'
        self.place = root / 'repository'
        self.write(offload='none')

    def assert_sound(self, kit: api.Backupkit) -> None:
        """Check all of it, and that each image has its backup."""
        super().assert_sound(kit)
        kit.collect_garbage('repo')
        kept = {path.parent.name for path in self.stored()}
        self.assertEqual(self.good(kit), kept)
        self.assertEqual([], list(self.place.rglob('.tmp-*')))

    def test_when_a_backup_is_killed_then_nothing_is_lost(self) -> None:
        self.kill(self.kills, test_kills._back_up, self.none_is_lost)


class _Shared(_Base):
    """A mixin: volumes and images on one file system that shares blocks."""

    kind: str

    def make_place(self, root: pathlib.Path) -> None:
        self.random = random.Random(self.id())
        self.root = root
        self.mounted = pathlib.Path(
            filesystems.mounted(self.addCleanup, self.kind)
        )
        self.volumes = self.mounted / 'volumes'
        self.place = self.mounted / 'repository'

    def taken(self, before: int) -> int:
        """Return how much less is free than before."""
        return before - self.free()

    def free(self) -> int:
        os.sync()
        found = os.statvfs(self.mounted)
        return found.f_bfree * found.f_frsize

    def flip(self, path: pathlib.Path, at: int) -> None:
        """Flip a bit of a file."""
        with path.open('r+b') as file:
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes((byte ^ 16,)))

    def test_backup_when_blocks_are_shared_then_nothing_is_read(self) -> None:
        self.write()
        digest = self.fill('db01', 1, _SIZE)
        before = self.free()
        with self.connect() as kit:
            row = kit.create_backup('local:db01')
            self.assertEqual((0, 0), (row.read_bytes, row.stored_bytes))
            self.assertLess(self.taken(before), 8 * _MIB)
            self.assertEqual([], self.stored('tree'))
            self.assertEqual(digest, self.restored(kit, row.backup_id))
            # It was verified by none: now it is, once, and every byte.
            report = kit.verify_backup(row.backup_id)
            self.assertTrue(report.good)
            self.assertGreater(report.bytes_read, 39 * _MIB)
            self.assertEqual(1, len(self.stored('tree')))
            report = kit.verify_backup(row.backup_id)
            self.assertEqual(0, report.bytes_read)
            self.assertEqual(digest, self.restored(kit, row.backup_id))
            self.assert_sound(kit)
            self.assert_nothing_left(kit)

    def test_backup_when_read_then_a_clone_takes_the_changes(self) -> None:
        self.write(offload='none')
        self.fill('db01', 1, _SIZE)
        contents = {}
        with self.connect() as kit:
            for _ in range(3):
                row = kit.create_backup('local:db01')
                contents[row.backup_id] = self.digest('db01')
                before = self.free()
                self.change('db01', self.random)
            row = kit.create_backup('local:db01')
            contents[row.backup_id] = self.digest('db01')
            self.assertEqual(model.BackupKind.INCREMENTAL, row.kind)
            self.assertLess(row.stored_bytes, 3 * _MIB)
            self.assertLess(self.taken(before), 12 * _MIB)
            self.assert_verified(kit, set(contents), full=True)
            first = next(iter(contents))
            kit.delete_backup(first)
            del contents[first]
            self.assertEqual(3, len(self.stored()))
            self.assert_contents(kit, contents)
            self.assertEqual(3, kit.rebuild_catalog().found)
            self.assert_sound(kit)
            self.assert_nothing_left(kit)

    def test_image_when_a_bit_flips_then_it_is_found(self) -> None:
        for offload in ('none', 'share'):
            self.write(offload=offload)
            self.fill('db01', 1, _SIZE)
            with self.connect() as kit:
                made = kit.create_backup('local:db01', full=True).backup_id
                self.assertTrue(kit.verify_backup(made, full=True).good)
                directory = next(self.place.glob(f'backups/*/*/{made}'))
                for name, at in (
                    ('image', 7 * _MIB),
                    ('image', _SIZE - 1),
                    ('tree', 0),
                    ('tree', 100),
                    ('tree', 4096),
                    ('manifest', 50),
                ):
                    with self.subTest(offload=offload, name=name, at=at):
                        (path,) = directory.glob(f'{name}*')
                        self.flip(path, at)
                        report = kit.verify_backup(made, full=True)
                        self.assertFalse(report.good)
                        self.flip(path, at)
                        report = kit.verify_backup(made, full=True)
                        self.assertTrue(report.good)
                (image,) = directory.glob('image-*')
                self.flip(image, 7 * _MIB)
                with self.assertRaises(errors.IntegrityError):
                    self.restored(kit, made)
                kit.doctor(clear=True)
                kit.delete_backup(made)


class XfsImageTest(_Shared, _Images):
    kind = 'xfs'

    def test_targets_when_layouts_differ_then_each_reads_both(self) -> None:
        contents = {}
        self.write('chunks')
        self.fill('db01', 1, _SIZE)
        for layout in ('chunks', 'image', 'chunks', 'image', 'image'):
            self.write(layout, 'none')
            with self.connect() as kit:
                row = kit.create_backup('local:db01')
                contents[row.backup_id] = self.digest('db01')
                self.change('db01', self.random)
        for layout in ('chunks', 'image'):
            self.write(layout)
            with self.connect() as kit:
                self.assertEqual(5, kit.rebuild_catalog().found)
                self.assert_contents(kit, contents)
                self.assert_verified(kit, set(contents), full=True)
                self.assert_sound(kit)
                stats = kit.repository_stats('repo')
                self.assertEqual(len(contents), stats['backups'])
                gone = next(iter(contents))
                kit.delete_backup(gone)
                del contents[gone]
                kit.collect_garbage('repo')
                self.assert_contents(kit, contents)
                kit.create_backup('local:db01')
                (new,) = self.good(kit) - contents.keys()
                contents[new] = self.digest('db01')
                self.assert_nothing_left(kit)
        self.assertEqual(3, len(self.stored()))

    def test_backup_when_the_place_is_full_then_says_so(self) -> None:
        self.write(offload='none')
        self.fill('db01', 1, _SIZE)
        with self.connect() as kit:
            first = kit.create_backup('local:db01').backup_id
            found = os.statvfs(self.mounted)
            length = found.f_bavail * found.f_frsize - 16 * _MIB
            with (self.mounted / 'ballast').open('wb') as file:
                os.posix_fallocate(file.fileno(), 0, length)
            with self.assertRaises(errors.TargetFull):
                kit.create_backup('local:db01', full=True)
            self.assertEqual(1, len(self.stored()))
            kit.delete_backup(first)
            self.assertEqual([], self.stored())
            self.assert_nothing_left(kit)


class BtrfsImageTest(_Shared, _Images):
    kind = 'btrfs'
