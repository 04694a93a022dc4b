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

"""When it is kept how far a restore has come."""

from __future__ import annotations

from collections.abc import Sequence
import json
import unittest

from backupkit.copy import interface
from backupkit.flows import progress

STEP = progress.STEP_BYTES
SIZE = 10 * STEP


class Written(interface.Writer):
    """A writer that can be flushed."""

    def __init__(self) -> None:
        self.flushed = 0

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        """Take bytes."""

    def zero(self, offset: int, length: int) -> None:
        """Take zeros."""

    def flush(self) -> bool:
        self.flushed += 1
        return True

    def finish(self) -> None:
        """End."""


class ProgressingTest(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.kept: list[list[list[int]]] = []
        self.writer = Written()

    def make(self, *, free_zeros: bool) -> progress.Progressing:
        made = progress.Progressing(
            self.writer,
            SIZE,
            lambda text: self.kept.append(json.loads(text)),
            free_zeros=free_zeros,
        )
        self.addCleanup(made.close)
        return made

    def test_when_a_step_is_written_then_it_is_flushed_and_kept(self) -> None:
        one = self.make(free_zeros=False)
        one.write(0, [bytearray(STEP - 1)])
        one.zero(STEP - 1, 1)
        one.write(2 * STEP, [bytearray(STEP)])
        one.finish()
        self.assertEqual(
            [[[0, STEP]], [[0, STEP], [2 * STEP, 3 * STEP]]], self.kept
        )
        self.assertEqual(2, self.writer.flushed)

    def test_when_zeros_cost_nothing_then_they_are_only_noted(self) -> None:
        one = self.make(free_zeros=True)
        for at in range(8):
            one.zero(at * STEP, STEP)
        one.write(8 * STEP, [bytearray(STEP)])
        one.zero(9 * STEP, STEP)
        one.finish()
        self.assertEqual([[[0, 9 * STEP]]], self.kept)
        self.assertEqual(1, self.writer.flushed)

    def test_when_zeros_cost_then_they_are_kept_as_data_is(self) -> None:
        one = self.make(free_zeros=False)
        for at in range(3):
            one.zero(at * STEP, STEP)
        one.finish()
        self.assertEqual(3, len(self.kept))
