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

"""Backups as images on a share, past the page cache of a real client."""

from __future__ import annotations

from tests.nfs import stand

_MIB = 1024**2


class ImagesTest(stand.NfsStand):
    def test_image_when_on_a_share_then_all_is_as_elsewhere(self) -> None:
        self.configure(more='layout = image')
        contents = {}
        with self.connect() as kit:
            self.fill('db01', 1, 8 * _MIB + 77)
            with (self.volumes / 'db01').open('r+b') as image:
                image.truncate(24 * _MIB + 77)
            for text in (b'first', b'second', b'third'):
                with (self.volumes / 'db01').open('r+b') as image:
                    image.write(text)
                row = kit.create_backup('local:db01')
                contents[row.backup_id] = self.digest('db01')
            self.assertEqual(8, row.data_bytes // _MIB)
            self.assert_verified(kit, set(contents), full=True)
            self.assert_contents(kit, contents)
            first = next(iter(contents))
            kit.delete_backup(first)
            del contents[first]
            kit.collect_garbage()
            self.configure(more='layout = chunks')
        with self.connect() as kit:
            row = kit.create_backup('local:db01')
            contents[row.backup_id] = self.digest('db01')
            self.assertEqual(3, kit.rebuild_catalog().found)
            self.assert_contents(kit, contents)
            self.assert_sound(kit)
            self.assert_nothing_left(kit)
