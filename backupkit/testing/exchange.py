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


"""The exchange suite: two drivers that keep one format, on one place.

::

    class PosixToMineTest(exchange.ExchangeSuite, unittest.TestCase):
        def make_target(self):
            return PosixTarget('test', self.posix_section)

        def make_other_target(self):
            return MyTarget('test', self.my_section)

What the one wrote is listed, read, extended, verified, deleted and
collected by the other. It is for drivers that reach the same place by two
ways, and for a subclass that overrides ``transfer`` alone. Both directions
are tested.
"""

from __future__ import annotations

from collections.abc import Callable

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import target as repository_target
from backupkit.testing import cycle as cycle_
from backupkit.testing import plain
from backupkit.testing.target import case

#: What happens between who writes, who goes on, and a volume.
Scene = Callable[[cycle_.Cycle, cycle_.Cycle, plain.PlainVolume], None]


class ExchangeSuite(case.TargetCase):
    """All that two drivers for one place promise of each other.

    The hooks are :meth:`make_target` and :meth:`make_other_target`.
    """

    #: Whether a small change is never stored as a whole volume: not so of
    #: images, where the file system cannot share blocks.
    shares = True

    def make_other_target(self) -> target_.Target:
        """Return the other target, for the place of the first one."""
        raise NotImplementedError('a suite needs its hook make_other_target')

    def setUp(self) -> None:
        """Let both work with one catalog, as they do in one program."""
        super().setUp()
        self.other = cycle_.Cycle(
            self.make_other_target(), self.cycle.coordinator
        )

    def both_ways(self, scene: Scene) -> None:
        """Play a scene with the one as the writer, then with the other."""
        for writer, reader in (
            (self.cycle, self.other),
            (self.other, self.cycle),
        ):
            name = f'{type(writer.target).__name__} writes'
            volume = self.make_volume(volume_id=f'of-{id(writer):x}')
            with self.subTest(name):
                scene(writer, reader, volume)

    def assert_read(
        self, reader: cycle_.Cycle, volume: plain.PlainVolume
    ) -> None:
        """Assert that every backup of a volume is listed, shown and right."""
        for backup_id, expected in volume.history.items():
            shown = reader.target.show(backup_id)
            self.assertEqual(len(expected), shown.size_bytes)
            if self.store_is_complete:
                self.assertEqual(shown, reader.listed()[backup_id])
            writer = plain.PlainWriter(len(expected), expected)
            reader.restore(backup_id, writer)
            self.assert_bytes(expected, writer.data, f'backup {backup_id}')
            self.assertEqual((), reader.verify(backup_id).findings)

    def assert_shares(
        self, whole: model.BackupSummary, grown: model.BackupSummary
    ) -> None:
        """Assert that a small change was not stored as a whole volume."""
        if self.shares and self.effective.repository:
            self.assertLess(grown.stored_bytes, whole.stored_bytes)

    def test_backup_when_the_other_wrote_it_then_read_and_good(self) -> None:
        """Guards: Target.show, Target.list, Target.restore, Target.verify."""

        def scene(
            writer: cycle_.Cycle,
            reader: cycle_.Cycle,
            volume: plain.PlainVolume,
        ) -> None:
            writer.backup(volume)
            self.assert_read(reader, volume)

        self.both_ways(scene)

    def test_backup_when_both_extend_it_in_turn_then_all_are_good(
        self,
    ) -> None:
        """Guards: Target.backup, Target.commit."""

        def scene(
            writer: cycle_.Cycle,
            reader: cycle_.Cycle,
            volume: plain.PlainVolume,
        ) -> None:
            whole = writer.backup(volume)
            for cycle in (reader, writer, reader):
                self.change(volume, 1)
                self.assert_shares(whole, cycle.backup(volume))
            for cycle in (writer, reader):
                self.assert_read(cycle, volume)

        self.both_ways(scene)

    def test_delete_when_the_other_wrote_it_then_gone_for_both(self) -> None:
        """Guards: Target.delete, Target.show raises NotFound."""

        def scene(
            writer: cycle_.Cycle,
            reader: cycle_.Cycle,
            volume: plain.PlainVolume,
        ) -> None:
            gone = writer.backup(volume).backup_id
            self.change(volume)
            reader.backup(volume)
            reader.delete(gone)
            del volume.history[gone]
            reader.collect()
            for cycle in (writer, reader):
                with self.assertRaises(errors.NotFound):
                    cycle.target.show(gone)
                self.assert_read(cycle, volume)

        self.both_ways(scene)

    def test_abort_when_the_other_prepared_it_then_nothing_is_left(
        self,
    ) -> None:
        """Guards: Target.abort."""

        def scene(
            writer: cycle_.Cycle,
            reader: cycle_.Cycle,
            volume: plain.PlainVolume,
        ) -> None:
            run = writer.begin()
            writer.prepare(run, volume.describe(), volume.open)
            self.assertTrue(reader.abort(run))
            with self.assertRaises(errors.RunAborted):
                writer.commit(run)
            self.assertNotIn(run.backup_id, writer.listed())

        self.both_ways(scene)

    def test_check_when_both_wrote_then_nothing_is_found(self) -> None:
        """Guards: Target.backup, Target.commit."""

        def scene(
            writer: cycle_.Cycle,
            reader: cycle_.Cycle,
            volume: plain.PlainVolume,
        ) -> None:
            writer.backup(volume)
            self.change(volume)
            reader.backup(volume)
            for cycle in (writer, reader):
                if isinstance(
                    cycle.target, repository_target.RepositoryTarget
                ):
                    report = cycle.target.check_repository(
                        cycle.coordinator, control_.Control(), read_data=True
                    )
                    self.assertEqual((), report.findings)

        self.both_ways(scene)
