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

"""The stage of the model: who is at work, and who makes the next call."""

import dataclasses

from tests.unit.repository.protocol import ending
from tests.unit.repository.protocol import gc
from tests.unit.repository.protocol import invariants
from tests.unit.repository.protocol import plan as plans
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world as worlds
from tests.unit.repository.protocol import writer
from tests.unit.repository.protocol.values import State


@dataclasses.dataclass(slots=True)
class Player:
    """Hold an actor that waits for its next call to be made."""

    name: str
    steps: values.Steps[None]
    call: values.Call


class Stage:
    """Let actors come on, make calls in any order, and be lost."""

    def __init__(
        self, mutant: plans.Mutant | None, *, lagging: bool, racy: bool
    ) -> None:
        self.plan = plans.Plan(racy=racy, mutant=mutant)
        self.world = worlds.World(lagging=lagging, racy=racy)
        self.players: list[Player] = []
        self.came = 0

    def backup(self, chunks: tuple[str, ...]) -> None:
        """Begin a backup."""
        name = self._name('w')
        self._enter(name, writer.backup(self.plan, name, chunks))

    def resume(self, number: int, chunks: tuple[str, ...]) -> None:
        """Begin to take a run over."""
        name = self._name('r')
        self._enter(name, writer.resume(self.plan, number, name, chunks))

    def abort(self, number: int) -> None:
        """Begin to abort somebody's run."""
        self._enter(self._name('a'), ending.abort(self.plan, number))

    def delete(self, number: int) -> None:
        """Begin to delete a backup."""
        self._enter(self._name('d'), ending.delete(self.plan, number))

    def gc(self) -> None:
        """Begin a gc."""
        self._enter(self._name('g'), gc.gc(self.plan))

    def revert(self, place: int) -> None:
        """Make a writer give up and abort its own run.

        A call that was sent cannot be taken back: a writer in the middle of
        a racy put goes on.
        """
        player = self.players[place]
        for number, row in self.world.runs.items():
            if row.attempt == player.name and player.call.method != 'write':
                del self.players[place]
                steps = ending.abort(self.plan, number, player.name)
                self._enter(self._name('a'), steps)
                return

    def lose(self, place: int) -> None:
        """Lose an actor for good, with the host that it ran on."""
        del self.players[place]

    def go_on(self, place: int, calls: int, choice: int = 0) -> None:
        """Let an actor make some calls, unless it ends before."""
        player = self.players[place]
        for _ in range(calls):
            if not self._make_call(player, choice):
                self.players.remove(player)
                return

    def quieten(self) -> None:
        """Let all end well, and check what is left."""
        while self.players:
            self.go_on(0, 1000)
        self.world.settle()
        for number, row in self.world.rows():
            if row.state is State.COMMITTING:
                self.resume(number, ())
            elif row.state is State.DELETING:
                self.delete(number)
            elif row.state in (State.RUNNING, State.ABORTING):
                self.abort(number)
            # Here it is known that no writer is left.
            self.world.bury(number)
        while self.players:
            self.go_on(0, 1000)
        self.world.settle()
        for _ in range(2):
            self.gc()
            self.go_on(0, 1000)
            self.world.settle()
        invariants.check_quiet(self.world)

    def _name(self, kind: str) -> str:
        self.came += 1
        return f'{kind}{self.came}'

    def _enter(self, name: str, steps: values.Steps[None]) -> None:
        self.players.append(Player(name, steps, next(steps)))

    def _make_call(self, player: Player, choice: int) -> bool:
        choice %= self.world.outcomes(player.call)
        reply = self.world.apply(player.call, choice)
        if player.call.method not in worlds.READS:
            invariants.check(self.world)
        try:
            player.call = player.steps.send(reply)
        except StopIteration:
            return False
        return True
