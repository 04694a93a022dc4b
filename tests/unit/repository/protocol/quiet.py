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

"""What happens when all actors are gone: recovery, then gc."""

from __future__ import annotations

from tests.unit.repository.protocol import ending
from tests.unit.repository.protocol import gc
from tests.unit.repository.protocol import invariants
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world
from tests.unit.repository.protocol import writer

UNDER_WAY = (values.State.RUNNING, values.State.ABORTING)


def play(now: world.World, steps: values.Steps[None]) -> None:
    """Let one actor make all its calls, with nobody in between."""
    try:
        call = next(steps)
        while True:
            reply = now.apply(call)
            if call.method not in world.READS:
                invariants.check(now)
            call = steps.send(reply)
    except StopIteration:
        return


def quieten(now: world.World, plan: mutants.Plan) -> None:
    """End every run, run gc until it has nothing to do, and check."""
    now.settle()
    for number, row in now.rows():
        if row.state is values.State.COMMITTING:
            play(now, writer.resume(plan, number, 'last', ()))
        elif row.state is values.State.DELETING:
            play(now, ending.delete(plan, number))
        elif row.state is values.State.RUNNING and row.mover:
            now.end_move(number)
        elif row.state in UNDER_WAY:
            play(now, ending.abort(plan, number))
        # All writers are gone, and here somebody knows it.
        now.bury(number)
    for _ in range(2):
        now.settle()
        play(now, gc.gc(plan))
    now.settle()
    invariants.check_quiet(now)
