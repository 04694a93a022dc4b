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

import collections
import dataclasses
from collections.abc import Callable, Iterator

from tests.unit.repository.protocol import invariants
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world as worlds

Factory = Callable[[], values.Steps[None]]


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Mind:
    """Hold what an actor has been told, and so what it calls next."""

    serial: int
    actor: int
    replies: tuple[object, ...]
    call: values.Call | None


@dataclasses.dataclass(frozen=True, slots=True)
class _State:
    """Hold a world under a number, so that equal ones are found fast."""

    serial: int
    world: worlds.World


@dataclasses.dataclass(frozen=True, slots=True)
class _Node:
    state: _State
    minds: tuple[_Mind, ...]
    last: int
    trace: tuple['_Node', Step] | None


class Search:
    """Look for a violation, fewest switches first, then fewest calls.

    An actor that is left in the middle may never run again: so a crash, and
    a pause of any length, are part of every search.
    """

    def __init__(
        self, world: worlds.World, actors: dict[str, Factory]
    ) -> None:
        self.names = tuple(actors)
        self.factories = tuple(actors.values())
        self.states = 0
        self._minds: dict[object, _Mind] = {}
        self._states: dict[object, _State] = {}
        self._effects: dict[object, tuple[_State, _Mind]] = {}
        minds = tuple(self._mind(i, ()) for i in range(len(actors)))
        self._start = _Node(self._state(world), minds, -1, None)

    def run(self, switches: int) -> Found | None:
        """Search all schedules that leave an actor at most so often."""
        layer = collections.deque([self._start])
        seen: set[object] = set()
        for _ in range(switches + 1):
            later: collections.deque[_Node] = collections.deque()
            while layer:
                node = layer.popleft()
                minds = tuple(mind.serial for mind in node.minds)
                key = (node.state.serial, node.last, minds)
                if key in seen:
                    continue
                seen.add(key)
                stay = node.last >= 0 and minds[node.last] != 0
                for mind, step in self._steps(node):
                    try:
                        follower = self._after(node, mind, step)
                    except values.Violation as violation:
                        return Found(_path(node, step), str(violation))
                    leaves = stay and mind.actor != node.last
                    (later if leaves else layer).append(follower)
            layer = later
        self.states = len(seen)
        return None

    def _mind(self, actor: int, replies: tuple[object, ...]) -> _Mind:
        """Return an actor's mind; those that are done are all the same."""
        known = (actor, replies)
        if known not in self._minds:
            call = self._replay(actor, replies)
            serial = 0 if call is None else len(self._minds) + 1
            self._minds[known] = _Mind(serial, actor, replies, call)
        return self._minds[known]

    def _state(self, world: worlds.World) -> _State:
        state = _State(len(self._states), world)
        return self._states.setdefault(world.key(), state)

    def _replay(
        self, actor: int, replies: tuple[object, ...]
    ) -> values.Call | None:
        steps = self.factories[actor]()
        try:
            call = next(steps)
            for reply in replies:
                call = steps.send(reply)
        except StopIteration:
            return None
        return call

    def _steps(self, node: _Node) -> Iterator[tuple[_Mind, Step]]:
        for mind in node.minds:
            if mind.call is not None:
                for choice in range(node.state.world.outcomes(mind.call)):
                    name = self.names[mind.actor]
                    yield mind, Step(name, mind.call, choice)

    def _after(self, node: _Node, mind: _Mind, step: Step) -> _Node:
        known = (node.state.serial, mind.serial, step.choice)
        if known not in self._effects:
            self._effects[known] = self._effect(node.state, mind, step)
        state, wiser = self._effects[known]
        at = mind.actor
        minds = (*node.minds[:at], wiser, *node.minds[at + 1 :])
        return _Node(state, minds, at, (node, step))

    def _effect(
        self, state: _State, mind: _Mind, step: Step
    ) -> tuple[_State, _Mind]:
        world = state.world
        if step.call.method in worlds.READS:
            reply = world.apply(step.call, step.choice)
        else:
            world = world.copy()
            reply = world.apply(step.call, step.choice)
            invariants.check(world)
            state = self._state(world)
        return state, self._mind(mind.actor, (*mind.replies, reply))


def _path(node: _Node, step: Step) -> tuple[Step, ...]:
    steps = [step]
    trace = node.trace
    while trace is not None:
        steps.append(trace[1])
        trace = trace[0].trace
    return tuple(reversed(steps))
