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
"""Copies between repositories, chunk by chunk as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import random
from typing import Any
import uuid

from backupkit.copy import control
from backupkit.copy import reblock
from backupkit.drivers import target as contract
from backupkit import errors
from backupkit import model
from backupkit.repository import target
from backupkit.testing.memory import catalog
from backupkit.testing.memory import store
from backupkit.testing.memory import target as memory_target
from backupkit.testing import sections
from tests.unit.repository import case

CHUNK = case.CHUNK


def _random(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class ReplicaCase(case.RepositoryCase):
    """Copies from the target of its base to another one."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.make_other()
        self.other_coordinator = catalog.MemoryCoordinator()

    def make_other(self, **options: Any) -> target.RepositoryTarget:
        """Return a target on a medium of its own."""
        name = str(uuid.uuid4())
        self.addCleanup(store.discard, name)
        self.other_medium = store.medium(name)
        made = sections.load_target(
            'memory',
            **{
                'medium': name,
                'chunk_size_bytes': CHUNK,
                'pack_size_bytes': 1 << 16,
                **options,
            },
        )
        assert isinstance(made, memory_target.MemoryTarget)
        return made

    def prepare_copy(
        self, source: model.BackupSummary, **how: Any
    ) -> tuple[int, contract.Prepared]:
        copy_id = str(uuid.uuid4())
        number = self.other_coordinator.begin(copy_id)
        request = model.BackupRequest(
            copy_id,
            number,
            source.backend,
            model.Volume(source.volume_id, source.size_bytes),
            copy_of=source.backup_id,
            **how,
        )
        self.progress: list[control.Progress] = []
        watch = control.Control(self.progress.append)
        with self.target.open_backup(
            source.backup_id, self.coordinator, watch
        ) as opened:
            reader = reblock.Reblocked(opened.reader, opened.block_bytes)
            prepared = self.other.backup(
                request, lambda _: reader, self.other_coordinator, watch
            )
        return number, prepared

    def copy(
        self, source: model.BackupSummary, **how: Any
    ) -> model.BackupSummary:
        number, prepared = self.prepare_copy(source, **how)
        self.other.commit(prepared)
        self.other_coordinator.record(number, prepared.summary)
        return prepared.summary

    def restored(self, summary: model.BackupSummary) -> bytes:
        writer = case.BytesWriter(summary.size_bytes)
        self.other.restore(
            summary.backup_id,
            writer,
            self.other_coordinator,
            control.Control(),
        )
        return bytes(writer.data)

    def other_packs(self) -> dict[str, bytes]:
        return {
            name: content
            for name, content in self.other_medium.objects.items()
            if '/packs/' in name
        }

    def assert_sound(self) -> None:
        report = self.other.check_repository(
            self.other_coordinator, control.Control(), read_data=True
        )
        self.assertEqual((), report.findings)


class ReplicaTestCase(ReplicaCase):
    def test_when_copied_then_all_comes_back_and_verifies(self) -> None:
        for size in (0, 1, CHUNK - 1, CHUNK, 40 * CHUNK + 17):
            with self.subTest(size=size):
                data = _random(size, size)
                made = self.back_up(data, volume_id=f'v{size}')
                copied = self.copy(made)
                self.assertEqual(data, self.restored(copied))
                self.assertEqual(made.backup_id, copied.copy_of)
                self.assertEqual(size, copied.data_bytes)
                told = self.other.show(copied.backup_id)
                self.assertEqual(copied, told)
        self.assert_sound()

    def test_when_the_map_has_levels_then_all_comes_back(self) -> None:
        data = bytearray((4096 + 7) * CHUNK + 5)
        for at in (0, 4095 * CHUNK, 4096 * CHUNK, len(data) - 1):
            data[at] = 7
        copied = self.copy(self.back_up(bytes(data)))
        self.assertEqual(bytes(data), self.restored(copied))
        self.assertEqual(3 * CHUNK + 5, copied.data_bytes)
        self.assertEqual(len(data), self.progress[-1].done_bytes)
        self.assertEqual('copy', self.progress[-1].step)
        self.assert_sound()

    def test_when_all_is_zero_then_nothing_is_stored(self) -> None:
        copied = self.copy(self.back_up(bytes(50 * CHUNK)))
        self.assertEqual({}, self.other_packs())
        self.assertEqual(0, copied.data_bytes)
        self.assertEqual(bytes(50 * CHUNK), self.restored(copied))

    def test_when_it_is_there_already_then_nothing_is_read(self) -> None:
        data = _random(64 * CHUNK)
        made = self.back_up(data)
        self.copy(made)
        packs = self.other_packs()
        again = self.copy(made)
        self.assertEqual(packs, self.other_packs())
        self.assertEqual(0, again.read_bytes)
        self.assertEqual(0, again.stored_bytes)
        self.assertEqual(0, again.changed_bytes)
        self.assertEqual(data, self.restored(again))

    def test_when_a_little_changed_then_only_that_moves(self) -> None:
        data = bytearray(_random(64 * CHUNK))
        first = self.copy(self.back_up(bytes(data)))
        data[5 * CHUNK] ^= 1
        data[9 * CHUNK : 10 * CHUNK] = bytes(CHUNK)
        second = self.copy(self.back_up(bytes(data)))
        self.assertEqual(CHUNK, second.read_bytes)
        self.assertEqual(2 * CHUNK, second.changed_bytes)
        self.assertEqual(63 * CHUNK, second.data_bytes)
        self.assertEqual(first.backup_id, second.parent_id)
        self.assertEqual(model.BackupKind.INCREMENTAL, second.kind)
        self.assertEqual(bytes(data), self.restored(second))
        self.assert_sound()

    def test_when_chunks_repeat_then_each_is_stored_once(self) -> None:
        chunk = _random(CHUNK)
        copied = self.copy(self.back_up(chunk * 80))
        self.assertEqual(chunk * 80, self.restored(copied))
        self.assertEqual(CHUNK, copied.read_bytes)

    def test_with_one_codec_then_chunks_are_kept_as_they_are(self) -> None:
        data = b''.join(b'%08d' % n for n in range(20 * CHUNK // 8))
        made = self.back_up(data)
        copied = self.copy(made)
        # The table of each pack tells where it is; the chunks are the same.
        self.assertLess(copied.stored_bytes, len(data) // 2)
        self.assertAlmostEqual(
            made.stored_bytes, copied.stored_bytes, delta=CHUNK
        )
        self.assertEqual(data, self.restored(copied))

    def test_with_another_codec_then_chunks_are_encoded_anew(self) -> None:
        data = b''.join(b'%08d' % n for n in range(20 * CHUNK // 8))
        made = self.back_up(data)
        for codec in ('none', 'lz4'):
            self.other = self.make_other(codec=codec)
            self.other_coordinator = catalog.MemoryCoordinator()
            copied = self.copy(made)
            self.assertEqual(data, self.restored(copied))
            self.assertEqual(
                codec == 'none', copied.stored_bytes > len(data), codec
            )
            self.assert_sound()

    def test_when_repositories_differ_then_it_is_copied_all_the_same(
        self,
    ) -> None:
        data = _random(40 * CHUNK + 17)
        made = self.back_up(data)
        for options in (
            {'chunk_size_bytes': 4 * CHUNK},
            {'chunk_size_bytes': 3 * CHUNK},
            {'digest': 'sha256'},
        ):
            self.other = self.make_other(**options)
            self.other_coordinator = catalog.MemoryCoordinator()
            copied = self.copy(made)
            self.assertEqual(data, self.restored(copied))
            self.assertEqual(made.backup_id, copied.copy_of)
            self.assert_sound()

    def test_when_chunks_are_smaller_there_then_it_is_copied(self) -> None:
        big = self.make_target()
        self.assertIs(type(big), type(self.target))
        data = _random(33 * CHUNK + 5)
        self.target = self.make_target(chunk_size_bytes=4 * CHUNK)
        made = self.back_up(data)
        copied = self.copy(made)
        self.assertEqual(data, self.restored(copied))
        self.assert_sound()

    def test_when_packs_have_moved_then_they_are_followed(self) -> None:
        data = _random(30 * CHUNK)
        gone = self.back_up(data + _random(90 * CHUNK, 1))
        made = self.back_up(data, volume_id='w')
        self.delete(gone.backup_id)
        self.collect()
        moved = self.collect(max_unused=0)
        self.assertLess(0, moved.moved_packs)
        copied = self.copy(made)
        self.assertEqual(data, self.restored(copied))
        self.assert_sound()


class DamageTestCase(ReplicaCase):
    def damage(self) -> None:
        """Flip a bit in the chunks of every pack that is not of nodes."""
        objects = self.medium.objects
        for name in [one for one in objects if '/packs/' in one]:
            content = bytearray(objects[name])
            content[24] ^= 1
            objects[name] = bytes(content)

    def test_when_a_chunk_is_damaged_then_it_is_not_copied(self) -> None:
        for codec in ('none', 'zstd'):
            self.target = self.make_target(codec=codec)
            text = b''.join(
                b'%04s%04d' % (codec.encode(), n)
                for n in range(40 * CHUNK // 8)
            )
            made = self.back_up(text, volume_id=codec)
            self.damage()
            with self.assertRaises(errors.IntegrityError):
                self.prepare_copy(made)

    def test_when_there_is_another_good_copy_then_that_is_taken(self) -> None:
        data = _random(10 * CHUNK)
        # Two backups under way do not share: each stores its chunks.
        own = (_random(CHUNK, 5), _random(CHUNK, 6))
        one = self.prepare(data + own[0], volume_id='a')
        two = self.prepare(data + own[1], volume_id='b')
        for number, prepared in (one, two):
            self.target.commit(prepared)
            self.coordinator.record(number, prepared.summary)
        # The third refers to the packs of both.
        data = data + own[0] + own[1]
        third = self.back_up(data, volume_id='c')
        for _, prepared in (one, two):
            with self.damaged(prepared.summary.backup_id):
                self.other = self.make_other()
                self.other_coordinator = catalog.MemoryCoordinator()
                self.assertEqual(data, self.restored(self.copy(third)))

    @contextlib.contextmanager
    def damaged(self, backup_id: str) -> Iterator[None]:
        """Have the first chunk that a backup stored damaged."""
        (pack,) = [
            name
            for name in self.medium.objects
            if backup_id in name and name.endswith('-00000000')
            if '/packs/' in name
        ]
        whole = self.medium.objects[pack]
        content = bytearray(whole)
        content[CHUNK // 2] ^= 1
        self.medium.objects[pack] = bytes(content)
        yield
        self.medium.objects[pack] = whole

    def test_when_what_is_there_is_condemned_then_it_is_not_reused(
        self,
    ) -> None:
        data = _random(20 * CHUNK)
        made = self.back_up(data)
        first = self.copy(made)
        self.other_coordinator.condemn(
            first.repository_id, list(self.other_packs())
        )
        second = self.copy(made)
        self.assertEqual(20 * CHUNK, second.read_bytes)
        self.assertEqual(data, self.restored(second))

    def test_when_cancelled_then_it_ends_and_can_be_undone(self) -> None:
        made = self.back_up(_random(200 * CHUNK))
        watch = control.Control()
        watch.cancel()
        copy_id = str(uuid.uuid4())
        number = self.other_coordinator.begin(copy_id)
        request = model.BackupRequest(
            copy_id,
            number,
            'local',
            model.Volume('v', made.size_bytes),
            copy_of=made.backup_id,
        )
        with (
            self.target.open_backup(
                made.backup_id, self.coordinator, control.Control()
            ) as opened,
            self.assertRaises(errors.Cancelled),
        ):
            self.other.backup(
                request,
                lambda _: opened.reader,
                self.other_coordinator,
                watch,
            )
        self.assertTrue(self.other.abort(copy_id))
        self.assertEqual({}, self.other_packs())
