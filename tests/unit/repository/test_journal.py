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

"""Journals of copies: written, read with suspicion, and cut out."""

from __future__ import annotations

import random
import threading
import unittest
from unittest import mock
import uuid

import hypothesis
from hypothesis import strategies

from backupkit.copy import pipeline
from backupkit import errors
from backupkit import model
from backupkit.repository import digest
from backupkit.repository import frame
from backupkit.repository import journal
from backupkit.repository import layout
from backupkit.repository import repository
from backupkit.repository import resumed
from backupkit.repository import settings
from backupkit.repository import tree
from backupkit.testing.memory import store

OWNER = 'a0000000-0000-4000-8000-00000000000a'
PART = layout.JournalId(OWNER, '0123abcd', 7)
GEOMETRY = tree.Geometry(10 * 4096 + 5, 4096)


def _refs(count: int, length: int = 4096) -> bytes:
    source = random.Random(count)
    return b''.join(
        tree.REF.pack(tree.STORED, length, source.randbytes(32))
        for _ in range(count)
    )


RUNS = [(2, _refs(3)), (0, tree.ZERO_REF), (10, _refs(1, 5))]


class EncodingTest(unittest.TestCase):
    def encoded(self, geometry: tree.Geometry = GEOMETRY) -> bytes:
        return journal.encode(PART, geometry, RUNS, 'blake3')

    def decoded(self, data: bytes) -> list[journal.Run]:
        return list(journal.decode(data, PART, GEOMETRY))

    def test_when_encoded_then_it_can_be_decoded(self) -> None:
        self.assertEqual(RUNS, self.decoded(self.encoded()))

    def test_when_named_then_the_name_is_parsed(self) -> None:
        self.assertEqual(PART, layout.parse(PART.name))
        self.assertIn(f'/{OWNER}/journal/0123abcd-00000007', PART.name)

    def test_when_a_bit_flips_then_it_is_refused(self) -> None:
        data = self.encoded()
        source = random.Random(1)
        for _ in range(200):
            bad = bytearray(data)
            bad[source.randrange(len(bad))] ^= 1 << source.randrange(8)
            with self.assertRaises(errors.IntegrityError):
                self.decoded(bytes(bad))

    def test_when_it_is_of_another_copy_then_it_is_refused(self) -> None:
        for geometry in (
            tree.Geometry(GEOMETRY.size_bytes + 1, 4096),
            tree.Geometry(GEOMETRY.size_bytes, 8192),
        ):
            with self.assertRaisesRegex(errors.FormatError, 'another copy'):
                self.decoded(self.encoded(geometry))
        other = PART._replace(number=8)
        with self.assertRaisesRegex(errors.FormatError, 'another copy'):
            list(journal.decode(self.encoded(), other, GEOMETRY))

    def resealed(self, body: bytes) -> bytes:
        return frame.seal(frame.JOURNAL, body, 'blake3')

    def test_when_it_is_sealed_and_lies_then_it_is_refused(self) -> None:
        body = self.encoded()[frame.HEADER.size : -digest.SIZE]
        head = journal._HEADER.size

        def changed(at: int, data: bytes) -> bytes:
            return body[:at] + data + body[at + len(data) :]

        lies = {
            'no header': body[: head - 1],
            'too many runs': changed(28, (9).to_bytes(4, 'little')),
            'a run cut short': body[:-1],
            'behind the end': changed(head, (9).to_bytes(8, 'little')),
            'far behind': changed(head, b'\xff' * 8),
            'many chunks': changed(head + 8, b'\xff' * 4),
            'an unknown kind': changed(head + 12, b'\x07'),
            'a wrong length': changed(head + 13, b'\x01'),
        }
        for name, lie in lies.items():
            with (
                self.subTest(name),
                self.assertRaises(errors.FormatError),
            ):
                self.decoded(self.resealed(lie))


class JournalTest(unittest.TestCase):
    """What is noted is put with the packs."""

    geometry = tree.Geometry(1000 * 4096, 4096)

    def setUp(self) -> None:
        super().setUp()
        made = settings.Settings(
            str(uuid.UUID(int=1)),
            str(uuid.UUID(int=2)),
            chunk_bytes=4096,
            pack_bytes=16 * 4096,
        )
        self.store = store.MemoryStore(store.Medium())
        self.repository = repository.Repository(self.store, made)
        self.journal = journal.Journal(
            self.repository,
            OWNER,
            PART.attempt,
            self.geometry,
            pack_bytes=made.pack_bytes,
        )

    def ref(self, chunk: int) -> bytes:
        return tree.REF.pack(tree.STORED, 4096, bytes([chunk % 251]) * 32)

    def note(self, *chunks: int) -> None:
        for chunk in chunks:
            self.journal.note(chunk, self.ref(chunk))

    def read(self) -> list[journal.Run]:
        return list(journal.read(self.repository, OWNER, self.geometry))

    def runs(self, *ranges: range) -> list[journal.Run]:
        return [
            (run.start, b''.join(self.ref(chunk) for chunk in run))
            for run in ranges
        ]

    def test_when_a_pack_is_kept_then_all_that_was_noted_is(self) -> None:
        self.note(0, 1, 8, 2, 9, 3)
        self.journal.keep()
        self.note(4)
        self.assertEqual(
            self.runs(range(4), range(8, 10)), sorted(self.read())
        )

    def test_when_it_is_less_than_half_a_percent_then_it_waits(self) -> None:
        self.note(*range(4))
        self.journal.keep()
        self.assertEqual([], self.read())
        self.note(4)
        self.journal.keep()
        self.assertEqual(self.runs(range(5)), self.read())

    def test_when_nothing_new_comes_then_two_packs_read_are_kept(self) -> None:
        self.note(*range(31))
        self.assertEqual([], self.read())
        self.note(31)
        self.assertEqual(self.runs(range(32)), self.read())

    def test_when_threads_note_at_once_then_nothing_is_lost(self) -> None:
        def note(first: int) -> None:
            for chunk in range(first, min(first + 250, 995)):
                self.note(chunk)
                if chunk % 7 == 0:
                    self.journal.keep()

        threads = [
            threading.Thread(target=note, args=(first,))
            for first in range(0, 1000, 250)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.journal.keep()
        self.note(*range(1000 - 5, 1000))
        self.journal.keep()
        found = {
            first + at: ref
            for first, refs in self.read()
            for at, ref in enumerate(tree.REF.iter_unpack(refs))
        }
        self.assertEqual(set(range(1000)), set(found))
        for chunk, (_, _, key) in found.items():
            self.assertEqual(bytes([chunk % 251]) * 32, key)

    def test_when_a_put_fails_then_it_ends_and_says_so_once(self) -> None:
        fails = mock.Mock(side_effect=errors.TargetError('full'))
        with (
            mock.patch.object(self.store, 'put', fails),
            self.assertLogs('backupkit.repository.journal', 'WARNING') as logs,
        ):
            for first in range(0, 100, 10):
                self.note(*range(first, first + 10))
                self.journal.keep()
        self.assertEqual(1, len(logs.records))
        self.assertEqual(1, fails.call_count)


@strategies.composite
def _ranges(draw: strategies.DrawFn, size: int = 40) -> list[tuple[int, int]]:
    borders = draw(strategies.lists(strategies.integers(0, size), max_size=12))
    ordered = sorted(set(borders))
    return list(zip(ordered[::2], ordered[1::2]))


class TakenTest(unittest.TestCase):
    @hypothesis.given(
        strategies.lists(
            strategies.tuples(
                strategies.integers(0, 10), strategies.integers(1, 11)
            ).filter(lambda pair: sum(pair) <= 11),
            max_size=12,
        )
    )
    def test_when_ranges_overlap_then_each_chunk_is_taken_once(
        self, ranges: list[tuple[int, int]]
    ) -> None:
        taken = resumed.Taken()
        chunks: list[int] = []
        for chunk, count in ranges:
            refs = b''.join(
                tree.REF.pack(tree.STORED, 1, bytes([chunk + at]) * 32)
                for at in range(count)
            )
            for first, part in list(taken.new(chunk, refs)):
                for at, ref in enumerate(tree.REF.iter_unpack(part)):
                    self.assertEqual(bytes([first + at]) * 32, ref[2])
                    chunks.append(first + at)
                taken.add(first, len(part) // tree.REF.size)
        expected = {
            chunk + at for chunk, count in ranges for at in range(count)
        }
        self.assertEqual(sorted(expected), sorted(chunks))
        covered: set[int] = set()
        end = -1
        for extent in taken.extents(GEOMETRY):
            self.assertGreater(extent.offset, end)
            end = extent.end
            covered.update(range(extent.offset // 4096, -(-end // 4096)))
        self.assertEqual(expected, covered)
        self.assertLessEqual(end, GEOMETRY.size_bytes)


class RemainingTest(unittest.TestCase):
    @hypothesis.given(_ranges(), _ranges())
    def test_when_some_is_done_then_just_the_rest_remains(
        self, borders: list[tuple[int, int]], done: list[tuple[int, int]]
    ) -> None:
        kinds = list(model.ExtentKind)
        at, extents = 0, []
        for number, (begin, end) in enumerate([*borders, (40, 40)]):
            for stop in (begin, end):
                if stop > at:
                    kind = kinds[(number + stop) % len(kinds)]
                    extents.append(model.Extent(at, stop - at, kind))
                    at = stop
        known = {
            place: extent.kind
            for extent in extents
            for place in range(extent.offset, extent.end)
        }
        for begin, end in done:
            for place in range(begin, end):
                del known[place]
        cut = [
            model.Extent(begin, end - begin, model.ExtentKind.DATA)
            for begin, end in done
        ]
        found: dict[int, model.ExtentKind] = {}
        for extent in pipeline.remaining(iter(extents), cut):
            for place in range(extent.offset, extent.end):
                self.assertNotIn(place, found)
                found[place] = extent.kind
        self.assertEqual(known, found)
