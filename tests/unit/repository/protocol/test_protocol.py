# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The protocol keeps its promises, whatever comes between two calls."""

from __future__ import annotations

import os
from typing import ClassVar
import unittest

import hypothesis
from hypothesis import stateful
from hypothesis import strategies

from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import quiet
from tests.unit.repository.protocol import scenes
from tests.unit.repository.protocol import search
from tests.unit.repository.protocol import stage
from tests.unit.repository.protocol import values

THOROUGH = os.environ.get('HYPOTHESIS_PROFILE') == 'thorough'

#: What is not said here comes from the profile of all tests. By default
#: every run plays the same examples.
SETTINGS = hypothesis.settings(
    max_examples=1500 if THOROUGH else 150,
    stateful_step_count=40,
    derandomize=not THOROUGH,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

CHUNKS = strategies.sampled_from([('x',), ('y',), ('x', 'y')])
#: How many calls an actor makes before another's turn; most take fewer
#: than a score to the end.
CALLS = strategies.integers(1, 14) | strategies.just(100)
#: Which of the late names a listing gets wrong: none, all, or some.
CHOICE = strategies.just(0) | strategies.just(-1) | strategies.integers(0, 63)
BACK = strategies.integers(0, 2)
PLACE = strategies.integers(0, 7)


class ProtocolMachine(stateful.RuleBasedStateMachine):
    """Let writers, deleters, aborters and gcs come, pause and be lost."""

    mutant: ClassVar[mutants.Mutant | None] = None
    lagging: ClassVar[bool] = False
    racy: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.stage = stage.Stage(
            mutant=self.mutant, lagging=self.lagging, racy=self.racy
        )
        self.sound = True

    @stateful.precondition(lambda self: len(self.stage.players) < 8)
    @stateful.rule(chunks=CHUNKS, calls=CALLS)
    def backup(self, chunks: tuple[str, ...], calls: int) -> None:
        self._enter(scenes.backup(*chunks), calls, 0)

    @stateful.precondition(lambda self: self.stage.world.runs)
    @stateful.rule(back=BACK, chunks=CHUNKS, calls=CALLS)
    def resume(self, back: int, chunks: tuple[str, ...], calls: int) -> None:
        self._enter(scenes.resume(self._number(back), *chunks), calls, 0)

    @stateful.precondition(lambda self: self.stage.world.runs)
    @stateful.rule(back=BACK, calls=CALLS, choice=CHOICE)
    def abort(self, back: int, calls: int, choice: int) -> None:
        self._enter(scenes.abort(self._number(back)), calls, choice)

    @stateful.precondition(lambda self: self.stage.world.runs)
    @stateful.rule(back=BACK, calls=CALLS)
    def delete(self, back: int, calls: int) -> None:
        self._enter(scenes.delete(self._number(back)), calls, 0)

    @stateful.precondition(lambda self: self.stage.world.runs)
    @stateful.rule(back=BACK, calls=CALLS)
    def refuse_delete(self, back: int, calls: int) -> None:
        self._enter(scenes.refused(self._number(back)), calls, 0)

    @stateful.precondition(lambda self: self.stage.world.runs)
    @stateful.rule(back=BACK)
    def verify(self, back: int) -> None:
        self._enter(scenes.verify(self._number(back)), 100, 0)

    @stateful.precondition(lambda self: self.stage.world.runs)
    @stateful.rule(calls=CALLS, choice=CHOICE)
    def collect(self, calls: int, choice: int) -> None:
        self._enter(scenes.collect(), calls, choice)

    @stateful.precondition(
        lambda self: (
            self.stage.world.runs
            and not self.racy
            and not any(
                row.mover and row.state is values.State.RUNNING
                for row in self.stage.world.runs.values()
            )
        )
    )
    @stateful.rule(calls=CALLS)
    def move(self, calls: int) -> None:
        self._enter(scenes.move(), calls, 0)

    @stateful.precondition(lambda self: self.stage.players)
    @stateful.rule(place=PLACE, calls=CALLS, choice=CHOICE)
    def go_on(self, place: int, calls: int, choice: int) -> None:
        self._go_on(self._player(place), calls, choice)

    @stateful.precondition(lambda self: self.stage.players)
    @stateful.rule(place=PLACE)
    def revert(self, place: int) -> None:
        self.stage.revert(self._player(place))

    @stateful.precondition(lambda self: self.stage.players)
    @stateful.rule(place=PLACE)
    def lose(self, place: int) -> None:
        self.stage.lose(self._player(place))

    @stateful.rule()
    def listings_catch_up(self) -> None:
        self.stage.world.settle()

    def teardown(self) -> None:
        if self.sound:
            quiet.quieten(self.stage.world.copy(), self.stage.plan)

    def _number(self, back: int) -> int:
        return max(1, len(self.stage.world.runs) - back)

    def _player(self, place: int) -> stage.Player:
        return self.stage.players[place % len(self.stage.players)]

    def _enter(self, part: scenes.Part, calls: int, choice: int) -> None:
        self._go_on(self.stage.enter(part), calls, choice)

    def _go_on(self, player: stage.Player, calls: int, choice: int) -> None:
        self.sound = False
        self.stage.go_on(player, calls, choice)
        self.sound = True


class LaggingMachine(ProtocolMachine):
    """Do so on a store whose listings are late."""

    lagging = True


class RacyMachine(ProtocolMachine):
    """Do so on a store whose put if absent is two calls."""

    racy = True


class LaggingRacyMachine(ProtocolMachine):
    """Do so on a store that is both."""

    lagging = True
    racy = True


class MachineTest(unittest.TestCase):
    """Any number of actors, at random."""

    def test_when_anything_comes_between_then_nothing_is_lost(self) -> None:
        stateful.run_state_machine_as_test(ProtocolMachine, settings=SETTINGS)

    def test_when_listings_are_late_then_nothing_is_lost(self) -> None:
        stateful.run_state_machine_as_test(LaggingMachine, settings=SETTINGS)

    def test_when_puts_race_then_nothing_is_lost(self) -> None:
        stateful.run_state_machine_as_test(RacyMachine, settings=SETTINGS)

    def test_when_listings_are_late_and_puts_race_then_nothing_is_lost(
        self,
    ) -> None:
        stateful.run_state_machine_as_test(
            LaggingRacyMachine, settings=SETTINGS
        )


class SearchTest(unittest.TestCase):
    """A few actors, in every order with few switches between them."""

    def test_when_rules_hold_then_no_ensemble_breaks_a_promise(self) -> None:
        for name, scene in scenes.ENSEMBLES.items():
            with self.subTest(name):
                switches = scene.switches + THOROUGH
                searched = search.Search(scene)
                self.assertIsNone(searched.run(switches))
                self.assertGreater(len(searched.seen), 10_000)
