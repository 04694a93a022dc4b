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

"""Bytes that nobody vouches for are refused, quickly and in little memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import itertools
import json
import string
import struct
import subprocess
import sys
import time
import tracemalloc
from typing import Any
import unittest
import zlib

import hypothesis
from hypothesis import strategies
import lz4.frame
import zstandard

from backupkit.copy import control
from backupkit.copy import interface
from backupkit.drivers import store as contract
from backupkit import errors
from backupkit import model
from backupkit.repository import codec
from backupkit.repository import digest
from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import limits
from backupkit.repository import manifest
from backupkit.repository import moved
from backupkit.repository import pack
from backupkit.repository import tree
from backupkit.testing.memory import catalog
from backupkit.testing.memory import store as memory
from tests.unit.repository import frugal
from tests.unit.repository import hostile
from tests.unit.repository import test_golden

#: How thorough this run is: 1 by default.
FACTOR = hypothesis.settings().max_examples / 100

#: Memory that hostile bytes of a few KiB may cost.
MEMORY_LIMIT = 64 << 20

#: Seconds for one input, on a machine that does much else.
SECONDS_LIMIT = 5.0

_JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(1 << 70), 1 << 70)
    | strategies.floats()
    | strategies.text(max_size=20)
    | strategies.sampled_from(
        [
            '\ud800',
            '\0',
            'x' * 5000,
            '../..',
            '0-99999999',
            '9-1',
            hostile.BACKUP,
        ]
    ),
    lambda inner: (
        strategies.lists(inner, max_size=5)
        | strategies.dictionaries(
            strategies.sampled_from([hostile.BACKUP, 'a77e0001', '..', ''])
            | strategies.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


def refused(parser: hostile.Parser, data: bytes) -> bool:
    """Parse bytes, and tell whether they were refused as they should be."""
    try:
        parser.read(data)
    except errors.IntegrityError:
        return True
    return False


class TestSpoiled(unittest.TestCase):
    """Good bytes with some things done to them."""

    def test_when_nothing_is_spoiled_then_all_is_read(self) -> None:
        for name, parser in hostile.PARSERS.items():
            self.assertFalse(refused(parser, parser.good), name)

    def test_when_bytes_are_spoiled_then_only_one_family_is_raised(
        self,
    ) -> None:
        for name, parser in hostile.PARSERS.items():
            for data in hostile.spoiled(parser, int(10_000 * FACTOR)):
                begin = time.perf_counter()
                try:
                    refused(parser, data)
                except Exception as exc:
                    exc.add_note(f'{name}: {data!r}')
                    raise
                spent = time.perf_counter() - begin
                self.assertLess(spent, SECONDS_LIMIT, f'{name}: {data!r}')

    def test_when_a_frame_is_accepted_then_it_is_the_good_one(self) -> None:
        parser = hostile.PARSERS['frame']
        for data in hostile.spoiled(parser, 10_000):
            if not refused(parser, data):
                self.assertEqual(parser.good, data)

    def test_when_bytes_are_spoiled_then_little_memory_is_used(self) -> None:
        for name, parser in hostile.PARSERS.items():
            tracemalloc.start()
            try:
                for data in hostile.spoiled(parser, int(500 * FACTOR)):
                    tracemalloc.reset_peak()
                    refused(parser, data)
                    _, peak = tracemalloc.get_traced_memory()
                    self.assertLess(peak, MEMORY_LIMIT, f'{name}: {data!r}')
            finally:
                tracemalloc.stop()


class TestDocuments(unittest.TestCase):
    """Documents with wrong fields, in frames with right checksums."""

    @hypothesis.given(data=strategies.data())
    def test_when_fields_are_wrong_then_only_one_family_is_raised(
        self, data: strategies.DataObject
    ) -> None:
        for name in ('config', 'adoption', 'manifest', 'note'):
            parser = hostile.PARSERS[name]
            document = hostile.document(parser)
            keys = strategies.sampled_from(sorted(document))
            wrong = data.draw(
                strategies.dictionaries(keys, _JSON, min_size=1, max_size=3)
            )
            text = json.dumps({**document, **wrong}).encode()
            if parser.magic:
                text = frame.seal(parser.magic, text, 'blake3')
            refused(parser, text)

    @hypothesis.given(inner=_JSON, data=strategies.data())
    def test_when_nested_fields_are_wrong_then_the_same(
        self, inner: object, data: strategies.DataObject
    ) -> None:
        places: list[tuple[str, str, Any]] = [
            ('manifest', 'packs', {hostile.BACKUP: {'a77e0001': inner}}),
            ('manifest', 'packs', {hostile.BACKUP: inner}),
            ('manifest', 'index', {hostile.BACKUP: {'a77e0001': inner}}),
            ('manifest', 'root', {'kind': 1, 'plain': inner, 'digest': inner}),
            ('manifest', 'volume_properties', {'x': inner}),
            ('note', 'chunks', [inner]),
            ('note', 'chunks', [['05' * 32, inner, 'a77e0001', inner]]),
            ('note', 'chunks', [[inner, hostile.BACKUP, inner, 1]]),
            ('note', 'packs', {hostile.BACKUP: {'a77e0001': inner}}),
        ]
        name, key, value = data.draw(strategies.sampled_from(places))
        parser = hostile.PARSERS[name]
        document = {**hostile.document(parser), key: value}
        text = json.dumps(document).encode()
        if parser.magic:
            text = frame.seal(parser.magic, text, 'blake3')
        refused(parser, text)

    def test_when_a_document_is_no_good_json_then_it_is_refused(self) -> None:
        for text in (
            b'',
            b'[]',
            b'1',
            b'{"a":NaN}',
            b'{"a":-Infinity}',
            b'{"a":1,"a":1}',
            b'{"b":{"a":1,"a":2}}',
            b'{"a":' + b'9' * 5000 + b'}',
            b'\xff\xfe{}',
            b'{"a":' * 33 + b'1' + b'}' * 33,
            b'{"a":' * 5000 + b'1' + b'}' * 5000,
            b'{"a":' + b'[' * 100_000,
        ):
            with self.assertRaises(errors.FormatError):
                frame.load_json(text, 'it')

    def test_when_a_text_holds_brackets_then_it_is_no_nesting(self) -> None:
        text = '[{' * 500
        found = frame.load_json(frame.dump_json({'name': text}), 'it')
        self.assertEqual(text, found['name'])

    def test_when_fields_are_as_large_as_allowed_then_all_is_read(
        self,
    ) -> None:
        parser = hostile.PARSERS['manifest']
        document = hostile.document(parser)
        document |= {'name': '\u00e4' * 4096, 'size_bytes': 1 << 60}
        parser.read(json.dumps(document).encode())
        for wrong in ({'name': 'x' * 4097}, {'size_bytes': (1 << 60) + 1}):
            self.assertTrue(
                refused(parser, json.dumps({**document, **wrong}).encode())
            )

    def test_when_a_manifest_could_not_be_read_then_it_is_not_written(
        self,
    ) -> None:
        parser = hostile.PARSERS['manifest']
        good = manifest.load(parser.good, hostile.BACKUP)
        for name in ('x' * 5000, 'x\0', '\udcff'):
            wrong = dataclasses.replace(
                good,
                summary=dataclasses.replace(good.summary, name=name),
            )
            with self.assertRaises(errors.FormatError):
                manifest.dump(wrong)


_U32 = strategies.integers(0, (1 << 32) - 1) | strategies.integers(0, 1 << 17)


class TestBinary(unittest.TestCase):
    """Binary tables with any numbers in them, under right checksums."""

    @hypothesis.given(
        records=strategies.lists(
            strategies.tuples(
                strategies.binary(min_size=32, max_size=32),
                _U32,
                _U32,
                _U32,
                _U32,
                strategies.integers(0, 255),
                strategies.integers(0, 255),
                strategies.integers(0, 65535),
            ),
            max_size=6,
        ),
        packs=strategies.lists(_U32, max_size=4),
        lies=strategies.tuples(
            strategies.integers(-1, 1), strategies.integers(-1, 1)
        ),
    )
    def test_when_a_segment_lies_then_only_one_family_is_raised(
        self,
        records: list[tuple[Any, ...]],
        packs: list[int],
        lies: tuple[int, int],
    ) -> None:
        owner = bytes.fromhex(hostile.BACKUP.replace('-', ''))
        attempt = bytes.fromhex('a77e0001')
        for number, magic, name in (
            (0, frame.INDEX, 'index'),
            (3, frame.MOVED, 'moved'),
        ):
            body = index.HEADER.pack(
                owner,
                attempt,
                number,
                max(0, len(packs) + lies[0]),
                max(0, len(records) + lies[1]),
            )
            body += b''.join(
                index.PACK.pack(owner, attempt, 3 + at, size)
                for at, size in enumerate(packs)
            )
            body += b''.join(
                sorted(index.RECORD.pack(*one) for one in records)
            )
            data = frame.seal(magic, body, 'blake3')
            if refused(hostile.PARSERS[name], data):
                continue
            told = index.HEADER.unpack_from(body)[3:]
            self.assertEqual((len(packs), len(records)), told)
            for record in records:
                self.assertLess(record[1], len(packs))
                self.assertLessEqual(record[2] + record[3], packs[record[1]])
                self.assertLessEqual(record[3], record[4] + 28)
                self.assertLessEqual(record[4], 16 << 20)

    @hypothesis.given(
        entries=strategies.lists(
            strategies.tuples(_U32, _U32, _U32, strategies.integers(0, 255)),
            max_size=5,
        ),
        table_at=_U32,
        count=_U32,
        size=_U32,
    )
    def test_when_a_table_lies_then_only_one_family_is_raised(
        self,
        entries: list[tuple[int, int, int, int]],
        table_at: int,
        count: int,
        size: int,
    ) -> None:
        told = [(table_at, count, size)]
        end = 8 + sum(entry[1] for entry in entries)
        if end < 1 << 30:
            told.append((end, len(entries), end + 56 * len(entries) + 80))
        for begin, number, total in told:
            table = b''.join(
                pack.ENTRY.pack(bytes(32), *entry, 0, 0, bytes(8))
                for entry in entries
            )
            tail = _sealed_tail(table, begin, number)
            try:
                found = pack.read_table(tail, total, hostile.PACK)
            except errors.IntegrityError:
                continue
            at = 8
            for one in found:
                self.assertEqual(at, one.offset)
                self.assertLessEqual(one.stored, one.plain + 28)
                at += one.stored
            self.assertEqual(begin, at)

    def test_when_there_are_too_many_chunks_then_it_is_refused(self) -> None:
        limit = limits.ENTRIES_LIMIT
        entry = pack.ENTRY.pack(bytes(32), 8, 0, 1, 0, 0, 0, bytes(8))
        for count in (limit, limit + 1):
            tail = _sealed_tail(entry * count, 8, count)
            try:
                pack.read_table(tail, 8 + len(tail), hostile.PACK)
            except errors.FormatError:
                self.assertGreater(count, limit)
            else:
                self.assertEqual(limit, count)

    def test_when_a_part_is_too_long_then_it_is_refused(self) -> None:
        place = index.Place(hostile.PACK, 8, 9, 9, 0)
        records = [
            (at.to_bytes(32, 'big'), place)
            for at in range(limits.ENTRIES_LIMIT + 1)
        ]
        data = index.encode(
            records,
            {hostile.PACK: 999},
            'blake3',
            layout.PartId(*hostile.PACK),
        )
        body = frame.unseal(frame.INDEX, data, 'it')
        left = frame.seal(frame.MOVED, body, 'blake3')
        with self.assertRaisesRegex(errors.FormatError, 'too long'):
            moved.read(left, hostile.PACK)
        packs = {hostile.PACK._replace(number=at): 1 for at in range(200_000)}
        data = index.encode([], packs, 'blake3', hostile.PART)
        with self.assertRaisesRegex(errors.FormatError, 'too long'):
            index.check_part(data, hostile.PART)

    def test_when_the_digest_of_a_segment_is_unknown_then_it_is_refused(
        self,
    ) -> None:
        data = bytearray(hostile.PARSERS['index'].good)
        data[8] = 9
        self.assertTrue(refused(hostile.PARSERS['index'], bytes(data)))


class TestBounds(unittest.TestCase):
    """Each bound by itself: just within it, and just beyond."""

    def test_when_a_frame_is_padded_with_more_then_it_is_refused(self) -> None:
        good = hostile.PARSERS['frame'].good
        head = good[:9] + b'\1' + good[10:-32]
        data = head + digest.by_number(1)(head)
        self.assertTrue(refused(hostile.PARSERS['frame'], data))

    def test_when_a_place_is_out_of_bounds_then_it_is_refused(self) -> None:
        top = limits.CHUNK_LIMITS[1]
        for offset, stored, plain, good in (
            (8, 9, 9, True),
            (8, 37, 9, True),
            (8, 38, 9, False),
            (8, 991, 4096, True),
            (9, 991, 4096, False),
            (8, 9, 0, False),
            (8, 9, top, True),
            (8, 9, top + 1, False),
            (999, 1, 1, False),
            ((1 << 32) - 1, 1, 4096, False),
        ):
            record = (
                bytes(32),
                index.Place(hostile.PACK, offset, stored, plain, 1),
            )
            data = index.encode(
                [record], {hostile.PACK: 999}, 'blake3', hostile.PART
            )
            found = refused(hostile.PARSERS['index'], data)
            self.assertEqual(good, not found, (offset, stored, plain))

    def test_when_an_entry_is_out_of_bounds_then_it_is_refused(self) -> None:
        top = limits.CHUNK_LIMITS[1]
        for offset, stored, plain, begin, good in (
            (8, 9, 9, 17, True),
            (9, 9, 9, 18, False),
            (7, 10, 10, 17, False),
            (8, 9, 9, 18, False),
            (8, 37, 9, 45, True),
            (8, 38, 9, 46, False),
            (8, 9, top, 17, True),
            (8, 9, top + 1, 17, False),
            (8, 9, 0, 17, False),
        ):
            table = pack.ENTRY.pack(
                bytes(32), offset, stored, plain, 1, 0, 0, bytes(8)
            )
            tail = _sealed_tail(table, begin, 1)
            self.assertEqual(
                good, _table_is_read(tail, begin + len(tail)), (offset, stored)
            )

    def test_when_a_pack_has_a_wrong_size_then_it_is_refused(self) -> None:
        tail = _sealed_tail(b'', 8, 0)
        self.assertTrue(_table_is_read(tail, 88))
        for size in (80, 87, 89, 88 + 56, 1 << 31):
            self.assertFalse(_table_is_read(tail, size))
        for begin, count, size in ((8, 1, 88), (7, 0, 87), (144, 0, 88)):
            tail = _sealed_tail(b'', begin, count)
            with self.assertRaises(errors.FormatError):
                pack.read_trailer(tail, size, hostile.PACK)
        huge = limits.PACK_LIMIT - 80
        tail = _sealed_tail(b'', huge, 0)
        with self.assertRaisesRegex(errors.FormatError, 'gap'):
            pack.read_table(tail, limits.PACK_LIMIT, hostile.PACK)
        tail = _sealed_tail(b'', huge + 1, 0)
        with self.assertRaisesRegex(errors.FormatError, 'no trailer'):
            pack.read_table(tail, limits.PACK_LIMIT + 1, hostile.PACK)

    def test_when_a_chunk_of_a_note_is_wrong_then_it_is_refused(self) -> None:
        good: list[object] = ['05' * 32, hostile.BACKUP, 'a77e0001', 3]
        parser = hostile.PARSERS['note']
        chunks: tuple[object, ...] = (
            good,
            7,
            None,
            {},
            good[:3],
            [*good, 1],
            ['05', *good[1:]],
            [good[0], [hostile.BACKUP], *good[2:]],
            [*good[:2], 'A77E0001', 3],
            [*good[:3], '3'],
            [*good[:3], '0-5'],
            [*good[:3], -1],
            [*good[:3], 1 << 40],
            [*good[:3], True],
        )
        for chunk in chunks:
            document = {**hostile.document(parser), 'chunks': [chunk]}
            data = frame.seal(
                frame.DAMAGED, json.dumps(document).encode(), 'blake3'
            )
            self.assertEqual(chunk is good, not refused(parser, data), chunk)

    def test_when_a_manifest_lacks_an_index_then_it_is_refused(self) -> None:
        parser = hostile.PARSERS['manifest']
        document = {**hostile.document(parser), 'index': {}}
        self.assertTrue(refused(parser, json.dumps(document).encode()))

    def test_when_a_manifest_is_in_a_wrong_place_then_it_is_none(self) -> None:
        good = layout.manifest(hostile.BACKUP)
        self.assertEqual(hostile.BACKUP, layout.parse(good))
        for wrong in (good.replace('/07/', '/08/'), good.upper(), good + '2'):
            self.assertIsNone(layout.parse(wrong), wrong)


def _table_is_read(tail: bytes, size: int) -> bool:
    try:
        pack.read_table(tail, size, hostile.PACK)
    except errors.FormatError:
        return False
    return True


def _sealed_tail(table: bytes, begin: int, count: int) -> bytes:
    """Return table and trailer of a pack with a right checksum."""
    owner = bytes.fromhex(hostile.BACKUP.replace('-', ''))
    head = struct.pack(
        '<16s4sIIIB7s',
        owner,
        bytes.fromhex('a77e0001'),
        hostile.PACK.number,
        begin,
        count,
        1,
        bytes(7),
    )
    checksum = digest.by_number(1)(table + head)
    return table + head + checksum + pack.END_MAGIC


class TestMaps(unittest.TestCase):
    """Maps whose nodes are anything."""

    @hypothesis.given(
        size=strategies.integers(0, 1 << 60) | strategies.integers(0, 1 << 24),
        chunk=strategies.integers(4096, 16 << 20),
        root=strategies.tuples(
            strategies.integers(0, 255), _U32, strategies.binary(max_size=32)
        ),
        node=strategies.binary(max_size=200),
    )
    def test_when_nodes_lie_then_spans_tile_what_was_walked(
        self, size: int, chunk: int, root: tuple[Any, ...], node: bytes
    ) -> None:
        geometry = tree.Geometry(size, chunk)
        asked: list[int] = []

        def fetch(_: bytes, length: int) -> bytes:
            asked.append(length)
            return (node * (length // max(len(node), 1) + 1)).ljust(
                length, b'\1'
            )[:length]

        reader = tree.MapReader(geometry, tree.REF.pack(*root), fetch)
        at = 0
        for span in itertools.islice(reader.walk(), 30):
            self.assertEqual(at, span.first)
            self.assertGreater(span.leaves, 0)
            at += span.leaves
            if span.node is not None:
                for kind, plain, _ in tree.REF.iter_unpack(span.node):
                    self.assertIn(kind, (0, 1))
                    self.assertLessEqual(plain * kind, chunk)
        self.assertLessEqual(at, geometry.leaves)
        self.assertTrue(all(one <= tree.NODE_BYTES for one in asked))

    def test_when_all_is_zero_then_the_largest_map_is_one_span(self) -> None:
        geometry = tree.Geometry(1 << 60, 4096)
        reader = tree.MapReader(geometry, tree.ZERO_REF, _unreachable)
        self.assertEqual(
            [tree.Span(0, geometry.leaves, None)], list(reader.walk())
        )

    def test_when_a_plain_length_is_wrong_then_the_leaf_is_refused(
        self,
    ) -> None:
        geometry = tree.Geometry(2 * 4096 + 5, 4096)
        for lengths, good in (
            ((4096, 4096, 5), True),
            ((4096, 4096, 4096), False),
            ((4096, 5, 5), False),
        ):
            node = b''.join(
                tree.REF.pack(1, one, bytes(32)) for one in lengths
            )
            root = tree.REF.pack(1, len(node), bytes(32))
            reader = tree.MapReader(geometry, root, lambda *_, n=node: n)
            (span,) = reader.walk()
            self.assertEqual(good, span.error is None)


def _unreachable(key: bytes, length: int) -> bytes:
    raise AssertionError(f'{key!r} of {length} bytes was asked for')


class TestCodecs(unittest.TestCase):
    """Stored bytes that lie about what they give."""

    @hypothesis.given(
        plain=strategies.binary(min_size=1, max_size=3000)
        | strategies.integers(1, 9000).map(bytes),
        wanted=strategies.integers(0, 9000),
        name=strategies.sampled_from(['zstd', 'lz4', 'zlib']),
        tail=strategies.binary(max_size=2),
    )
    def test_when_the_length_is_not_exact_then_it_is_damage(
        self, plain: bytes, wanted: int, name: str, tail: bytes
    ) -> None:
        number = limits.CODECS[name]
        stored = _COMPRESS[name](plain)
        for length in (wanted, len(plain), len(plain) + 1, len(plain) - 1):
            out = bytearray(max(length, 0))
            good = len(out) == len(plain) and not tail
            try:
                codec.Decoder().decode_into(number, stored + tail, out)
            except errors.Damaged:
                self.assertFalse(good)
            else:
                self.assertEqual(plain, out)
                self.assertTrue(name == 'zstd' or not tail)

    def test_when_a_codec_is_unknown_then_it_is_too_new(self) -> None:
        with self.assertRaises(errors.FormatTooNew):
            codec.Decoder().decode_into(4, b'x', bytearray(1))

    def test_when_a_frame_states_no_size_then_it_is_decoded(self) -> None:
        plain = b'abc' * 5000
        zstd = zstandard.ZstdCompressor(write_content_size=False)
        for number, stored in (
            (codec.ZSTD, zstd.compress(plain)),
            (codec.LZ4, lz4.frame.compress(plain, store_size=False)),
        ):
            out = bytearray(len(plain))
            codec.Decoder().decode_into(number, stored, out)
            self.assertEqual(plain, out)

    def test_when_two_frames_follow_each_other_then_it_is_damage(self) -> None:
        for name in ('lz4', 'zlib'):
            out = bytearray(8000)
            stored = _COMPRESS[name](bytes(4000)) * 2
            with self.assertRaises(errors.Damaged):
                codec.Decoder().decode_into(limits.CODECS[name], stored, out)

    def test_when_the_window_is_too_large_then_it_is_damage(self) -> None:
        plain = bytes(1 << 20)
        for log, good in ((24, True), (25, False), (27, False)):
            parameters = zstandard.ZstdCompressionParameters.from_level(
                3, window_log=log, write_content_size=False
            )
            compressor = zstandard.ZstdCompressor(
                compression_params=parameters
            )
            stream = compressor.compressobj()
            stored = stream.compress(plain) + stream.flush()
            out = bytearray(len(plain))
            try:
                codec.Decoder().decode_into(codec.ZSTD, stored, out)
            except errors.Damaged:
                self.assertFalse(good)
            else:
                self.assertTrue(good)


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    'zstd': lambda data: zstandard.ZstdCompressor().compress(data),
    'lz4': lambda data: bytes(lz4.frame.compress(data, store_size=True)),
    'zlib': zlib.compress,
}


class TestNames(unittest.TestCase):
    """Names that try to leave the repository."""

    @hypothesis.given(
        parts=strategies.lists(
            strategies.sampled_from(
                ['..', '.', '', '/', '//', '\0', '\n', '%2e%2e', 'backups']
                + ['config', 'manifest', 'packs', 'index', 'damaged', '0000']
                + ['a77e0001-00000003', '.moved', '00', '07', hostile.BACKUP]
                + ['COM1', '\u0660\u0661', '\u2024\u2024', 'x' * 300, '~', '-']
            )
            | strategies.text(string.printable, max_size=3),
            max_size=8,
        ),
        joint=strategies.sampled_from(['/', '']),
    )
    def test_when_a_name_is_known_then_it_stays_inside(
        self, parts: list[str], joint: str
    ) -> None:
        name = joint.join(parts)
        found = layout.parse(name)
        if found is not None:
            self.assertEqual(name, contract.check_name(name))
            expected = (
                layout.manifest(found)
                if isinstance(found, str)
                else found.name
            )
            self.assertEqual(name, expected)
        try:
            contract.check_name(name)
        except errors.FormatError:
            return
        self.assertNotIn('..', name.split('/'))
        self.assertFalse(name.startswith('/') or '\0' in name or '//' in name)
        self.assertTrue(name.isascii())

    def test_when_a_pack_is_in_a_wrong_place_then_it_is_none(self) -> None:
        good = layout.PackId(hostile.BACKUP, 'a77e0001', 1234).name
        self.assertIsInstance(layout.parse(good), layout.PackId)
        for wrong in (
            good.replace('packs/0001', 'packs/0000'),
            good.replace('packs/0001', 'packs/00001'),
            good.replace('backups/07', 'backups/08'),
            good + '/',
            good + '\n',
            './' + good,
            good.replace('/packs', '/../packs'),
        ):
            self.assertIsNone(layout.parse(wrong), wrong)
            with self.assertRaises(errors.FormatError):
                layout.pack_of(wrong)

    def test_when_ranges_lie_then_they_are_refused(self) -> None:
        for text in (
            '',
            '1,',
            '2-1',
            '1,1',
            '3,2',
            '1-3,2',
            '-1',
            '0x1',
            ' 1',
        ):
            with self.assertRaises(errors.FormatError):
                layout.decode_numbers(text, 100)
        with self.assertRaises(errors.FormatError):
            layout.decode_numbers('0-99,200', 100)
        self.assertEqual([(0, 99)], layout.decode_numbers('0-99', 100))


class TestAmplifiers(unittest.TestCase):
    def test_when_little_asks_for_much_then_it_does_not_get_it(self) -> None:
        """In a process that has no more memory than it may use."""
        done = subprocess.run(
            [sys.executable, '-m', frugal.__name__, str(MEMORY_LIMIT)],
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual('3 and 8 refused\n', done.stdout)


class Swollen(memory.MemoryStore):
    """A store that says of an object that it is too large."""

    def stat(self, name: str) -> contract.ObjectStat:
        """Add to the size of manifests."""
        found = super().stat(name)
        more = frame.SIZE_LIMIT if name.endswith('manifest') else 0
        return contract.ObjectStat(name, found.size_bytes + more)

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Get anything but those."""
        if name.endswith('manifest'):
            raise AssertionError(f'{name} was read')
        return super().get(name, offset, length)


class TestSizes(test_golden.GoldenCase):
    def test_when_an_object_is_too_large_then_it_is_not_read(self) -> None:
        self.put(test_golden.DATA / 'format-1' / 'lz4.tar.gz')
        ids = [one.backup_id for one in self.target.list()]  # type: ignore[union-attr] # nothing is damaged
        self.target.store_wrapper = lambda *_: Swollen(self.medium)
        for backup_id in ids:
            with self.assertRaisesRegex(errors.FormatError, 'too much'):
                self.restore(backup_id)
        self.assertEqual(len(ids), len(self.check().findings))


class Sink(interface.Writer):
    """Takes bytes and keeps their digests only, by offset."""

    def __init__(self) -> None:
        self.written: dict[int, bytes] = {}

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        for buffer in buffers:
            self.written[offset] = hashlib.sha256(buffer).digest()
            offset += len(buffer)

    def zero(self, offset: int, length: int) -> None:
        """Take nothing."""

    def finish(self) -> None:
        """Do nothing."""


class TestRepositories(test_golden.GoldenCase):
    """Whole repositories, each with an object that lies under a checksum."""

    def setUp(self) -> None:
        super().setUp()
        self.spoiler = hostile.Spoiler(11)

    def test_when_an_object_lies_then_only_our_errors_are_raised(self) -> None:
        directory = test_golden.DATA / 'format-1'
        for name in ('moved', 'sha256-none', 'damaged', 'sparse'):
            self.whole = self.put(directory / f'{name}.tar.gz')
            self.summaries = [
                one
                for one in self.target.list()
                if isinstance(one, model.BackupSummary)
            ]
            self.truth = {
                one.backup_id: self._written(one.backup_id)
                for one in self.summaries
            }
            for _ in range(int(40 * FACTOR)):
                self._try()

    def _try(self) -> None:
        name = self.spoiler.choice(
            [one for one in self.whole if one != layout.RESERVE]
        )
        lie = self._lie(self.whole[name])
        self.medium.objects.clear()
        self.medium.objects.update({**self.whole, name: lie})
        settled = layout.parse(name) is not None and 'manifest' not in name
        try:
            self._use_all(settled)
        except Exception as exc:
            exc.add_note(f'{name}: {lie[:2000]!r}')
            raise

    def _lie(self, data: bytes) -> bytes:
        """Return an object that is spoiled under its checksum."""
        spoil = self.spoiler.spoil
        kind = 'sha256' if data[8] == 2 else 'blake3'
        if data[:8] != pack.MAGIC:
            return frame.seal(data[:8], spoil(data[24:-32]), kind)
        begin = struct.unpack_from('<I', data, len(data) - 56)[0]
        kind_number = data[-48]
        table = spoil(data[begin:-80])
        head = self.spoiler.choice((spoil(data[-80:-40]), data[-80:-40]))
        head = head[:40].ljust(40, b'\0')
        checksum = digest.by_number(kind_number)(table + head)
        return data[:begin] + table + head + checksum + pack.END_MAGIC

    def _written(self, backup_id: str) -> dict[int, bytes]:
        sink = Sink()
        self.target.restore(
            backup_id, sink, self.coordinator, control.Control()
        )
        return sink.written

    def _use_all(self, settled: bool) -> None:
        """Do everything there is to do with a repository.

        :param settled: what lies cannot change what a backup is
        """
        self.coordinator = catalog.MemoryCoordinator()
        for one in self.summaries:
            run = self.coordinator.begin(one.backup_id)
            self.coordinator.record(run, one)
        for one in self.summaries:
            try:
                written = self._written(one.backup_id)
            except errors.BackupkitError:
                continue
            if settled:
                self.assertEqual(self.truth[one.backup_id], written)
        for call in (
            lambda: list(self.target.list()),
            lambda: self.check(read_data=True),
            lambda: self.verify(self.summaries[0].backup_id, full=False),
            lambda: self.target.stats(self.coordinator),
            lambda: self.target.adopt(self.coordinator),
            lambda: self.back_up(bytes(9000) + b'x'),
            self.collect,
        ):
            try:
                call()
            except errors.BackupkitError:
                continue
