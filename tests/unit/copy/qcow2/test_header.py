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

"""What is read of a qcow2 header, and what is refused."""

from __future__ import annotations

import os
import random
import tempfile
import unittest

from backupkit.copy.qcow2 import bitmaps
from backupkit.copy.qcow2 import header
from backupkit import errors
from tests.unit.copy.qcow2 import images

Image = images.Image


def read(content: bytes) -> header.Header:
    """Read the header of a file of these bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return header.read(file.fileno())


class GoodTest(unittest.TestCase):
    def test_when_it_is_plain_then_it_is_told(self) -> None:
        for version in (2, 3):
            found = read(Image(version=version).bytes())
            self.assertEqual(
                header.Header(64 << 20, version, images.CLUSTER), found
            )

    def test_when_there_is_a_backing_file_then_both_names_are_told(
        self,
    ) -> None:
        for version in (2, 3):
            image = Image(
                version=version,
                backing=b'volume-1',
                extensions=[(images.BACKING_FORMAT, b'raw')],
            )
            found = read(image.bytes())
            self.assertEqual('volume-1', found.backing_file)
            self.assertEqual('raw', found.backing_format)

    def test_when_the_name_is_odd_then_it_is_told_as_it_stands(self) -> None:
        for name in ('json:{"driver":"file"}', 'nbd://host/', '/etc/passwd'):
            found = read(Image(backing=name.encode()).bytes())
            self.assertEqual(name, found.backing_file)

    def test_when_it_was_not_closed_then_it_is_told(self) -> None:
        self.assertTrue(read(Image(incompatible=1).bytes()).dirty)

    def test_when_there_are_snapshots_then_they_are_counted(self) -> None:
        image = Image(
            snapshots=2,
            snapshots_offset=4 * images.CLUSTER,
            tail=bytes(images.CLUSTER),
        )
        self.assertEqual(2, read(image.bytes()).snapshots)

    def test_when_the_compression_is_known_then_it_is_fine(self) -> None:
        image = Image(
            incompatible=8, header_length=112, after_header=b'\1' + bytes(7)
        )
        self.assertEqual(3, read(image.bytes()).version)

    def test_when_an_extension_is_unknown_then_it_is_passed_over(
        self,
    ) -> None:
        image = Image(
            backing=b'b',
            extensions=[(0x12345678, b'abc'), (images.BACKING_FORMAT, b'raw')],
        )
        self.assertEqual('raw', read(image.bytes()).backing_format)


class BitmapTest(unittest.TestCase):
    def test_when_there_are_bitmaps_then_their_states_are_told(self) -> None:
        image = images.with_bitmaps((b'one', 2), (b'two', 3), (b'three', 0))
        told = {
            found.name: (found.in_use, found.enabled)
            for found in read(image.bytes()).bitmaps
        }
        self.assertEqual(
            {
                'one': (False, True),
                'two': (True, True),
                'three': (False, False),
            },
            told,
        )

    def test_when_another_program_wrote_then_there_are_none(self) -> None:
        image = images.with_bitmaps((b'one', 2))
        image.autoclear = 0
        self.assertEqual((), read(image.bytes()).bitmaps)

    def test_when_a_bitmap_is_of_another_kind_then_it_is_left_out(
        self,
    ) -> None:
        for kind, bits in ((2, 16), (1, 8), (1, 32)):
            image = images.with_bitmaps((b'one', 2))
            image.tail = images.bitmap_directory(
                (b'one', 2), kind=kind, bits=bits
            )
            self.assertEqual((), read(image.bytes()).bitmaps)

    def test_when_the_directory_leads_out_then_refused(self) -> None:
        image = images.with_bitmaps((b'one', 2))
        image.tail = image.tail[:-1]
        with self.assertRaisesRegex(errors.SourceError, 'behind the end'):
            read(image.bytes())
        for tail in (bytes(32), b'\xff' * 32):
            image.tail = tail
            with self.assertRaises(errors.SourceError):
                read(image.bytes())

    def test_when_it_is_read_then_the_granularity_is_in_bytes(self) -> None:
        (found,) = read(images.with_bitmaps((b'one', 2)).bytes()).bitmaps
        self.assertEqual(
            bitmaps.Bitmap('one', 65536, in_use=False, enabled=True), found
        )


#: What is refused, and a word of why.
BAD: tuple[tuple[str, Image], ...] = (
    ('version 4', Image(version=4)),
    ('version 1', Image(version=1)),
    ('external data file', Image(incompatible=4)),
    ('external data file', Image(autoclear=2)),
    ('external data file', Image(extensions=[(images.DATA_FILE, b'/etc')])),
    ('corrupt', Image(incompatible=2)),
    ('not known', Image(incompatible=1 << 40)),
    ('compression', Image(incompatible=8)),
    (
        'compression',
        Image(incompatible=8, header_length=112, after_header=b'\7' * 8),
    ),
    ('encrypted', Image(encryption=1)),
    ('encrypted', Image(version=2, encryption=2)),
    ('encrypted', Image(extensions=[(images.ENCRYPTION, bytes(16))])),
    ('clusters', Image(cluster_bits=8)),
    ('clusters', Image(cluster_bits=22)),
    ('clusters', Image(cluster_bits=0xFFFFFFFF)),
    ('virtual size', Image(size=513)),
    ('virtual size', Image(size=1 << 60, l1_entries=1 << 20)),
    ('L1 table of', Image(l1_entries=1 << 31)),
    ('too small', Image(l1_entries=0)),
    ('too small', Image(size=1 << 40)),
    ('L1 table at', Image(l1_offset=100)),
    ('L1 table at', Image(l1_offset=0)),
    ('L1 table behind', Image(l1_offset=1 << 40)),
    ('references', Image(refcounts_clusters=0)),
    ('references', Image(refcounts_clusters=1 << 30)),
    ('references behind', Image(refcounts_offset=1 << 50)),
    ('internal snapshots', Image(snapshots=1 << 31)),
    (
        'snapshots behind',
        Image(snapshots=9, snapshots_offset=4 * images.CLUSTER),
    ),
    ('reference counts', Image(refcount_order=7)),
    ('bytes long', Image(header_length=96)),
    ('bytes long', Image(header_length=1 << 30)),
    ('backing file', Image(backing=b'x', backing_offset=1 << 40)),
    ('backing file', Image(backing=b'x', backing_offset=8)),
    ('backing file', Image(backing=b'x' * 2000)),
    ('no text', Image(backing=b'\xff\xfe')),
    ('no text', Image(backing=b'a\0b')),
    ('leads out', Image(extensions=[(0x1234, bytes(images.CLUSTER))])),
    ('twice', Image(extensions=[(7, b'a'), (7, b'b')])),
)


class BadTest(unittest.TestCase):
    def test_when_a_field_is_bad_then_it_is_named(self) -> None:
        for told, image in BAD:
            content = image.bytes()[: 8 * images.CLUSTER]
            with (
                self.subTest(image=image),
                self.assertRaisesRegex(errors.SourceError, told),
            ):
                read(content)

    def test_when_it_is_another_format_then_refused(self) -> None:
        for content in (
            b'',
            b'QFI\xfb',
            bytes(4096),
            b'QED\0' + bytes(4096),
            b'KDMV' + bytes(4096),
            b'# Disk DescriptorFile\ncreateType="monolithicFlat"\n' * 20,
        ):
            with self.assertRaisesRegex(errors.SourceError, 'no qcow2'):
                read(content)

    def test_when_it_is_cut_off_anywhere_then_refused(self) -> None:
        content = Image(backing=b'volume-1').bytes()
        for length in range(200):
            with self.assertRaises(errors.SourceError):
                read(content[:length])

    def test_when_any_bytes_are_changed_then_it_is_read_or_refused(
        self,
    ) -> None:
        draw = random.Random(5)
        sources = [
            Image(backing=b'volume-1').bytes(),
            images.with_bitmaps((b'one', 2), (b'two', 3)).bytes(),
            Image(extensions=[(images.BACKING_FORMAT, b'raw')]).bytes(),
        ]
        refused = 0
        with tempfile.TemporaryFile() as file:
            for turn in range(3000):
                content = bytearray(sources[turn % len(sources)])
                for _ in range(draw.randrange(1, 4)):
                    at = draw.choice((draw.randrange(256), len(content) - 30))
                    content[at] = draw.randrange(256)
                os.pwrite(file.fileno(), content, 0)
                os.truncate(file.fileno(), len(content))
                try:
                    header.read(file.fileno())
                except errors.SourceError:
                    refused += 1
        self.assertGreater(refused, 300)
