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


"""The file with properties for a new volume."""

import pathlib
import tempfile
import unittest

from backupkit.cli import overrides
from backupkit import errors


class ReadTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = pathlib.Path(place.name, 'override.json')

    def test_read_when_no_file_is_named_then_nothing(self) -> None:
        self.assertIsNone(overrides.read(None))

    def test_read_when_it_is_an_object_then_returned(self) -> None:
        self.path.write_text('{"name": "db", "image.os": "debian"}')
        self.assertEqual(
            {'name': 'db', 'image.os': 'debian'},
            overrides.read(str(self.path)),
        )

    def test_read_when_it_is_anything_else_then_refused(self) -> None:
        for text in (
            '',
            'name: db',
            '["name"]',
            '{"bootable": true}',
            '{"size": 1}',
            '[' * 100_000,
            '\udcff',
        ):
            with self.subTest(text=text[:20]):
                self.path.write_bytes(text.encode(errors='surrogateescape'))
                with self.assertRaises(errors.UsageError):
                    overrides.read(str(self.path))

    def test_read_when_there_is_none_then_refused(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, 'override.json'):
            overrides.read(str(self.path))
