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

"""A stage on which any number of actors come, make calls, and are lost."""

from __future__ import annotations

import dataclasses

from tests.unit.repository.protocol import ending
from tests.unit.repository.protocol import invariants
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import scenes
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world


@dataclasses.dataclass(slots=True, eq=False)
class Player:
    """Hold an actor that waits for its next call to be made."""

    name: str
    steps: values.Steps[None]
    call: values.Call
    #: Whether it ever sent a manifest, and had no answer.
    sent: bool = False


class Stage:
    """Make the calls of many actors, in any order that is asked for."""

    def __init__(
        self,
        *,
        mutant: mutants.Mutant | None = None,
        lagging: bool = False,
        racy: bool = False,
    ) -> None:
        self.plan = mutants.Plan(racy=racy, mutant=mutant)
        self.world = world.World(lagging=lagging, racy=racy)
        self.players: list[Player] = []
        self._came = 0

    def enter(self, part: scenes.Part) -> Player:
        """Let an actor come on, and wait before its first call."""
        self._came += 1
        name = f'actor {self._came}'
        steps = part(self.plan, name)
        player = Player(name, steps, next(steps))
        self.players.append(player)
        return player

    def go_on(self, player: Player, calls: int, choice: int = 0) -> None:
        """Let an actor make some calls, unless it is done before."""
        for _ in range(calls):
            if player not in self.players:
                return
            self._make_call(player, choice)

    def revert(self, player: Player) -> None:
        """Make a writer give up, and abort its own run.

        If it waits for the answer to its manifest's put, that request may
        still arrive, as late as it likes. A revert that is begun again must
        know of it too.
        """
        for number, row in self.world.rows():
            if row.attempt != player.name:
                continue
            if values.is_commit(player.call):
                player.sent = True
                steps = _arrive(player.call)
                self.players.append(Player('request', steps, next(steps)))
            player.steps = ending.abort(
                self.plan, number, player.name, sent=player.sent
            )
            player.call = next(player.steps)

    def lose(self, player: Player) -> None:
        """Lose an actor for good, wherever it is."""
        self.players.remove(player)

    def _make_call(self, player: Player, choice: int) -> None:
        choice %= self.world.outcomes(player.call)
        reply = self.world.apply(player.call, choice)
        if player.call.method not in world.READS:
            invariants.check(self.world)
        try:
            player.call = player.steps.send(reply)
        except StopIteration:
            self.players.remove(player)


def _arrive(call: values.Call) -> values.Steps[None]:
    yield call
