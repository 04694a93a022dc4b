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


"""Tests of a configured target being validated."""

from typing import Any
import unittest

from backupkit.copy import control as control_
from backupkit import errors
from backupkit.testing import cycle
from backupkit.testing.memory import store
from backupkit.testing.memory import target as memory_target
from backupkit.testing import plain
from backupkit.testing import sections
from backupkit.testing import validate


class ValidateTest(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(store.discard, self.id())
        self.medium = store.medium(self.id())
        self.target = self.load()

    def load(self, **options: Any) -> memory_target.MemoryTarget:
        target = sections.load_target(
            'memory',
            medium=self.id(),
            chunk_size_bytes=65536,
            pack_size_bytes=1048576,
            **options,
        )
        assert isinstance(target, memory_target.MemoryTarget)
        return target

    def test_validate_when_target_is_good_then_all_is_ok(self) -> None:
        outcomes = validate.validate_target(self.target)
        self.assertGreater(len(outcomes), 90)
        bad = [o for o in outcomes if o[1] != 'ok']
        self.assertEqual([], bad)
        self.assertEqual(
            ['store', 'target', 'round trip'],
            list(dict.fromkeys(o[0].partition(':')[0] for o in outcomes)),
        )
        self.assertEqual({}, self.medium.objects)

    def test_validate_when_there_are_backups_then_they_stay(self) -> None:
        life = cycle.Cycle(self.target)
        volume = plain.PlainVolume(b'data' * 100_000)
        life.backup(volume)
        before = dict(self.medium.objects)
        outcomes = validate.validate_target(self.target)
        self.assertEqual([], [o for o in outcomes if o[1] == 'failed'])
        self.assertEqual(before, self.medium.objects)

    def test_validate_when_target_lies_then_says_what_failed(self) -> None:
        class LyingStore(store.MemoryStore):
            def get(
                self, name: str, offset: int = 0, length: int | None = None
            ) -> bytes:
                # A range that ends too early is answered shortly.
                data = super().get(name)
                end = None if length is None else offset + length
                return data[offset:end]

        def open_lying(target: memory_target.MemoryTarget) -> LyingStore:
            return LyingStore(store.medium(target.section.medium))

        self.target.__class__ = type(
            'LyingTarget', (memory_target.MemoryTarget,), {'open': open_lying}
        )
        outcomes = validate.validate_target(self.target)
        failed = [o for o in outcomes if o[1] == 'failed']
        self.assertIn(
            (
                'store: test_get_when_object_ends_early_then_error',
                'failed',
                'AssertionError: Damaged not raised',
            ),
            failed,
        )
        self.assertEqual({}, self.medium.objects)

    def test_validate_when_read_only_then_one_error(self) -> None:
        with self.assertRaises(errors.TargetReadOnly):
            validate.validate_target(self.load(read_only=True))

    def test_validate_when_cancelled_then_nothing_is_left(self) -> None:
        control = control_.Control(
            lambda progress: (
                control.cancel() if progress.done_bytes > 30 else None
            )
        )
        with self.assertRaises(errors.Cancelled):
            validate.validate_target(self.target, control)
        self.assertEqual({}, self.medium.objects)

    def test_validate_when_it_runs_then_progress_is_told(self) -> None:
        told: list[control_.Progress] = []
        outcomes = validate.validate_target(
            self.target, control_.Control(told.append)
        )
        self.assertEqual(len(outcomes), told[-1].done_bytes)
        self.assertEqual(len(outcomes), told[-1].total_bytes)
