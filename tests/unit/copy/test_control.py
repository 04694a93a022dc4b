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

"""A run is watched and stopped through its control."""

from __future__ import annotations

from concurrent import futures
import unittest

from backupkit.copy import control
from backupkit import errors


class ControlTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.told: list[control.Progress] = []
        self.control = control.Control(self.told.append)

    def test_when_nothing_was_asked_then_check_passes(self) -> None:
        self.control.check()
        self.assertFalse(self.control.stopped)

    def test_when_cancelled_then_check_says_undo(self) -> None:
        self.control.cancel()
        self.assertTrue(self.control.stopped)
        for _ in range(2):
            with self.assertRaises(errors.Cancelled):
                self.control.check()

    def test_when_suspended_and_cancelled_then_all_is_kept(self) -> None:
        self.control.cancel()
        self.control.suspend()
        with self.assertRaises(errors.Suspended):
            self.control.check()

    def test_when_a_step_starts_then_counts_begin_anew(self) -> None:
        self.control.start('one', 10)
        self.control.advance(4, 3, 2)
        self.control.start('two', 20)
        self.control.advance(1)
        counts = [
            (t.step, t.done_bytes, t.total_bytes, t.read_bytes, t.stored_bytes)
            for t in self.told
        ]
        self.assertEqual(
            [
                ('one', 0, 10, 0, 0),
                ('one', 4, 10, 3, 2),
                ('two', 0, 20, 0, 0),
                ('two', 1, 20, 0, 0),
            ],
            counts,
        )

    def test_when_several_threads_advance_then_none_is_lost(self) -> None:
        def advance() -> None:
            for _ in range(500):
                self.control.advance(3, 2, 1)

        self.control.start('all', 0)
        with futures.ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(advance) for _ in range(4)]:
                future.result()
        last = max(self.told, key=lambda one: one.done_bytes)
        self.assertEqual(
            (6000, 4000, 2000),
            (last.done_bytes, last.read_bytes, last.stored_bytes),
        )
        self.assertEqual(2001, len(self.told))
