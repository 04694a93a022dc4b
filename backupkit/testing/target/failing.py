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


"""Tests of a repository whose store fails, at each call in turn.

Only for targets that keep a repository: the store is theirs, and what is
done with it is tested together with it.
"""

from __future__ import annotations

import itertools

from backupkit.copy import control as control_
from backupkit.copy import pipeline
from backupkit import errors
from backupkit.repository import target as repository_target
from backupkit.testing import cycle as cycle_
from backupkit.testing import faults as faults_
from backupkit.testing import plain
from backupkit.testing import scratch
from backupkit.testing.target import case

#: Of the volumes here: enough for several objects, and no more, for each
#: call to the store costs one more round.
SMALL = 60_000


class FaultTests(case.TargetCase):
    """Loops over all calls of an operation."""

    def begin(
        self,
    ) -> tuple[repository_target.RepositoryTarget, faults_.Faults] | None:
        """Keep a backup, and have the store fail on demand."""
        repository = self.repository()
        if repository is None:
            return None
        self.kept = self.make_volume(SMALL, 'kept')
        self.cycle.backup(self.kept)
        self.change(self.kept, 1)
        self.cycle.backup(self.kept)
        self.cycle.collect()
        self.before = self.objects()
        faults = faults_.Faults(errors.TargetError)
        inject(repository, faults)
        return repository, faults

    def assert_nothing_lost(self) -> None:
        """Assert that what was kept before is kept still."""
        self.assert_all_restore(self.kept)

    def assert_nothing_left(self) -> None:
        """Assert that there are the objects of before, and no others."""
        self.cycle.collect()
        if self.store_is_complete:
            self.assertEqual(self.before, self.objects())

    def test_backup_when_a_call_fails_then_all_or_nothing(self) -> None:
        """Guards: Target.backup raises TargetError, Target.abort."""
        self.check_backup(faults_.Fault.BEFORE)

    def test_backup_when_a_call_fails_late_then_all_or_nothing(self) -> None:
        """Guards: Target.backup raises TargetError, Target.commit."""
        self.check_backup(faults_.Fault.AFTER)

    def test_backup_when_a_put_is_torn_then_all_or_nothing(self) -> None:
        """Guards: Target.backup raises TargetError, store 2."""
        self.check_backup(faults_.Fault.TORN)

    def test_backup_when_store_stays_away_then_all_or_nothing(self) -> None:
        """Guards: Target.backup raises TargetError."""
        self.check_backup(faults_.Fault.BEFORE, lasting=True)

    def check_backup(
        self, fault: faults_.Fault, *, lasting: bool = False
    ) -> None:
        """Let each call of a backup fail, and look what is left."""
        begun = self.begin()
        if begun is None:
            return
        runs: list[tuple[cycle_.Run, plain.PlainVolume]] = []

        def back_up() -> None:
            volume = self.make_volume(SMALL, 'new')
            runs.append((self.cycle.begin(), volume))
            self.cycle.prepare(runs[-1][0], volume.describe(), volume.open)
            self.cycle.commit(runs[-1][0])

        def check(raised: errors.BackupkitError | None) -> None:
            run, volume = runs[-1]
            if raised:
                self.assertNotIsInstance(raised, errors.IntegrityError)
                undone = self.cycle.abort(run)
            if raised and undone:
                self.assert_absent(run.backup_id)
            else:
                self.assert_restores(run.backup_id, bytes(volume.data))
                self.cycle.delete(run.backup_id)
            self.assert_nothing_left()
            self.assert_nothing_lost()

        calls = faults_.until_it_passes(
            begun[1], back_up, check, fault=fault, lasting=lasting
        )
        self.assertGreater(calls, 3)

    def test_first_backup_when_a_call_fails_then_it_can_be_made(self) -> None:
        """Guards: Target.backup raises TargetError."""
        repository = self.repository()
        if repository is None:
            return
        faults = faults_.Faults(errors.TargetError)
        volume = self.make_volume(SMALL)
        places = itertools.count()

        def back_up() -> None:
            # Each round has a repository of its own, not made yet.
            volume.history.clear()
            self.target = scratch.scratch_target(
                repository, scratch.Scratch(f'place/{next(places)}/')
            )
            inject(self.target, faults)
            self.cycle = cycle_.Cycle(self.target)
            self.cycle.backup(volume)

        def check(raised: errors.BackupkitError | None) -> None:
            self.cycle.backup(volume)
            self.assert_all_restore(volume)

        # The failed run is undone by the cycle itself, with the same store:
        # what fails there is another fault than the one looked for.
        for fault in (faults_.Fault.BEFORE, faults_.Fault.AFTER):
            faults_.until_it_passes(faults, back_up, check, fault=fault)

    def test_restore_when_a_call_fails_then_nothing_is_wrong(self) -> None:
        """Guards: Target.restore raises IntegrityError, store 4."""
        begun = self.begin()
        if begun is None:
            return
        for fault in (faults_.Fault.BEFORE, faults_.Fault.SHORT):
            for backup_id in self.kept.history:
                self.check_restore(begun[1], fault, backup_id)
        self.assert_nothing_lost()

    def check_restore(
        self, faults: faults_.Faults, fault: faults_.Fault, backup_id: str
    ) -> None:
        """Let each call of a restore fail."""
        expected = self.kept.history[backup_id]

        def restore() -> None:
            # The writer itself fails the test at the first wrong byte.
            writer = plain.PlainWriter(len(expected), expected)
            self.cycle.restore(backup_id, writer)
            self.assert_bytes(expected, writer.data, backup_id)

        def check(raised: errors.BackupkitError | None) -> None:
            if raised:
                self.assertIsInstance(
                    raised, (errors.TargetError, errors.IntegrityError)
                )
            self.assert_nothing_left()

        calls = faults_.until_it_passes(faults, restore, check, fault=fault)
        self.assertGreater(calls, 2)

    def test_delete_when_a_call_fails_then_can_be_repeated(self) -> None:
        """Guards: Target.delete."""
        begun = self.begin()
        if begun is None:
            return
        deleted: list[str] = []

        def delete() -> None:
            volume = self.make_volume(SMALL, 'gone')
            begun[1].disarm()
            deleted.append(self.cycle.backup(volume).backup_id)
            begun[1].arm(len(deleted), self.fault)
            self.target.delete(deleted[-1])

        def check(raised: errors.BackupkitError | None) -> None:
            self.cycle.delete(deleted[-1])
            self.assert_absent(deleted[-1])
            self.assert_nothing_left()
            self.assert_nothing_lost()

        for self.fault in (faults_.Fault.BEFORE, faults_.Fault.AFTER):
            deleted.clear()
            faults_.until_it_passes(begun[1], delete, check, fault=self.fault)

    def test_collect_when_a_call_fails_then_the_next_goes_on(self) -> None:
        """Guards: TargetCapabilities.repository."""
        begun = self.begin()
        if begun is None:
            return
        rounds = [0]

        def collect() -> None:
            begun[1].disarm()
            summary = self.cycle.backup(self.make_volume(SMALL, 'gone'))
            self.cycle.delete(summary.backup_id)
            rounds[0] += 1
            begun[1].arm(rounds[0], self.fault)
            self.cycle.collect()

        def check(raised: errors.BackupkitError | None) -> None:
            self.assert_nothing_left()
            self.assert_nothing_lost()

        for self.fault in (faults_.Fault.BEFORE, faults_.Fault.AFTER):
            rounds[0] = 0
            faults_.until_it_passes(begun[1], collect, check, fault=self.fault)

    def test_verify_when_an_object_is_damaged_then_found(self) -> None:
        """Guards: Target.verify, Target.restore raises IntegrityError,

        Target.open_backup raises IntegrityError, Target.show raises
        IntegrityError.
        """
        begun = self.begin()
        if begun is None:
            return
        refused = 0
        with begun[0].open() as opened:
            for name in sorted(self.before):
                data = opened.get(name)
                if not data or not name.startswith('backups/'):
                    continue
                broken = bytearray(data)
                broken[len(data) // 2] ^= 4
                opened.delete(name)
                opened.put(name, [broken])
                self.assert_damage_is_found(name)
                refused += self.count_refused()
                opened.delete(name)
                opened.put(name, [data])
        if self.store_is_complete:
            self.assertGreaterEqual(refused, len(self.kept.history))
        self.assert_nothing_lost()

    def count_refused(self) -> int:
        """Count the backups that cannot be shown, because of damage."""
        refused = 0
        for backup_id in self.kept.history:
            try:
                self.assertEqual(
                    backup_id, self.target.show(backup_id).backup_id
                )
            except errors.IntegrityError:
                refused += 1
        return refused

    def assert_damage_is_found(self, name: str) -> None:
        """Assert that damage is found, and never restored as good."""
        found = 0
        for backup_id, expected in self.kept.history.items():
            try:
                found += not self.cycle.verify(backup_id).good
            except errors.IntegrityError:
                found += 1
            writer = plain.PlainWriter(len(expected), expected)
            try:
                self.cycle.restore(backup_id, writer)
            except errors.IntegrityError:
                self.assert_not_lent(backup_id)
                continue
            self.assert_bytes(expected, writer.data, backup_id)
        self.assertGreater(found, 0, f'damage of {name} was not found')

    def assert_not_lent(self, backup_id: str) -> None:
        """Assert that a damaged backup cannot be read to its end."""
        if not self.lends_backups:
            return
        with (
            self.assertRaises(errors.IntegrityError),
            self.cycle.open_backup(backup_id) as opened,
        ):
            pipeline.copy(
                opened.reader,
                plain.PlainWriter(opened.reader.size_bytes),
                control_.Control(),
                block_bytes=opened.block_bytes,
                threads=1,
            )


def inject(
    repository: repository_target.RepositoryTarget, faults: faults_.Faults
) -> None:
    """Let the stores that a target opens fail, over its own wrappers."""
    wrapper = repository.store_wrapper
    repository.store_wrapper = lambda opened, *more: faults.wrap(
        wrapper(opened, *more)
    )
