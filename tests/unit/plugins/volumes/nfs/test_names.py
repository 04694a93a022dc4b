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

"""Which names are those of volumes, and which of their files."""

from __future__ import annotations

import re
import unittest
import uuid

from backupkit import errors
from backupkit_plugins.volumes.nfs import names

_ID = '1b4e28ba-2fa1-41d2-883f-0016d3cca427'
#: What Cinder lets an overlay be called: _qemu_img_info_base of its
#: remotefs drivers.
_CINDER = re.compile(rf'volume-{_ID}(.(tmp-snap-)?[0-9a-f-]+)?$', re.I)


class NamesTest(unittest.TestCase):
    def test_when_snapshot_is_named_then_cinder_takes_its_file(self) -> None:
        found = set()
        for name in (
            _ID,
            f'backupkit-{_ID}',
            'before-upgrade',
            'clone-x',
            'a.b_c',
        ):
            file = names.overlay(_ID, name)
            self.assertTrue(_CINDER.match(file), file)
            self.assertTrue(names.is_image(_ID, file))
            found.add(file)
        self.assertEqual(5, len(found))

    def test_when_snapshot_is_cinders_then_file_is_as_there(self) -> None:
        name = str(uuid.uuid4())
        self.assertEqual(f'volume-{_ID}.{name}', names.overlay(_ID, name))

    def test_when_file_is_foreign_then_it_is_no_image(self) -> None:
        self.assertTrue(names.is_image('a', 'volume-a'))
        self.assertTrue(names.is_image('a', 'volume-a.tmp-snap-0f'))
        for name in (
            None,
            7,
            '',
            '/etc/passwd',
            'volume-b',
            'volume-ab',
            'volume-a/b',
            'volume-a.x/y',
            '../volume-a',
            'volume-a.info',
            'volume-a.lock',
            'volume-a.backupkit',
            'volume-a.new',
            'volume-a.',
            'volume-a.b.c',
            'volume-a.b\n',
            'json:{}',
            'volume-a.x:y',
        ):
            self.assertFalse(names.is_image('a', name), name)

    def test_when_listed_then_only_volumes_are(self) -> None:
        for name, volume_id in (
            ('volume-a', 'a'),
            ('volume-a.info', 'a'),
            ('volume-a.0f', None),
            ('volume-a.lock', None),
            ('volume-a.backupkit', None),
            ('.volume-a.info.new', None),
            ('volume-', None),
            ('volume-\u00e4', None),
            ('lost+found', None),
        ):
            self.assertEqual(volume_id, names.volume_of(name), name)

    def test_when_snapshot_name_is_no_name_then_refused(self) -> None:
        for name in ('', 'active', '-x', 'a/b', 'a\n', 'a' * 200, '..'):
            with self.assertRaises(errors.UsageError):
                names.overlay('a', name)
