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

"""An index that is wrong under a right checksum is found by full checks."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import random
import struct

from backupkit import errors
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import repository as repository_
from backupkit.testing.memory import store
from tests.unit.repository import case
from tests.unit.repository import moving

CHUNK = case.CHUNK

_Lines = list[bytes]


def _add(record: bytes, at: int, number: int) -> bytes:
    """Return a packed record with one of its numbers changed."""
    value = struct.unpack_from('<I', record, at)[0] + number
    return record[:at] + struct.pack('<I', value) + record[at + 4 :]


def _each(change: Callable[[bytes], bytes]) -> Callable[[_Lines], _Lines]:
    return lambda lines: sorted(map(change, lines))


def _exchanged(lines: _Lines) -> _Lines:
    """Let every chunk lie where the one before it does."""
    places = [line[32:] for line in lines]
    return [
        line[:32] + place
        for line, place in zip(lines, [places[-1], *places[:-1]])
    ]


#: Each makes other records of the right ones.
WRONG: dict[str, Callable[[_Lines], _Lines]] = {
    'offset': _each(lambda line: _add(line, 36, -1)),
    'stored length': _each(lambda line: _add(line, 40, -1)),
    'codec': _each(lambda line: line[:48] + b'\x03' + line[49:]),
    'cipher': _each(lambda line: line[:49] + b'\x01' + line[50:]),
    'key slot': _each(lambda line: line[:50] + b'\x01\x00'),
    'digest': _each(
        lambda line: line[:31] + bytes([line[31] ^ 1]) + line[32:]
    ),
    'exchanged': _exchanged,
    'missing': lambda lines: lines[1:],
    'all missing': lambda lines: [],
}


class WrongIndexCase(case.RepositoryCase):
    """A backup, and a way to let its index tell something else."""

    def setUp(self) -> None:
        super().setUp()
        made = random.Random(6)
        self.data = made.randbytes(20 * CHUNK) + b'abc' * 5000
        self.backup_id = self.back_up(self.data).backup_id
        self.whole = dict(self.medium.objects)

    def put_back(self) -> None:
        """Undo all damage, and forget what was noted of it."""
        self.medium.objects.clear()
        self.medium.objects.update(self.whole)

    def rewrite(
        self, change: Callable[[_Lines], _Lines], owner: str = ''
    ) -> str:
        """Put other records under a right checksum; return where."""
        owner = owner or self.backup_id
        (part,) = (
            found
            for found in map(layout.parse, self.medium.objects)
            if isinstance(found, layout.PartId) and found.owner == owner
        )
        segment = index.Segment(self.medium.objects[part.name])
        data = index.encode_packed(
            change(list(segment.packed())), segment.packs, 'blake3', part
        )
        # The object itself is as good as any.
        index.check_part(data, part)
        self.medium.objects[part.name] = data
        return part.name


class TestWrongIndex(WrongIndexCase):
    def test_when_the_index_is_right_then_nothing_is_found(self) -> None:
        self.rewrite(lambda lines: lines)
        self.assertEqual((), self.check().findings)
        self.assertEqual((), self.verify(self.backup_id).findings)

    def test_when_it_is_wrong_then_a_full_verify_finds_it(self) -> None:
        for name, change in WRONG.items():
            with self.subTest(name):
                part = self.rewrite(change)
                report = self.verify(self.backup_id)
                self.assertIn(part, [one.name for one in report.findings])
                hurt = {
                    who for one in report.findings for who in one.backup_ids
                }
                self.assertEqual({self.backup_id}, hurt)
            self.put_back()

    def test_when_it_is_wrong_then_a_check_that_reads_data_finds_it(
        self,
    ) -> None:
        for name, change in WRONG.items():
            with self.subTest(name):
                part = self.rewrite(change)
                found = [one.name for one in self.check().findings]
                self.assertIn(part, found)
            self.put_back()

    def test_when_one_record_is_wrong_then_no_wrong_byte_is_restored(
        self,
    ) -> None:
        for name, change in WRONG.items():
            with self.subTest(name):
                self.rewrite(change)
                with contextlib.suppress(errors.IntegrityError):
                    self.assertEqual(self.data, self.restore(self.backup_id))
            self.put_back()

    def test_when_it_was_found_then_the_next_backup_heals(self) -> None:
        for name, change in WRONG.items():
            with self.subTest(name):
                self.rewrite(change)
                self.verify(self.backup_id)
                number, prepared = self.prepare(self.data)
                self.target.commit(prepared)
                self.assertEqual(
                    self.data, self.restore(prepared.summary.backup_id)
                )
                self.assertNotIn(
                    prepared.summary.backup_id,
                    {
                        who
                        for one in self.check().findings
                        for who in one.backup_ids
                    },
                )
                self.coordinator.end(number)
            self.put_back()

    def test_when_nobody_needs_the_index_then_it_is_found_too(self) -> None:
        self.delete(self.backup_id)
        part = self.rewrite(WRONG['offset'])
        self.assertIn(part, [one.name for one in self.check().findings])

    def test_when_only_anothers_index_is_wrong_then_none_is_found(
        self,
    ) -> None:
        """Who began before the other was committed has copies of its own."""
        made = random.Random(7).randbytes(9 * CHUNK)
        both = [self.prepare(made, volume_id=name) for name in 'ab']
        for number, prepared in both:
            self.target.commit(prepared)
            self.coordinator.record(number, prepared.summary)
        one, two = (prepared.summary.backup_id for _, prepared in both)
        part = self.rewrite(WRONG['offset'], one)
        self.assertEqual((), self.verify(two).findings)
        self.assertIn(part, [one.name for one in self.verify(one).findings])


class TestWrongMove(WrongIndexCase):
    def move(self) -> tuple[layout.PackId, index.Segment]:
        """Move the first pack; return it, and what it left."""
        found = map(layout.parse, sorted(self.medium.objects))
        old = next(one for one in found if isinstance(one, layout.PackId))
        opened = repository_.open_repository(store.MemoryStore(self.medium))
        assert opened is not None
        moving.move(opened, old, '0123abcd-0000-4000-8000-000000000001')
        left = moved.load(opened.store, old)
        assert left is not None
        return old, left

    def test_when_a_move_is_right_then_nothing_is_found(self) -> None:
        self.move()
        self.assertEqual((), self.verify(self.backup_id).findings)

    def test_when_a_move_is_wrong_then_a_full_verify_finds_it(self) -> None:
        old, left = self.move()
        wrong = [
            (key, place._replace(offset=place.offset - 1))
            for key, place in left.records()
        ]
        name = layout.MovedId(old).name
        self.medium.objects[name] = moving.left_behind(old, wrong, left.packs)
        (finding,) = self.verify(self.backup_id).findings[-1:]
        self.assertEqual((self.backup_id,), finding.backup_ids)
        found = [one.name for one in self.verify(self.backup_id).findings]
        self.assertIn(old.name, found)
        with self.assertRaises(errors.Damaged):
            self.restore(self.backup_id)
