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

"""A search of every interleaving that has few switches between actors."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import heapq

from tests.unit.repository.protocol import invariants
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import quiet
from tests.unit.repository.protocol import scenes
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """Tell who made which call, with which of its outcomes."""

    actor: str
    call: values.Call
    choice: int


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """Hold the schedule that broke a promise, and which promise."""

    steps: tuple[Step, ...]
    violation: str

    def describe(self) -> str:
        """Return the schedule as text: a turn of an actor, call by call."""
        lines = []
        last = ''
        for step in self.steps:
            if step.actor != last:
                lines.append(step.actor)
                last = step.actor
            words = ' '.join(_words(step.call))
            lines.append(f'    {step.call.method} {words}'.rstrip())
        return '\n'.join([*lines, f'-> {self.violation}', ''])


@dataclasses.dataclass(frozen=True, slots=True)
class _Mind:
    """Hold what an actor has been told, and so what it calls next."""

    serial: int
    place: int
    replies: tuple[object, ...]
    call: values.Call | None


@dataclasses.dataclass(frozen=True, slots=True)
class _State:
    """Hold a world under a number, so that equal ones are found fast."""

    serial: int
    world: world.World


@dataclasses.dataclass(frozen=True, slots=True)
class _Node:
    state: _State
    minds: tuple[_Mind, ...]
    last: _Mind | None
    trace: tuple[_Node, Step] | None


class Search:
    """Look for a violation, fewest switches first, then fewest calls.

    An actor that is left in the middle may never run again: so a pause of
    any length is part of every search. With `losses` the search also tries,
    in each state that the world comes to, what is left if all actors are
    lost there.
    """

    def __init__(
        self,
        scene: scenes.Scene,
        mutant: mutants.Mutant | None = None,
        *,
        losses: bool = True,
    ) -> None:
        self.plan = mutants.Plan(racy=scene.racy, mutant=mutant)
        self.scene = scene
        self.losses = losses
        self.names = tuple(scene.cast)
        self.seen: set[object] = set()
        self._minds: dict[object, _Mind] = {}
        self._states: dict[object, _State] = {}
        self._effects: dict[object, tuple[_State, _Mind]] = {}

    def run(self, switches: int) -> Found | None:
        """Search all schedules that leave an actor at most so often."""
        minds = tuple(self._mind(i, ()) for i in range(len(self.names)))
        state = self._state(self.scene.open(self.plan))
        start = _Node(state, minds, None, None)
        waiting = [(0, 0, 0, start)]
        came = 0
        while waiting:
            switched, calls, _, node = heapq.heappop(waiting)
            if self._was_seen(node):
                continue
            for mind, step in self._steps(node):
                try:
                    follower = self._after(node, mind, step)
                except values.Violation as violation:
                    return Found(_path(node, step), str(violation))
                cost = switched + _leaves(node, mind)
                if cost <= switches:
                    came += 1
                    entry = (cost, calls + 1, came, follower)
                    heapq.heappush(waiting, entry)
        return None

    def _was_seen(self, node: _Node) -> bool:
        last = node.last.place if node.last else None
        minds = tuple(mind.serial for mind in node.minds)
        known = (node.state.serial, last, minds)
        if known in self.seen:
            return True
        self.seen.add(known)
        return False

    def _mind(self, place: int, replies: tuple[object, ...]) -> _Mind:
        """Return an actor's mind; those that are done are all the same."""
        known = (place, replies)
        if known not in self._minds:
            call = self._replay(self.names[place], replies)
            serial = 0 if call is None else len(self._minds) + 1
            self._minds[known] = _Mind(serial, place, replies, call)
        return self._minds[known]

    def _replay(
        self, name: str, replies: tuple[object, ...]
    ) -> values.Call | None:
        steps = self.scene.cast[name](self.plan, name)
        try:
            call = next(steps)
            for reply in replies:
                call = steps.send(reply)
        except StopIteration:
            return None
        return call

    def _state(self, now: world.World) -> _State:
        key = now.key()
        if key not in self._states:
            if self.losses:
                quiet.quieten(now.copy(), self.plan)
            self._states[key] = _State(len(self._states), now)
        return self._states[key]

    def _steps(self, node: _Node) -> Iterator[tuple[_Mind, Step]]:
        for name, mind in zip(self.names, node.minds, strict=True):
            if mind.call is not None:
                for choice in range(node.state.world.outcomes(mind.call)):
                    yield mind, Step(name, mind.call, choice)

    def _after(self, node: _Node, mind: _Mind, step: Step) -> _Node:
        known = (node.state.serial, mind.serial, step.choice)
        if known not in self._effects:
            self._effects[known] = self._effect(node.state, mind, step)
        state, wiser = self._effects[known]
        place = mind.place
        minds = (*node.minds[:place], wiser, *node.minds[place + 1 :])
        return _Node(state, minds, wiser, (node, step))

    def _effect(
        self, state: _State, mind: _Mind, step: Step
    ) -> tuple[_State, _Mind]:
        if step.call.method in world.READS:
            reply = state.world.apply(step.call, step.choice)
        else:
            now = state.world.copy()
            reply = now.apply(step.call, step.choice)
            invariants.check(now)
            state = self._state(now)
        return state, self._mind(mind.place, (*mind.replies, reply))


def _words(call: values.Call) -> Iterator[str]:
    for argument in call.arguments:
        if isinstance(argument, tuple):
            yield ', '.join(argument)
        elif isinstance(argument, values.Body):
            yield type(argument).__name__.lower()
        elif argument not in (None, ''):
            yield str(argument)


def _leaves(node: _Node, mind: _Mind) -> bool:
    """Tell whether this step leaves an actor that is not done."""
    last = node.last
    return last is not None and last.call is not None and last is not mind


def _path(node: _Node, step: Step) -> tuple[Step, ...]:
    steps = [step]
    trace = node.trace
    while trace is not None:
        steps.append(trace[1])
        trace = trace[0].trace
    return tuple(reversed(steps))
