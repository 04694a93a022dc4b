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

"""Small casts in which a broken rule shows."""

import dataclasses
from collections.abc import Callable, Mapping

from tests.unit.repository.protocol import ending
from tests.unit.repository.protocol import gc
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import quiet
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world
from tests.unit.repository.protocol import writer

#: An actor, once it is told the plan and its name.
Part = Callable[[mutants.Plan, str], values.Steps[None]]


def backup(*chunks: str) -> Part:
    """Return a writer."""
    return lambda plan, name: writer.backup(plan, name, chunks)


def resume(number: int, *chunks: str) -> Part:
    """Return another writer that takes a run over."""
    return lambda plan, name: writer.resume(plan, number, name, chunks)


def abort(number: int) -> Part:
    """Return somebody who aborts a run that is not theirs."""
    return lambda plan, name: ending.abort(plan, number)


def delete(number: int) -> Part:
    """Return a deleter of one backup."""
    return lambda plan, name: ending.delete(plan, number)


def verify(number: int) -> Part:
    """Return somebody who finds a backup damaged."""
    return lambda plan, name: ending.verify(plan, number)


def collect() -> Part:
    """Return a gc."""
    return lambda plan, name: gc.gc(plan)


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """Tell what has happened already, and who is at work now.

    `before` are actors that have come and gone one after the other, `listed`
    the names for which a lagging listing has caught up since. The search
    allows `switches` switches away from an actor that is not done.
    """

    cast: Mapping[str, Part]
    before: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    lagging: bool = False
    racy: bool = False
    listed: tuple[str, ...] = ()
    switches: int = 2

    def open(self, plan: mutants.Plan) -> world.World:
        """Return the world as the cast finds it."""
        now = world.World(lagging=self.lagging, racy=self.racy)
        for name, part in self.before.items():
            quiet.play(now, part(plan, name))
        if self.listed:
            now.settle(*self.listed)
        return now


M = mutants.Mutant
COMMITTED = {'writer 1': backup('x')}
DELETED = {**COMMITTED, 'deleter 1': delete(1)}
REUSE = Scene(
    before=COMMITTED,
    cast={'writer 2': backup('x'), 'deleter 1': delete(1), 'gc': collect()},
)
ABORT = Scene(
    cast={'writer 1': backup('x'), 'aborter': abort(1), 'gc': collect()}
)

#: The scene that shows each mutant.
SCENES = {
    M.LIST_BEFORE_REGISTERING: REUSE,
    M.NO_STAT: Scene(
        before={**DELETED, 'gc': collect()}, cast={'writer 2': backup('x')}
    ),
    M.UNCOMMITTED: Scene(
        cast={
            'writer 1': backup('x'),
            'writer 2': backup('x'),
            'aborter': abort(1),
        }
    ),
    M.NO_TOMBSTONE: ABORT,
    M.LIST_EMPTIED_FIRST: REUSE,
    M.REACHED_UNLISTED: Scene(
        before={**COMMITTED, 'verifier': verify(1)},
        cast={
            'gc 1': collect(),
            'gc 2': collect(),
            'writer 2': backup('x'),
            'deleter 1': delete(1),
        },
    ),
    M.NO_WAIT: REUSE,
    M.BARRIER_FIRST: REUSE,
    M.ABORTING_NOT_LIVE: ABORT,
    M.ABORT_UNCHECKED: Scene(
        cast={
            'writer 1': backup('x'),
            'aborter': abort(1),
            'writer 2': backup('x'),
            'deleter 1': delete(1),
        }
    ),
    M.TOMBSTONE_SWEPT: ABORT,
    M.RACY_ABORT: dataclasses.replace(ABORT, racy=True),
    M.REWRITTEN: Scene(
        racy=True, cast={'writer 1': backup('x'), 'resumer': resume(1, 'x')}
    ),
    M.INDEX_SHARED: Scene(
        cast={'writer 1': backup('x'), 'resumer': resume(1, 'x')}
    ),
    M.INDEX_UNCHECKED: Scene(
        before=DELETED,
        lagging=True,
        listed=('1/manifest', '1/index-writer 1'),
        cast={'writer 2': backup('x'), 'gc': collect()},
    ),
    M.LATE_LEFT: Scene(
        cast={
            'writer 1': backup('x'),
            'resumer': resume(1, 'x'),
            'deleter 1': delete(1),
            'gc': collect(),
        }
    ),
}
