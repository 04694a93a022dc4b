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

"""A local cache of indexes costs time when it is damaged, never data."""

from __future__ import annotations

from collections.abc import Iterator
import errno
import fcntl
import json
import multiprocessing
import os
import pathlib
import random
import tempfile
import threading
import time
from unittest import mock
import uuid

from backupkit import errors
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import shelf
from tests.unit.repository import case

CHUNK = case.CHUNK


def owner_of(number: int) -> str:
    """Return the id of an owner."""
    return str(uuid.UUID(int=number << 64))


def segment(number: int, count: int = 3) -> bytes:
    """Return the index part of an owner, of so many records."""
    made = random.Random(number)
    pack = layout.PackId(owner_of(number), 'a77e0001', 0)
    records = [
        (made.randbytes(32), index.Place(pack, 8, 9, 9, 0))
        for _ in range(count)
    ]
    return index.encode(records, {pack: 999}, 'blake3')


def keys_of(number: int, count: int = 3) -> list[bytes]:
    """Return the digests in that part."""
    made = random.Random(number)
    return [made.randbytes(32) for _ in range(count)]


def add_some(path: str, numbers: list[int]) -> None:
    """Add owners one by one; what another process does."""
    for number in numbers:
        opened = shelf.DiskShelf(pathlib.Path(path), 'blake3')
        opened.add(owner_of(number), {'a77e0001': 1}, [segment(number)])
        opened.save()
        opened.close()


class ShelfCase(case.RepositoryCase):
    """A directory for a shelf."""

    def setUp(self) -> None:
        super().setUp()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = pathlib.Path(made.name, 'cache', 'repository')

    def open(self) -> shelf.DiskShelf:
        """Return a shelf, as a new process finds it."""
        opened = shelf.DiskShelf(self.path, 'blake3')
        self.addCleanup(opened.close)
        return opened

    def fill(self, *numbers: int) -> shelf.DiskShelf:
        """Return a shelf to which these owners were added, and saved."""
        opened = self.open()
        for number in numbers:
            opened.add(owner_of(number), {'a77e0001': 1}, [segment(number)])
            opened.save()
        return opened

    def assert_holds(self, opened: shelf.DiskShelf, *numbers: int) -> None:
        """Assert that these owners, and no others, are whole there."""
        self.assertEqual(set(map(owner_of, numbers)), set(opened.owners))
        for number in numbers:
            pack = layout.PackId(owner_of(number), 'a77e0001', 0)
            for key in keys_of(number):
                found = [
                    place.pack
                    for one in opened.segments
                    for place in one.lookup(key)
                ]
                self.assertIn(pack, found)

    def files(self) -> set[str]:
        """Return the names of the segments in the directory."""
        return {path.name for path in self.path.glob('*.idx')}

    def listed(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return the list in the directory."""
        found: dict[str, dict[str, dict[str, int]]] = json.loads(
            (self.path / 'segments.json').read_text()
        )
        return found


class TestKeeping(ShelfCase):
    def test_when_saved_then_another_process_finds_it(self) -> None:
        self.assert_holds(self.fill(1, 2), 1, 2)
        opened = self.open()
        self.assert_holds(opened, 1, 2)
        self.assertEqual({'a77e0001': 1}, opened.owners[owner_of(1)])

    def test_when_not_saved_then_only_this_process_has_it(self) -> None:
        opened = self.fill(1)
        opened.add(owner_of(2), {'a77e0001': 1}, [segment(2)])
        self.assert_holds(opened, 1, 2)
        self.assert_holds(self.open(), 1)

    def test_when_an_index_has_several_parts_then_all_are_kept(self) -> None:
        opened = self.open()
        parts = [segment(1), index.encode([], {}, 'blake3'), segment(1, 2)]
        opened.add(owner_of(1), {'a77e0001': 3}, parts)
        opened.save()
        self.assert_holds(self.open(), 1)
        self.assertEqual(3, len(self.files()))

    def test_when_an_index_is_empty_then_that_is_remembered(self) -> None:
        opened = self.open()
        opened.add(owner_of(1), {}, [])
        opened.save()
        again = self.open()
        self.assertEqual({owner_of(1): {}}, again.owners)
        again.add(owner_of(2), {}, [])
        again.save()
        self.assertEqual({owner_of(1), owner_of(2)}, set(self.open().owners))

    def test_when_a_part_cannot_be_had_then_nothing_is_taken(self) -> None:
        opened = self.fill(1)

        def parts() -> Iterator[bytes]:
            yield segment(2)
            raise errors.ObjectNotFound('the second part is gone')

        with self.assertRaises(errors.ObjectNotFound):
            opened.add(owner_of(2), {'a77e0001': 2}, parts())
        opened.save()
        self.assert_holds(opened, 1)
        self.assertEqual(self.listed().keys(), self.files())

    def test_when_files_are_made_then_their_modes_are_ours(self) -> None:
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        self.fill(1)
        self.assertEqual(0o770, self.path.stat().st_mode & 0o7777)
        for path in self.path.iterdir():
            self.assertEqual(0o660, path.stat().st_mode & 0o7777, path.name)

    def test_when_a_process_died_then_what_it_left_is_removed(self) -> None:
        add_some(str(self.path), [1])
        (listed,) = self.path.glob('*.idx')
        left = [self.path / f'{"0a" * 8}.idx', self.path / '.0a0b0c0d']
        young = self.path / f'{"0b" * 8}.idx'
        others = self.path / 'notes'
        for path in (*left, young, others):
            path.write_bytes(b'left')
        two_days_ago = time.time() - 2 * 86_400
        for path in (*left, listed, others):
            os.utime(path, (two_days_ago, two_days_ago))
        add_some(str(self.path), [2])
        self.assertEqual([False, False], [path.exists() for path in left])
        for path in (listed, young, others):
            self.assertTrue(path.exists(), path)


class TestMerging(ShelfCase):
    def test_when_many_are_added_then_few_segments_are_left(self) -> None:
        numbers = range(1, 100)
        opened = self.fill(*numbers)
        self.assert_holds(opened, *numbers)
        self.assertLess(len(opened.segments), 30)
        self.assertEqual(self.listed().keys(), self.files())
        again = self.open()
        self.assert_holds(again, *numbers)
        self.assertEqual(
            99 * 3, sum(1 for one in again.segments for _ in one.records())
        )

    def test_when_merged_then_records_are_in_order_and_places_right(
        self,
    ) -> None:
        opened = self.fill(*range(1, 9))
        (merged,) = opened.segments
        found = list(merged.records())
        self.assertEqual(
            sorted(key for key, _ in found), [k for k, _ in found]
        )
        for number in range(1, 9):
            for key in keys_of(number):
                (place,) = merged.lookup(key)
                self.assertEqual(owner_of(number), place.pack.owner)
                self.assertEqual(999, merged.packs[place.pack])

    def test_when_another_merged_meanwhile_then_both_go_on(self) -> None:
        slow = self.fill(1, 2, 3)
        self.fill(4, 5, 6, 7, 8)
        self.assert_holds(slow, 1, 2, 3)
        slow.add(owner_of(9), {'a77e0001': 1}, [segment(9)])
        slow.save()
        self.assert_holds(slow, *range(1, 10))
        self.assert_holds(self.open(), *range(1, 10))

    def test_when_two_add_the_same_then_it_is_kept_once(self) -> None:
        one, two = self.open(), self.open()
        for opened in (one, two):
            opened.add(owner_of(1), {'a77e0001': 1}, [segment(1)])
        one.save()
        two.save()
        self.assert_holds(one, 1)
        self.assert_holds(two, 1)
        self.assertEqual(1, len(self.files()))

    def test_when_processes_add_at_once_then_all_is_kept(self) -> None:
        context = multiprocessing.get_context('spawn')
        workers = [
            context.Process(
                target=add_some,
                args=(str(self.path), list(range(at, at + 12))),
            )
            for at in (100, 200)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
            self.assertEqual(0, worker.exitcode)
        self.assert_holds(self.open(), *range(100, 112), *range(200, 212))
        self.assertEqual(self.listed().keys(), self.files())

    def test_when_another_holds_the_lock_then_a_save_waits(self) -> None:
        opened = self.fill(1)
        opened.add(owner_of(2), {'a77e0001': 1}, [segment(2)])
        saving = threading.Thread(target=opened.save)
        with (self.path / 'lock').open('ab') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            saving.start()
            saving.join(0.3)
            self.assertTrue(saving.is_alive())
            self.assertEqual(1, len(self.listed()))
        saving.join(60)
        self.assert_holds(self.open(), 1, 2)


class TestDamaged(ShelfCase):
    def spoil_list(self, text: bytes) -> None:
        """Let the list be something else."""
        (self.path / 'segments.json').write_bytes(text)

    def test_when_the_list_is_torn_then_the_cache_begins_anew(self) -> None:
        self.fill(1)
        whole = (self.path / 'segments.json').read_bytes()
        outside = self.path.parent / 'outside.idx'
        outside.write_bytes(b'precious')
        for text in (
            b'',
            whole[:-3],
            b'[]',
            b'7',
            b'{"x": 1}',
            b'{"../outside.idx": {}}',
            json.dumps({name: [1] for name in self.files()}).encode(),
            b'\xff',
        ):
            with self.subTest(text=text):
                self.spoil_list(text)
                opened = self.open()
                self.assertEqual({}, dict(opened.owners))
                opened.add(owner_of(2), {'a77e0001': 1}, [segment(2)])
                opened.save()
                self.assert_holds(self.open(), 2)
        self.assertEqual(b'precious', outside.read_bytes())

    def test_when_a_segment_is_damaged_then_the_others_stay(self) -> None:
        self.fill(1, 2, 3)
        hurt = next(
            name
            for name, owners in self.listed().items()
            if owner_of(2) in owners
        )
        whole = (self.path / hurt).read_bytes()
        flipped = bytearray(whole)
        flipped[60] ^= 4
        for data in (b'', whole[:40], whole[:-1], whole + b'x', flipped):
            self.fill(2)
            for path in self.path.glob('*.idx'):
                if path.read_bytes() == whole:
                    path.write_bytes(data)
                    hurt = path.name
            self.assert_holds(self.open(), 1, 3)
            self.assertNotIn(hurt, self.files())
            self.assertNotIn(hurt, self.listed())

    def test_when_a_segment_has_vanished_then_the_others_stay(self) -> None:
        self.fill(1, 2, 3)
        for name, owners in self.listed().items():
            if owner_of(2) in owners:
                (self.path / name).unlink()
        opened = self.open()
        self.assert_holds(opened, 1, 3)
        opened.add(owner_of(2), {'a77e0001': 1}, [segment(2)])
        opened.save()
        self.assert_holds(opened, 1, 2, 3)
        self.assert_holds(self.open(), 1, 2, 3)

    def test_when_a_segment_vanishes_during_the_load_then_it_is_merged(
        self,
    ) -> None:
        """Another process merges between the list and the segments."""
        self.fill(1, 2, 3)
        listed = shelf.DiskShelf._listed
        merged: list[bool] = []

        def late(opened: shelf.DiskShelf) -> object:
            found = listed(opened)
            if not merged:
                merged.append(True)
                self.fill(4, 5, 6, 7, 8)
            return found

        with mock.patch.object(shelf.DiskShelf, '_listed', late):
            opened = self.open()
        self.assert_holds(opened, *range(1, 9))

    def test_when_a_segment_is_damaged_at_the_save_then_ours_is_kept(
        self,
    ) -> None:
        ours = self.open()
        ours.add(owner_of(1), {'a77e0001': 1}, [segment(1)])
        self.fill(1)
        for name in self.listed():
            (self.path / name).write_bytes(b'x' * 100)
        ours.save()
        self.assert_holds(ours, 1)
        self.assert_holds(self.open(), 1)


class TestFull(ShelfCase):
    def test_when_nothing_can_be_written_then_memory_holds_it(self) -> None:
        opened = self.fill(1)
        full = OSError(errno.ENOSPC, 'no space')
        with mock.patch.object(os, 'fchmod', autospec=True, side_effect=full):
            opened.add(owner_of(2), {'a77e0001': 1}, [segment(2)])
        opened.save()
        self.assert_holds(opened, 1, 2)
        opened.add(owner_of(3), {'a77e0001': 1}, [segment(3)])
        opened.save()
        self.assert_holds(opened, 1, 2, 3)
        self.assert_holds(self.open(), 1, 3)
        self.assertEqual(self.listed().keys(), self.files())

    def test_when_only_a_part_can_be_written_then_memory_holds_all(
        self,
    ) -> None:
        opened = self.fill(1)
        full = OSError(errno.ENOSPC, 'no space')
        with mock.patch.object(
            os, 'fchmod', autospec=True, side_effect=[None, full, None]
        ):
            opened.add(
                owner_of(2),
                {'a77e0001': 3},
                [segment(2), segment(3), segment(4)],
            )
        opened.save()
        for number in (2, 3, 4):
            for key in keys_of(number):
                self.assertTrue(
                    any(one.lookup(key) for one in opened.segments)
                )
        self.assert_holds(self.open(), 1)
        self.assertEqual(self.listed().keys(), self.files())

    def test_when_the_list_cannot_be_written_then_memory_holds_it(
        self,
    ) -> None:
        opened = self.fill(1)
        opened.add(owner_of(2), {'a77e0001': 1}, [segment(2)])
        full = OSError(errno.ENOSPC, 'no space')
        with mock.patch.object(
            pathlib.Path, 'write_text', autospec=True, side_effect=full
        ):
            opened.save()
        self.assert_holds(opened, 1, 2)
        self.assert_holds(self.open(), 1)
        opened.save()
        self.assert_holds(self.open(), 1, 2)

    def test_when_the_directory_cannot_be_used_then_backups_go_on(
        self,
    ) -> None:
        self.path.parent.mkdir(parents=True)
        file = self.path.parent / 'file'
        file.write_text('no directory')
        self.target.set_environment(str(file), 2, 64 << 20)
        data = random.Random(1).randbytes(9 * CHUNK)
        for _ in range(2):
            summary = self.back_up(data)
            self.assertEqual(data, self.restore(summary.backup_id))
        self.assertEqual(0, summary.stored_bytes)


class TestBackups(ShelfCase):
    """The cache under a target."""

    def setUp(self) -> None:
        super().setUp()
        self.target.set_environment(str(self.path.parent), 2, 64 << 20)
        self.data = random.Random(1).randbytes(20 * CHUNK)

    def test_when_who_owns_a_pack_is_deleted_then_it_is_reused(self) -> None:
        first = self.back_up(self.data, volume_id='a')
        second = self.back_up(self.data, volume_id='b')
        self.delete(first.backup_id)
        self.collect()
        third = self.back_up(self.data, volume_id='c')
        self.assertEqual(0, third.stored_bytes)
        self.delete(second.backup_id)
        self.collect()
        self.assertEqual(self.data, self.restore(third.backup_id))
        self.assertEqual((), self.check().findings)

    def test_when_who_owned_a_pack_was_collected_then_it_is_stored_anew(
        self,
    ) -> None:
        first = self.back_up(self.data, volume_id='a')
        self.delete(first.backup_id)
        for _ in range(3):
            self.collect()
        second = self.back_up(self.data, volume_id='b')
        self.assertGreater(second.stored_bytes, len(self.data))
        self.assertEqual(self.data, self.restore(second.backup_id))

    def test_when_a_pack_is_shorter_than_indexed_then_it_is_not_reused(
        self,
    ) -> None:
        self.back_up(self.data, volume_id='a')
        self.back_up(self.data, volume_id='b')
        for name in [n for n in self.medium.objects if '/packs/' in n]:
            self.medium.objects[name] = self.medium.objects[name][:-1]
        third = self.back_up(self.data, volume_id='c')
        self.assertGreater(third.stored_bytes, len(self.data))
        self.assertEqual(self.data, self.restore(third.backup_id))
        self.assertTrue(self.verify(third.backup_id).good)

    def test_when_the_cache_is_spoiled_then_nothing_is_wrong(self) -> None:
        first = self.back_up(self.data)
        self.restore(first.backup_id)
        generator = random.Random(3)
        for _ in range(30):
            (directory,) = self.path.parent.iterdir()
            paths = [path for path in directory.iterdir() if path.is_file()]
            victim = generator.choice(paths)
            data = bytearray(victim.read_bytes())
            if data:
                data[generator.randrange(len(data))] ^= (
                    1 << generator.randrange(8)
                )
            if generator.random() < 0.5:
                victim.unlink()
            else:
                victim.write_bytes(data)
            self.assertEqual(self.data, self.restore(first.backup_id))
        second = self.back_up(self.data)
        self.assertEqual(self.data, self.restore(second.backup_id))
