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

"""Chains of images, compared with what is recorded of them."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import unittest

from backupkit.copy.qcow2 import chain
from backupkit import errors
from backupkit import model
from tests.unit.copy.qcow2 import images

Image = images.Image
QCOW2 = 'qcow2'


def above(name: bytes, backing_format: bytes = b'qcow2') -> bytes:
    """Return an image that names another one below it."""
    return Image(
        backing=name,
        extensions=[(images.BACKING_FORMAT, backing_format)],
    ).bytes()


class ChainTest(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name)
        self.directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, self.directory)

    def put(self, name: str, content: bytes) -> None:
        (self.root / name).write_bytes(content)

    def check(self, *links: tuple[str, str]) -> list[object]:
        recorded = [model.Link(*link) for link in links]
        return list(chain.check(self.directory, recorded))

    def assert_refused(self, told: str, *links: tuple[str, str]) -> None:
        with self.assertRaisesRegex(errors.SourceError, told):
            self.check(*links)

    def test_when_it_is_as_recorded_then_the_headers_are_told(self) -> None:
        self.put('top', above(b'middle'))
        self.put('middle', above(b'base', b'raw'))
        self.put('base', b'QFI\xfb of its user')
        told = self.check(('top', QCOW2), ('middle', QCOW2), ('base', 'raw'))
        self.assertEqual(3, len(told))
        self.assertIsNone(told[2])

    def test_when_raw_then_it_is_not_looked_at(self) -> None:
        self.put('volume', above(b'/etc/passwd'))
        self.assertEqual([None], self.check(('volume', 'raw')))

    def test_when_a_backing_file_is_not_recorded_then_refused(self) -> None:
        for name in (b'/etc/passwd', b'json:{}', b'base', b'nbd:x:1'):
            self.put('volume', above(name))
            self.assert_refused('none is recorded', ('volume', QCOW2))

    def test_when_another_one_is_named_then_refused(self) -> None:
        self.put('base', Image().bytes())
        for name in (b'other', b'./base', b'/tmp/base', b'file:base', b''):
            self.put('volume', above(name))
            self.assert_refused(
                "'base' is recorded", ('volume', QCOW2), ('base', QCOW2)
            )

    def test_when_its_format_differs_then_refused(self) -> None:
        self.put('base', Image().bytes())
        for named in (b'raw', b'', b'vmdk'):
            self.put('volume', above(b'base', named))
            self.assert_refused(
                'the format', ('volume', QCOW2), ('base', QCOW2)
            )

    def test_when_the_base_goes_on_then_refused(self) -> None:
        self.put('volume', above(b'base'))
        self.put('base', above(b'/etc/passwd'))
        self.assert_refused(
            'image base is refused', ('volume', QCOW2), ('base', QCOW2)
        )

    def test_when_a_format_is_unknown_then_refused(self) -> None:
        self.put('volume', bytes(512))
        self.assert_refused('unknown format', ('volume', 'vmdk'))
        self.assert_refused(
            'cannot lie above', ('volume', 'raw'), ('volume', 'raw')
        )

    def test_when_a_name_leads_elsewhere_then_refused(self) -> None:
        for name in ('', '.', '..', '../x', '/etc/passwd', 'a/b', 'a\0b'):
            self.assert_refused('is not the name', (name, 'raw'))

    def test_when_a_file_is_a_link_or_pipe_then_refused(self) -> None:
        (self.root / 'link').symlink_to('/etc/passwd')
        self.assert_refused('links are not followed', ('link', 'raw'))
        os.mkfifo(self.root / 'pipe')
        self.assert_refused('not a regular file', ('pipe', 'raw'))

    def test_when_a_file_is_missing_then_not_found(self) -> None:
        with self.assertRaises(errors.VolumeNotFound):
            self.check(('none', 'raw'))

    def test_when_the_chain_is_too_long_then_refused(self) -> None:
        self.assert_refused('chain of 0 images')
        self.assert_refused('chain of 300', *([('a', QCOW2)] * 300))

    def test_options_when_told_then_nothing_is_left_to_headers(self) -> None:
        links = [model.Link('top', QCOW2), model.Link('base', QCOW2)]
        told = chain.options([70, 71], links)
        tree = json.loads(told.removeprefix('json:'))
        self.assertEqual(
            {
                'driver': 'qcow2',
                'file': {'driver': 'file', 'filename': '/proc/self/fd/70'},
                'backing': {
                    'driver': 'qcow2',
                    'file': {
                        'driver': 'file',
                        'filename': '/proc/self/fd/71',
                    },
                    'backing': None,
                },
            },
            tree,
        )
