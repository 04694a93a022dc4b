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

"""Backup volumes whose map area nobody vouches for."""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import Any
import unittest

import hypothesis
from hypothesis import strategies as st

from backupkit import errors
from backupkit.repository import digest
from backupkit.repository import frame
from backupkit.repository.image import area as area_
from backupkit.repository.image import block
from backupkit.repository.image import manifest as manifest_
from backupkit.repository import tree
from tests.unit.repository.image import case

_VOLUME = 1 << 22


def resealed(body: bytes) -> bytes:
    """Return a block whose checksum is right again."""
    summed = body[:4064]
    return summed + digest.by_name('blake3')(summed)


class LocatorTest(unittest.TestCase):
    def setUp(self) -> None:
        self.locator = block.Locator(
            block.State.COMMITTED, case.ID, 1 << 20, 5000
        )
        self.packed = self.locator.pack('blake3')

    def test_load_when_packed_then_is_the_same(self) -> None:
        for name in ('blake3', 'sha256'):
            packed = self.locator.pack(name)
            self.assertEqual(4096, len(packed))
            self.assertEqual(self.locator, block.load_locator(packed, _VOLUME))

    def test_load_when_another_block_then_none(self) -> None:
        for other in (bytes(4096), b'x' * 4096, b'', self.packed[:-1]):
            self.assertIsNone(block.load_locator(other, _VOLUME))

    def test_load_when_a_bit_is_flipped_then_never_believed(self) -> None:
        for at in [*range(64), 100, 4000, 4063, 4064, 4095]:
            for bit in range(8):
                broken = bytearray(self.packed)
                broken[at] ^= 1 << bit
                try:
                    found = block.load_locator(bytes(broken), _VOLUME)
                except errors.IntegrityError:
                    continue
                self.assertIsNone(found, f'byte {at}, bit {bit}')

    def test_load_when_a_field_is_out_of_bounds_then_refused(self) -> None:
        far = struct.pack('<Q', _VOLUME)
        cases: list[tuple[int, bytes]] = [
            (9, b'\0'),
            (9, b'\3'),
            (10, b'\1'),
            (32, far),
            (32, b'\xff' * 8),
            (32, struct.pack('<Q', 4097)),
            (40, far),
            (40, b'\xff' * 8),
            (3000, b'\1'),
        ]
        for offset, data in cases:
            with self.subTest(offset=offset, data=data):
                broken = bytearray(self.packed)
                broken[offset : offset + len(data)] = data
                with self.assertRaises(errors.FormatError):
                    block.load_locator(resealed(bytes(broken)), _VOLUME)

    def test_load_when_of_a_newer_version_then_says_so(self) -> None:
        newer = resealed(b'BKLOCAT2' + self.packed[8:])
        with self.assertRaises(errors.FormatTooNew):
            block.load_locator(newer, _VOLUME)


class HeadTest(unittest.TestCase):
    def setUp(self) -> None:
        self.geometry = tree.Geometry(case.SIZE, case.CHUNK)
        root = tree.REF.pack(tree.STORED, 37, b'd' * 32)
        self.head = block.Head(case.ID, self.geometry, root)
        self.packed = self.head.pack('blake3')

    def load(self, packed: bytes) -> block.Head | None:
        """Load a head as that of this backup."""
        return block.load_head(packed, case.ID, self.geometry)

    def test_load_when_packed_then_is_the_same(self) -> None:
        self.assertEqual(self.head, self.load(self.packed))

    def test_load_when_another_backups_then_none(self) -> None:
        found = block.load_head(self.packed, case.OTHER_ID, self.geometry)
        self.assertIsNone(found)

    def test_load_when_of_another_shape_then_refused(self) -> None:
        for geometry in (
            tree.Geometry(case.SIZE + 1, case.CHUNK),
            tree.Geometry(case.SIZE, 2 * case.CHUNK),
        ):
            with self.assertRaises(errors.FormatError):
                block.load_head(self.packed, case.ID, geometry)

    def test_load_when_the_root_is_wrong_then_refused(self) -> None:
        for root in (
            tree.REF.pack(2, 37, bytes(32)),
            tree.REF.pack(1, tree.NODE_BYTES + 1, bytes(32)),
        ):
            head = dataclasses.replace(self.head, root=root)
            with self.assertRaises(errors.FormatError):
                self.load(head.pack('blake3'))

    def test_load_when_a_bit_is_flipped_then_never_believed(self) -> None:
        for at in [*range(84), 2000, 4063, 4064, 4095]:
            broken = bytearray(self.packed)
            broken[at] ^= 16
            try:
                found = self.load(bytes(broken))
            except errors.IntegrityError:
                continue
            self.assertIsNone(found, f'byte {at}')


class ManifestTest(unittest.TestCase):
    root = tree.REF.pack(tree.STORED, 37, b'd' * 32)

    def test_load_when_dumped_then_is_the_same(self) -> None:
        for root in (None, self.root):
            before = case.manifest(root=root)
            found = manifest_.load(manifest_.dump(before).encode(), case.ID)
            summary = dataclasses.replace(
                before.summary,
                service_metadata=found.summary.service_metadata,
            )
            self.assertEqual(
                dataclasses.replace(before, summary=summary), found
            )

    def test_dump_when_too_large_then_refused(self) -> None:
        large = dataclasses.replace(
            case.manifest(), volume_properties={'k': 'v' * (1 << 20)}
        )
        with self.assertRaises(errors.FormatError):
            manifest_.dump(large)

    def test_load_when_a_field_is_wrong_then_refused(self) -> None:
        good = json.loads(manifest_.dump(case.manifest(root=self.root)))
        wrong: dict[str, list[Any]] = {
            'format': [0, 2, '1', None],
            'layout': ['chunks', 'other', 7],
            'backup_id': [case.OTHER_ID, '', 7],
            'size_bytes': [-1, 1 << 61, 1.5, True],
            'chunk_bytes': [0, 4095, 1 << 30],
            'digest': ['md5', '', None],
            'digests': ['some', None],
            'root': [None, {}, {'kind': 7, 'plain': 1, 'digest': 'd' * 64}],
            'volume_properties': [{'a': 1}, []],
            'kind': ['half'],
            'repository_id': ['x'],
        }
        for key, values in wrong.items():
            for value in values:
                with self.subTest(key=key, value=value):
                    text = json.dumps({**good, key: value}).encode()
                    with self.assertRaises(errors.IntegrityError):
                        manifest_.load(text, case.ID)
            if key != 'format':
                rest = json.dumps({k: v for k, v in good.items() if k != key})
                with self.assertRaises(errors.IntegrityError):
                    manifest_.load(rest.encode(), case.ID)


class VolumeTest(case.ImageCase):
    def test_manifest_when_not_where_it_belongs_then_refused(self) -> None:
        path = self.make(self.data())
        area = area_.Area(tree.Geometry(case.SIZE, case.CHUNK))
        with open(path, 'r+b') as file:
            file.seek(area.manifest_offset)
            framed = file.read(area_.MANIFEST_LIMIT)
            length = frame.HEADER.unpack_from(framed)[3] + frame.OVERHEAD
            file.seek(0)
            file.write(framed[:length])
            locator = block.Locator(block.State.COMMITTED, case.ID, 0, length)
            file.seek(-area_.LOCATOR_BYTES, 2)
            file.write(locator.pack('blake3'))
        with (
            self.opened(path) as volume,
            self.assertRaises(errors.FormatError),
        ):
            volume.manifest()

    def test_manifest_when_it_tells_a_huge_size_then_refused(self) -> None:
        path = self.make(self.data())
        huge = manifest_.dump(case.manifest(size=1 << 59)).encode()
        framed = frame.seal(frame.MANIFEST, huge, 'blake3')
        area = area_.Area(tree.Geometry(case.SIZE, case.CHUNK))
        locator = block.Locator(
            block.State.COMMITTED, case.ID, area.manifest_offset, len(framed)
        )
        with open(path, 'r+b') as file:
            file.seek(area.manifest_offset)
            file.write(framed)
            file.seek(-area_.LOCATOR_BYTES, 2)
            file.write(locator.pack('blake3'))
        with (
            self.opened(path) as volume,
            self.assertRaises(errors.FormatError),
        ):
            volume.manifest()

    def test_volume_when_cut_short_then_never_read_as_good(self) -> None:
        path = self.make(self.data())
        whole = area_.Area(tree.Geometry(case.SIZE, case.CHUNK)).volume_bytes
        for size in (0, 4095, 4096, case.SIZE, whole - 4096, whole - 1):
            with open(path, 'r+b') as file:
                file.truncate(size)
            with (
                self.opened(path) as volume,
                self.assertRaises(errors.NotFound),
            ):
                volume.manifest()

    @hypothesis.given(st.data())
    @hypothesis.settings(max_examples=60, deadline=None)
    def test_map_area_when_bytes_are_changed_then_never_wrong(
        self, draw: st.DataObject
    ) -> None:
        if not hasattr(self, 'path'):
            self.plain = bytes(self.data())
            self.path = self.make(self.plain)
            with open(self.path, 'rb') as file:
                self.good = file.read()
        area = area_.Area(tree.Geometry(case.SIZE, case.CHUNK))
        places = st.one_of(
            st.integers(0, case.SIZE - 1),
            st.integers(area.tree_offset, area.tree_offset + area.tree_bytes),
            st.integers(area.manifest_offset, area.manifest_offset + 900),
            st.integers(len(self.good) - 4096, len(self.good) - 1),
        )
        at = draw.draw(places)
        new = draw.draw(st.binary(min_size=1, max_size=40))
        broken = bytearray(self.good)
        broken[at : at + len(new)] = new
        with open(self.path, 'wb') as file:
            file.write(broken[: len(self.good)])
        try:
            found = self.restored(self.path)
        except (errors.IntegrityError, errors.NotFound):
            return
        self.assertEqual(self.plain, found)
