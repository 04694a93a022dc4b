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
Replies = tuple[object, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """Tell who made which call, with which of its outcomes."""

    actor: str
    call: values.Call
    choice: int


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """Hold the schedule that broke a promise, and which."""

    steps: tuple[Step, ...]
    violation: str


@dataclasses.dataclass(slots=True)
class _Node:
    world: worlds.World
    replies: dict[str, Replies]
    last: str
    trace: tuple['_Node', Step] | None


class Search:
    """Look for a violation, fewest switches first, then fewest calls.

    An actor that is left in the middle may never run again: so a crash and a
    pause of any length are part of every search.
    """

    def __init__(
        self, world: worlds.World, actors: dict[str, Factory]
    ) -> None:
        self.actors = actors
        self.start = _Node(world, dict.fromkeys(actors, ()), '', None)
        self.states = 0
        self._calls: dict[tuple[str, Replies], values.Call | None] = {}

    def run(self, switches: int) -> Found | None:
        """Search all schedules that leave an actor at most so often."""
        layer = collections.deque([self.start])
        seen: set[object] = set()
        for _ in range(switches + 1):
            later: collections.deque[_Node] = collections.deque()
            while layer:
                node = layer.popleft()
                key = self._key(node)
                if key in seen:
                    continue
                seen.add(key)
                self.states += 1
                stay = self._call(node, node.last) is not None
                for step in self._steps(node):
                    try:
                        follower = self._after(node, step)
                    except values.Violation as violation:
                        return Found(self._path(node, step), str(violation))
                    leaves = stay and step.actor != node.last
                    (later if leaves else layer).append(follower)
            layer = later
        return None

    def _key(self, node: _Node) -> object:
        return node.world.key(), node.last, tuple(node.replies.items())

    def _call(self, node: _Node, actor: str) -> values.Call | None:
        """Tell what an actor calls next, None if it is done."""
        if not actor:
            return None
        replies = node.replies[actor]
        known = (actor, replies)
        if known not in self._calls:
            self._calls[known] = self._replay(actor, replies)
        return self._calls[known]

    def _replay(self, actor: str, replies: Replies) -> values.Call | None:
        steps = self.actors[actor]()
        try:
            call = next(steps)
            for reply in replies:
                call = steps.send(reply)
        except StopIteration:
            return None
        return call

    def _steps(self, node: _Node) -> Iterator[Step]:
        for actor in self.actors:
            call = self._call(node, actor)
            if call is not None:
                for choice in range(node.world.outcomes(call)):
                    yield Step(actor, call, choice)

    def _after(self, node: _Node, step: Step) -> _Node:
        world = node.world
        reads = step.call.method in worlds.READS
        if not reads:
            world = world.copy()
        reply = world.apply(step.call, step.choice)
        if not reads:
            invariants.check(world)
        replies = dict(node.replies)
        replies[step.actor] = (*replies[step.actor], reply)
        return _Node(world, replies, step.actor, (node, step))

    def _path(self, node: _Node, step: Step) -> tuple[Step, ...]:
        steps = [step]
        trace = node.trace
        while trace is not None:
            steps.append(trace[1])
            trace = trace[0].trace
        return tuple(reversed(steps))
