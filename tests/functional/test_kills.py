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

"""Processes that are killed at random moments, 200 times in all.

Each round is two processes after one another: one that works and is
killed, and one that finds what is left. In turn it undoes that, goes on
with it because it is told to, or because it wants the same volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import functools
import pathlib
import random
import statistics
import tempfile
import time
from typing import Any, ClassVar
from unittest import mock

from backupkit import api
from backupkit import catalog
from backupkit import doctor
from backupkit import errors
from backupkit import model
from tests.functional import forks
from tests.functional import stand
from tests.functional import systems

_SIZE = 6 * 1024**2
_VOLUME = 'local:db01'
_OVER = 'local:over'
#: Each so many rounds every byte of everything is read.
_THOROUGH = 8
#: Rounds that are not killed: they tell how long the work takes.
_MEASURED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What is known before a process is started that will be killed.

    :ivar contents: digests of the good backups
    :ivar current: digest of the volume
    :ivar chosen: the backup that is restored or deleted
    :ivar over: digest of the volume that is restored over
    :ivar number: of the round
    """

    contents: dict[str, str]
    current: str
    chosen: str
    over: str
    number: int


_Work = Callable[[api.Backupkit, Scene], object]


class _Clock:
    """Measures the time in which the kills shall fall."""

    def __init__(self, ready: forks.Ready) -> None:
        self._ready = ready
        self._begun: float | None = None
        self.seconds = 0.0

    def begin(self) -> None:
        """Begin, the first time."""
        if self._begun is None:
            self._begun = time.monotonic()
            self._ready()

    def end(self) -> None:
        """End, the first time that it was begun."""
        if self._begun is not None and not self.seconds:
            self.seconds = time.monotonic() - self._begun

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Measure a block."""
        self.begin()
        yield
        self.end()

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """Measure that part of a block in which its run is live."""
        register = catalog.Catalog.register_run
        finish = catalog.Catalog.finish_run

        def registered(kept: catalog.Catalog, **fields: Any) -> catalog.Run:
            run = register(kept, **fields)
            self.begin()
            return run

        def finished(kept: catalog.Catalog, *fields: Any) -> None:
            self.end()
            finish(kept, *fields)

        with (
            mock.patch.object(catalog.Catalog, 'register_run', registered),
            mock.patch.object(catalog.Catalog, 'finish_run', finished),
        ):
            yield


class KillCase(stand.Stand):
    """Base class: the rounds.

    :cvar endings: what the second process does with what was left
    :cvar kept: how many good backups are kept through the rounds
    :cvar short: much of the work is done before its run is registered and
        after it has ended; the moments of the kills lie between the two
    """

    endings: ClassVar[tuple[str, ...]] = ('clear', 'resume', 'create')
    kept: ClassVar[int] = 4
    short: ClassVar[bool] = False

    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(self.id())
        self.fill('db01', 1, _SIZE)
        self.fill('over', 2, _SIZE)
        forks.learn(self.exercise)
        self.contents: dict[str, str] = forks.call(self.begin)

    def exercise(self) -> None:
        """Do once all that is done later, for what it imports."""
        with self.connect() as kit:
            made = kit.create_backup(_VOLUME).backup_id
            self.restored(kit, made)
            self.assert_verified(kit, {made}, full=True)
            kit.delete_backup(made)
            kit.collect_garbage()
            kit.doctor(clear=True)

    def begin(self) -> dict[str, str]:
        with self.connect() as kit:
            contents = {}
            for _ in range(2):
                digest = self.change('db01', self.random)
                contents[kit.create_backup(_VOLUME).backup_id] = digest
            return contents

    def kill(
        self,
        kills: int,
        work: _Work,
        check: Callable[[api.Backupkit, Scene], None],
    ) -> None:
        """Kill a piece of work so many times, and look each time.

        :param check: what is particular to it
        """
        durations: list[float] = []
        killed = caught = number = 0
        while killed < kills:
            self.assertLess(number, 3 * kills + 9, 'too few were killed')
            scene = self.scene(number)
            delay = None
            if len(durations) >= _MEASURED:
                delay = self.random.uniform(0, statistics.median(durations))
            took = self.strike(work, scene, delay)
            looking = functools.partial(self.look, scene, check)
            try:
                live, self.contents = forks.call(looking)
            except AssertionError as exc:
                raise AssertionError(f'round {number}, {delay} s') from exc
            number += 1
            if took is None:
                killed += 1
                caught += live
            else:
                self.assertFalse(live)
                durations = [*durations[-_MEASURED:], took]
        # Else the moments were not those that they were meant to be.
        self.assertGreater(caught, kills // 4)

    def scene(self, number: int) -> Scene:
        current = self.change('db01', self.random)
        over = self.change('over', self.random)
        chosen = self.random.choice(sorted(self.contents))
        return Scene(self.contents, current, chosen, over, number)

    def strike(
        self, work: _Work, scene: Scene, delay: float | None
    ) -> float | None:
        """Start the work and kill it; return how long it took if not."""

        def act(ready: forks.Ready) -> float:
            clock = _Clock(ready)
            part = clock.live if self.short else clock.whole
            with self.connect() as kit, part():
                work(kit, scene)
            return clock.seconds

        child = forks.Child(act)
        child.wait_ready()
        if delay is None or child.ended_within(delay) or not child.kill():
            return float(child.result())
        return None

    def look(
        self, scene: Scene, check: Callable[[api.Backupkit, Scene], None]
    ) -> tuple[bool, dict[str, str]]:
        """Find what was left; return whether a run was, and the contents."""
        # A kit of its own, as all of it is asked by processes that start.
        with self.connect() as kit:
            live = bool(kit.list_runs())
            if live:
                self.assertIn('run', self.problems(kit.doctor()))
            self.end_what_is_left(kit, scene.number)
            told = self.problems(kit.doctor(clear=True))
            self.assertLessEqual(set(told), {'volume'}, told)
            check(kit, scene)
            contents = {
                backup_id: scene.contents.get(backup_id, scene.current)
                for backup_id in self.good(kit)
            }
            full = scene.number % _THOROUGH == 0
            self.assert_verified(kit, set(contents), full=full)
            self.assert_contents(
                kit, contents if full else self.one_of(contents)
            )
            while len(contents) > self.kept:
                gone = self.random.choice(sorted(contents))
                kit.delete_backup(gone)
                del contents[gone]
            if full:
                self.assert_sound(kit)
            self.assertEqual({}, self.problems(kit.doctor()))
            self.assert_nothing_left(kit)
            left = {path.name for path in self.volumes.iterdir()}
            self.assertLessEqual(left, {'db01', 'over', '.backupkit-storage'})
            return live, contents

    def end_what_is_left(self, kit: api.Backupkit, number: int) -> None:
        """Undo what was left, or go on with it; then make a backup."""
        ending = self.endings[number % len(self.endings)]
        for run in kit.list_runs():
            self.assertEqual('gone', kit.run_process(run))
            if ending == 'resume':
                self.resume(kit, run)
        if ending == 'clear':
            told = self.problems(kit.doctor(clear=True))
            self.assertLessEqual(set(told), {'volume'}, told)
        kit.create_backup(_VOLUME)

    def resume(self, kit: api.Backupkit, run: catalog.Run) -> None:
        """Go on with a run, where anything is kept of it."""
        try:
            ended = kit.resume_run(run.run_id)
        except errors.Conflict as exc:
            # It died before its first step, or is no flow.
            self.assertIn('run abort', str(exc))
        else:
            self.assertEqual(catalog.RunState.DONE, ended.state)

    def problems(self, told: list[doctor.Diagnosis]) -> dict[str, str]:
        return {one.area: str(one) for one in told if one.state == 'problem'}

    def one_of(self, contents: dict[str, str]) -> dict[str, str]:
        backup_id = self.random.choice(sorted(contents))
        return {backup_id: contents[backup_id]}

    # What is particular to each kind of work.

    def none_is_lost(self, kit: api.Backupkit, scene: Scene) -> None:
        self.assertLessEqual(set(scene.contents), self.good(kit))

    def delete_goes_forward(self, kit: api.Backupkit, scene: Scene) -> None:
        row = kit.show_backup(scene.chosen)
        if row.status == model.BackupStatus.DELETING:
            with self.assertRaises(errors.NotFound):
                kit.restore_backup(scene.chosen, new='local:deleted')
            row = kit.delete_backup(scene.chosen)
            self.assertEqual(model.BackupStatus.DELETED, row.status)
        good = self.good(kit)
        self.assertLessEqual(set(scene.contents) - good, {scene.chosen})
        listed = {row.backup_id for row in kit.list_backups()}
        self.assertEqual(good, listed)

    def new_volume_is_whole(self, kit: api.Backupkit, scene: Scene) -> None:
        self.none_is_lost(kit, scene)
        if (self.volumes / 'new').exists():
            self.assertEqual('', kit.show_volume('local:new').incomplete)
            expected = scene.contents[scene.chosen]
            self.assertEqual(expected, self.digest('new'))
            kit.delete_volume('local:new')

    def incomplete_is_told(self, kit: api.Backupkit, scene: Scene) -> None:
        self.none_is_lost(kit, scene)
        expected = scene.contents[scene.chosen]
        incomplete = kit.show_volume(_OVER).incomplete
        if not incomplete:
            self.assertIn(self.digest('over'), (scene.over, expected))
            return
        self.assertEqual(scene.chosen, incomplete)
        self.assertIn('volume', self.problems(kit.doctor()))
        with self.assertRaises(errors.BackupkitError) as refused:
            kit.create_backup(_OVER)
        self.assertIn('--force', str(refused.exception))
        kit.restore_backup(scene.chosen, to=_OVER, overwrite=True)
        self.assertEqual('', kit.show_volume(_OVER).incomplete)
        self.assertEqual(expected, self.digest('over'))


def _back_up(kit: api.Backupkit, scene: Scene) -> None:
    kit.create_backup(_VOLUME)


def _restore_over(kit: api.Backupkit, scene: Scene) -> None:
    kit.restore_backup(scene.chosen, to=_OVER, overwrite=True)


def _restore_new(kit: api.Backupkit, scene: Scene) -> None:
    kit.restore_backup(scene.chosen, new='local:new')


def _delete(kit: api.Backupkit, scene: Scene) -> None:
    kit.delete_backup(scene.chosen)


def _collect(kit: api.Backupkit, scene: Scene) -> None:
    kit.collect_garbage()


class BackupKillTest(KillCase):
    kills: ClassVar[int] = 50

    def test_when_a_backup_is_killed_then_nothing_is_lost(self) -> None:
        self.kill(self.kills, _back_up, self.none_is_lost)


class RestoreKillTest(KillCase):
    kills: ClassVar[int] = 25

    def test_when_a_restore_to_a_new_volume_is_killed_then_it_goes(
        self,
    ) -> None:
        self.kill(self.kills, _restore_new, self.new_volume_is_whole)

    def test_when_a_restore_over_a_volume_is_killed_then_it_is_told(
        self,
    ) -> None:
        self.kill(self.kills, _restore_over, self.incomplete_is_told)


class DeleteKillTest(KillCase):
    kills: ClassVar[int] = 30

    def test_when_a_delete_is_killed_then_it_only_goes_forward(
        self,
    ) -> None:
        self.kill(self.kills, _delete, self.delete_goes_forward)


class CollectKillTest(KillCase):
    kills: ClassVar[int] = 30
    short = True

    def test_when_a_gc_is_killed_then_nothing_is_lost(self) -> None:
        self.kill(self.kills, _collect, self.none_is_lost)


class SnapshotKillTest(KillCase):
    """On a file system where volumes have snapshots."""

    kills: ClassVar[int] = 20

    def make_place(self, root: pathlib.Path) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        place = pathlib.Path(made.name).resolve() / 'xfs'
        systems.mount_loop(self, place, 'xfs', systems.XFS_BYTES)
        super().make_place(place)

    def test_when_a_backup_is_killed_then_its_snapshot_goes(self) -> None:
        with self.connect() as kit:
            self.assertTrue(kit.plan_backup(_VOLUME).snapshot)
        self.kill(self.kills, _back_up, self.none_is_lost)
