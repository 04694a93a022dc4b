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

"""Many processes on one repository and one catalog."""

from __future__ import annotations

import functools
import os
import random

from backupkit import api
from backupkit import errors
from backupkit import model
from tests.functional import forks
from tests.functional import stand

_WRITERS = 8
_ROUNDS = 4
_BLOCK = 256 * 1024
_BLOCKS = 12
#: The deleter may come before the row of a new backup is read.
_MADE = (
    model.BackupStatus.AVAILABLE,
    model.BackupStatus.DELETING,
    model.BackupStatus.DELETED,
)


class Crowd(stand.Stand):
    """Base class: volumes that share most of their content."""

    def setUp(self) -> None:
        super().setUp()
        shared = random.Random(1).randbytes(_BLOCKS * _BLOCK)
        for number in range(_WRITERS):
            (self.volumes / f'db{number}').write_bytes(shared)
        forks.learn(self.exercise)

    def exercise(self) -> None:
        """Do once all that is done later, for what it imports."""
        with self.connect() as kit:
            made = kit.create_backup('local:db0').backup_id
            self.restored(kit, made)
            self.assert_verified(kit, {made}, full=True)
            kit.delete_backup(made)
            kit.collect_garbage()
            kit.doctor(clear=True)

    def assert_whole(self, contents: dict[str, str]) -> None:
        """Check that these backups are there, and that nothing else is."""
        with self.connect() as kit:
            for _ in range(2):
                self.assertEqual((), kit.collect_garbage().waiting_for)
            self.assertEqual(set(contents), self.good(kit))
            self.assert_verified(kit, set(contents), full=True)
            self.assert_contents(kit, contents)
            self.assert_sound(kit)
            kit.doctor(clear=True)
            self.assert_nothing_left(kit)


class CrowdTest(Crowd):
    """Writers, a deleter and a gc, none of which waits for another."""

    def write(self, number: int, ready: forks.Ready) -> dict[str, str]:
        """Back a volume up again and again; return what was backed up."""
        source = random.Random(number)
        contents = {}
        for turn in range(_ROUNDS):
            # A block that all of them write, each where it likes.
            block = random.Random(turn).randbytes(_BLOCK)
            path = self.volumes / f'db{number}'
            with path.open('r+b') as image:
                image.seek(source.randrange(_BLOCKS) * _BLOCK)
                image.write(block)
            with self.connect() as kit:
                made = kit.create_backup(f'local:db{number}')
            self.assertIn(made.status, _MADE)
            contents[made.backup_id] = self.digest(path.name)
        return contents

    def delete(self, ready: forks.Ready) -> set[str]:
        """Delete some of the backups that are listed; return which."""
        source = random.Random(99)
        gone: set[str] = set()
        while len(gone) < 2 * _ROUNDS:
            with self.connect() as kit:
                good = sorted(self.good(kit))
                if len(good) > 2:
                    chosen = source.choice(good)
                    kit.delete_backup(chosen)
                    gone.add(chosen)
        return gone

    def collect(self, ready: forks.Ready) -> None:
        """Collect garbage again and again, until killed."""
        while True:
            with self.connect() as kit:
                kit.collect_garbage()
            ready()

    def test_when_all_are_at_work_at_once_then_nothing_is_lost(self) -> None:
        collector = forks.Child(self.collect)
        self.addCleanup(collector.kill)
        deleter = forks.Child(self.delete)
        writers = [
            forks.Child(functools.partial(self.write, number))
            for number in range(_WRITERS)
        ]
        contents: dict[str, str] = {}
        for writer in writers:
            contents |= writer.result(300)
        for backup_id in deleter.result(300):
            del contents[backup_id]
        # It is still at it, and has not failed.
        collector.wait_ready()
        self.assertTrue(collector.kill())
        forks.call(functools.partial(self.assert_whole, contents), 300)


class SameVolumeTest(Crowd):
    """Runs on one volume, all at once."""

    def test_when_many_begin_at_once_then_exactly_one_wins(self) -> None:
        held, gate = os.pipe()
        self.addCleanup(os.close, held)
        attempt = functools.partial(self.attempt, held, gate)
        children = [forks.Child(attempt) for _ in range(_WRITERS)]
        for child in children:
            child.wait_ready()
        outcomes = []
        while len(children) > 1:
            for child in forks.ended(children):
                children.remove(child)
                outcomes.append(child.result())
        # Only now may the one that is left go on.
        os.close(gate)
        self.assertEqual(('', 0), children[0].result())
        self.assertEqual(_WRITERS - 1, len(outcomes))
        for told, code in outcomes:
            self.assertRegex(told, 'local:db0.*backupkit run abort')
            self.assertEqual(6, code)
        forks.call(self.assert_one)

    def attempt(
        self, held: int, gate: int, ready: forks.Ready
    ) -> tuple[str, int]:
        """Back the volume up; once at it, wait until the gate is closed."""
        os.close(gate)
        control = api.Control(lambda progress: _wait(held))
        with self.connect() as kit:
            ready()
            try:
                kit.create_backup('local:db0', control=control)
            except errors.BackupkitError as exc:
                return str(exc), exc.exit_code
        return '', 0

    def assert_one(self) -> None:
        with self.connect() as kit:
            (row,) = kit.list_backups()
            self.assert_whole({row.backup_id: self.digest('db0')})


def _wait(held: int) -> None:
    """Return once nobody has the other end of a pipe open any more."""
    os.read(held, 1)
