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

"""Whatever happens to the objects of a repository is found."""

import random

from backupkit import errors
from backupkit.repository import layout
from tests.unit.repository import case

CHUNK = case.CHUNK


class DamageCase(case.RepositoryCase):
    """A small repository with everything in it that there can be."""

    def setUp(self) -> None:
        super().setUp()
        made = random.Random(4)
        data = bytearray(made.randbytes(4 * CHUNK) + b'abc' * 4000)
        self.versions = {}
        for _ in range(2):
            summary = self.back_up(bytes(data))
            self.versions[summary.backup_id] = bytes(data)
            data[: CHUNK // 2] = made.randbytes(CHUNK // 2)
        number, prepared = self.prepare(bytes(data))
        self.target.abort(prepared.summary.backup_id)
        self.coordinator.end(number)
        self.whole = dict(self.medium.objects)

    def put_back(self) -> None:
        """Undo all damage, and forget what was noted of it."""
        self.medium.objects.clear()
        self.medium.objects.update(self.whole)

    def found(self) -> bool:
        """Tell whether a check or verify of all finds anything."""
        try:
            return not self.check().good
        except errors.BackupkitError:
            return True

    def assert_no_wrong_byte(self) -> None:
        """Restore all: each is right, or an error before a wrong byte."""
        for backup_id, data in self.versions.items():
            try:
                restored = self.restore(backup_id)
            except errors.BackupkitError:
                continue
            self.assertEqual(data, restored)


class TestEveryBit(DamageCase):
    def test_when_nothing_is_wrong_then_nothing_is_found(self) -> None:
        self.assertEqual((), self.check().findings)
        for backup_id in self.versions:
            self.assertEqual((), self.verify(backup_id).findings)

    def test_when_any_bit_is_flipped_then_check_finds_it(self) -> None:
        """By sample; heads and tails, where the fields are, more densely."""
        generator = random.Random(1)
        for name, data in self.whole.items():
            total = range(len(data) * 8)
            count = 20 if name == layout.RESERVE else 160
            head, tail = total[: 26 * 8], total[-80 * 8 :]
            for bit in {
                *generator.sample(head, 40),
                *generator.sample(tail, 80),
                *generator.sample(total, count),
            }:
                flipped = bytearray(data)
                flipped[bit // 8] ^= 1 << bit % 8
                self.medium.objects[name] = bytes(flipped)
                self.assertTrue(self.found(), f'bit {bit} of {name}')
                self.put_back()

    def test_when_a_bit_is_flipped_then_no_wrong_byte_is_restored(
        self,
    ) -> None:
        generator = random.Random(2)
        names = [n for n in self.whole if n != layout.RESERVE]
        for _ in range(400):
            name = generator.choice(names)
            flipped = bytearray(self.whole[name])
            bit = generator.randrange(len(flipped) * 8)
            flipped[bit // 8] ^= 1 << bit % 8
            self.medium.objects[name] = bytes(flipped)
            self.assert_no_wrong_byte()
            self.put_back()


class TestEveryObject(DamageCase):
    def test_when_an_object_is_cut_or_longer_then_it_is_found(self) -> None:
        for name, data in self.whole.items():
            for other in (b'', data[:-1], data[: len(data) // 2], data + b'x'):
                self.medium.objects[name] = other
                self.assertTrue(self.found(), f'{len(other)} of {name}')
                self.assert_no_wrong_byte()
                self.put_back()

    def test_when_two_objects_are_swapped_then_it_is_found(self) -> None:
        names = sorted(self.whole)
        for at, one in enumerate(names):
            for two in names[at + 1 :]:
                self.medium.objects[one] = self.whole[two]
                self.medium.objects[two] = self.whole[one]
                self.assertTrue(self.found(), f'{one} and {two}')
                self.assert_no_wrong_byte()
                self.put_back()

    def test_when_an_object_is_gone_then_it_is_found(self) -> None:
        for name, data in self.whole.items():
            if b'BKTOMBS1' in data[:8]:
                continue
            del self.medium.objects[name]
            self.assertTrue(self.found(), name)
            self.assert_no_wrong_byte()
            self.put_back()

    def test_when_a_stranger_is_there_then_it_is_found(self) -> None:
        self.medium.objects['backups/readme'] = b'hello'
        self.assertFalse(self.check().good)


class TestHealing(DamageCase):
    def _break_pack(self, needle: str) -> str:
        """Flip a bit in the first chunk of the first pack."""
        name = next(n for n in self.medium.objects if needle in n)
        data = bytearray(self.medium.objects[name])
        data[20] ^= 1
        self.medium.objects[name] = bytes(data)
        return name

    def test_when_damage_was_found_then_the_next_backup_heals(self) -> None:
        last = list(self.versions)[-1]
        for backup_id in self.versions:
            self._break_pack(f'{backup_id}/packs/')
        self.assertFalse(self.verify(last).good)
        healed = self.back_up(self.versions[last])
        self.assertEqual([None], self.since)
        self.assertEqual(self.versions[last], self.restore(healed.backup_id))
        self.assertTrue(self.verify(healed.backup_id).good)

    def test_when_a_pack_is_gone_then_the_next_backup_heals(self) -> None:
        last = list(self.versions)[-1]
        for name in [n for n in self.medium.objects if '/packs/' in n]:
            del self.medium.objects[name]
        healed = self.back_up(self.versions[last])
        self.assertEqual(self.versions[last], self.restore(healed.backup_id))

    def test_when_an_index_is_gone_then_the_packs_tell(self) -> None:
        for name in [n for n in self.medium.objects if '/index/' in n]:
            del self.medium.objects[name]
        for backup_id, data in self.versions.items():
            self.assertEqual(data, self.restore(backup_id))
        self.assertFalse(self.check(read_data=False).good)

    def test_when_a_manifest_is_damaged_then_gc_deletes_nothing(self) -> None:
        first, last = self.versions
        self.delete(first)
        name = layout.manifest(last)
        self.medium.objects[name] = self.medium.objects[name][:-1]
        before = set(self.medium.objects)
        with self.assertRaisesRegex(errors.Damaged, 'backup delete'):
            self.collect()
        self.assertEqual(before, set(self.medium.objects))

    def test_when_found_twice_then_it_is_noted_once(self) -> None:
        last = list(self.versions)[-1]
        self._break_pack('/packs/')
        for _ in range(3):
            self.check()
        notes = [n for n in self.medium.objects if 'damaged/' in n]
        self.assertEqual(1, len(notes))
        self.assertTrue(last)
