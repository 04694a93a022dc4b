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


"""The exchange suite finds drivers that do not keep one format."""

from __future__ import annotations

from collections.abc import Iterator
import unittest

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import target
from backupkit import model
from backupkit.testing import exchange
from backupkit.testing.memory import store
from backupkit.testing.memory import target as memory
from backupkit.testing import sections
from tests.unit.testing import mutation


class Forgetful(memory.MemoryTarget):
    """It lists only what it has written itself."""

    def list(self) -> Iterator[model.BackupSummary | target.Finding]:
        return iter(())


class Keeping(memory.MemoryTarget):
    """It deletes nothing."""

    def delete(self, backup_id: str) -> None:
        """Leave it."""


class Zeroing(memory.MemoryTarget):
    """Its own way of moving data brings zeros."""

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        writer.zero(0, reader.size_bytes)
        return True


class ExchangeSuiteTest(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(store.discard, self.id())
        self.addCleanup(store.discard, 'elsewhere')

    def load(self, medium: str = '') -> memory.MemoryTarget:
        loaded = sections.load_target(
            'memory',
            medium=medium or self.id(),
            chunk_size_bytes=16384,
            pack_size_bytes=131072,
        )
        assert isinstance(loaded, memory.MemoryTarget)
        return loaded

    def failures(self, other: memory.MemoryTarget) -> set[str]:
        def make_target(_: object) -> memory.MemoryTarget:
            # Each test begins with an empty place.
            store.discard(self.id())
            store.discard('elsewhere')
            return self.load()

        return mutation.failures(
            exchange.ExchangeSuite,
            make_target=make_target,
            make_other_target=lambda _: other,
        )

    def test_suite_when_both_are_one_driver_then_passes(self) -> None:
        self.assertEqual(set(), self.failures(self.load()))

    def test_suite_when_one_is_elsewhere_then_fails(self) -> None:
        self.assertNotEqual(set(), self.failures(self.load('elsewhere')))

    def test_suite_when_one_breaks_a_promise_then_fails(self) -> None:
        section = self.load().section
        for broken in (Forgetful, Keeping, Zeroing):
            with self.subTest(broken.__name__):
                found = self.failures(broken('broken', section))
                self.assertNotEqual(set(), found)
