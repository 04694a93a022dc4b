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

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses

from tests.unit.repository.protocol import catalog
from tests.unit.repository.protocol import ending
from tests.unit.repository.protocol import gc
from tests.unit.repository.protocol import moving
from tests.unit.repository.protocol import mutants
from tests.unit.repository.protocol import quiet
from tests.unit.repository.protocol import store
from tests.unit.repository.protocol import values
from tests.unit.repository.protocol import world
from tests.unit.repository.protocol import writer

#: An actor, once it is told the plan and its name.
Part = Callable[[mutants.Plan, str], values.Steps[None]]


def backup(*chunks: str) -> Part:
    """Return a writer."""
    return lambda plan, name: writer.backup(plan, name, chunks)


def unanswered(*chunks: str) -> Part:
    """Return a writer that gets no answer to its manifest, and reverts."""
    return lambda plan, name: _give_up(plan, name, chunks)


def _give_up(
    plan: mutants.Plan, name: str, chunks: tuple[str, ...]
) -> values.Steps[None]:
    steps = writer.backup(plan, name, chunks)
    call = next(steps)
    while not values.is_commit(call):
        try:
            call = steps.send((yield call))
        except StopIteration:
            return
    number = values.owner(call.arguments[0])
    sent = plan.mutant is not mutants.Mutant.PUT_FORGOTTEN
    yield from ending.abort(plan, number, name, sent=sent)


def request(number: int) -> Part:
    """Return the manifest's put of a run, on its own way to the store."""
    return lambda plan, name: _arrive(number)


def _arrive(number: int) -> values.Steps[None]:
    runs = dict((yield from values.ask(catalog.Catalog.rows)))
    document = runs[number].document if number in runs else None
    if document is not None:
        name = values.manifest_name(number)
        yield from values.ask(store.Store.put, name, document)


def resume(number: int, *chunks: str) -> Part:
    """Return another writer that takes a run over."""
    return lambda plan, name: writer.resume(plan, number, name, chunks)


def abort(number: int) -> Part:
    """Return somebody who aborts a run that is not theirs."""
    return lambda plan, name: ending.abort(plan, number)


def delete(number: int) -> Part:
    """Return a deleter of one backup."""
    return lambda plan, name: ending.delete(plan, number)


def refused(number: int) -> Part:
    """Return a deleter whom the store refuses."""
    return lambda plan, name: ending.refused(plan, number, name)


def reverted(number: int, *chunks: str) -> Part:
    """Return one who takes a run over, and gives up before the commit."""
    return lambda plan, name: _revert(plan, number, name, chunks)


def _revert(
    plan: mutants.Plan, number: int, name: str, chunks: tuple[str, ...]
) -> values.Steps[None]:
    steps = writer.resume(plan, number, name, chunks)
    call = next(steps)
    while call.method != 'begin_commit':
        try:
            call = steps.send((yield call))
        except StopIteration:
            return
    yield from ending.abort(plan, number, name, sent=False)


def verify(number: int) -> Part:
    """Return somebody who finds a backup damaged."""
    return lambda plan, name: ending.verify(plan, number)


def together(*chunks: str) -> Part:
    """Return a writer that stores all in one pack."""
    return lambda plan, name: writer.backup(plan, name, chunks, together=True)


def move() -> Part:
    """Return who moves what is in use out of a pack mostly dead."""
    return moving.move


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


_M = mutants.Mutant
COMMITTED = {'writer1': backup('x')}
DELETED = {**COMMITTED, 'deleter': delete(1)}
REUSE = Scene(
    before=COMMITTED,
    cast={'writer2': backup('x'), 'deleter': delete(1), 'gc': collect()},
)
ABORT = Scene(
    cast={'writer1': backup('x'), 'aborter': abort(1), 'gc': collect()}
)

#: A pack of a backup that is gone, half of which another one needs.
HALF_DEAD = {
    'writer1': together('x', 'y'),
    'writer2': backup('x'),
    'deleter': delete(1),
}

#: The scene that shows each mutant.
SCENES: Mapping[mutants.Mutant, Scene] = {
    _M.LIST_BEFORE_REGISTERING: REUSE,
    _M.NO_STAT: Scene(
        before={**DELETED, 'gc': collect()}, cast={'writer2': backup('x')}
    ),
    _M.UNCOMMITTED: Scene(
        cast={
            'writer1': backup('x'),
            'writer2': backup('x'),
            'aborter': abort(1),
        }
    ),
    _M.NO_TOMBSTONE: ABORT,
    _M.LIST_EMPTIED_FIRST: REUSE,
    _M.REACHED_UNLISTED: Scene(
        before={**COMMITTED, 'verifier': verify(1)},
        cast={
            'gc1': collect(),
            'gc2': collect(),
            'writer2': backup('x'),
            'deleter': delete(1),
        },
    ),
    _M.NO_WAIT: REUSE,
    _M.BARRIER_FIRST: REUSE,
    _M.ABORTING_NOT_LIVE: ABORT,
    _M.ABORT_UNCHECKED: Scene(
        cast={
            'writer1': backup('x'),
            'aborter': abort(1),
            'writer2': backup('x'),
            'deleter': delete(1),
        }
    ),
    _M.TOMBSTONE_SWEPT: ABORT,
    _M.RACY_ABORT: dataclasses.replace(ABORT, racy=True),
    _M.REWRITTEN: Scene(
        racy=True, cast={'writer1': backup('x'), 'resumer': resume(1, 'x')}
    ),
    _M.INDEX_SHARED: Scene(
        cast={'writer1': backup('x'), 'resumer': resume(1, 'x')}
    ),
    _M.INDEX_UNCHECKED: Scene(
        before=DELETED,
        lagging=True,
        listed=('1/manifest', '1/index-writer1'),
        cast={'writer2': backup('x'), 'gc': collect()},
    ),
    _M.PUT_FORGOTTEN: Scene(
        cast={
            'writer1': unanswered('x'),
            'gc': collect(),
            'request': request(1),
        }
    ),
    _M.SPARED_BLINDLY: Scene(
        before=COMMITTED,
        cast={'refused': refused(1), 'deleter': delete(1)},
    ),
    _M.SPARED_AGAIN: Scene(
        before=COMMITTED,
        cast={'deleter': delete(1), 'refused': refused(1)},
    ),
    _M.EARLIER_UNCHECKED: Scene(
        cast={'writer1': backup('x'), 'resumer': resume(1, 'x')}
    ),
    _M.OVERTAKEN_COMMITS: Scene(
        cast={
            'writer1': backup('x'),
            'resumer': reverted(1, 'x'),
            'gc': collect(),
        },
        switches=3,
    ),
    _M.MOVED_EARLY: Scene(
        before=HALF_DEAD, cast={'mover': move(), 'writer3': backup('y')}
    ),
    _M.MOVED_UNCHECKED: Scene(
        before=HALF_DEAD,
        cast={'mover': move(), 'aborter': abort(3), 'gc': collect()},
    ),
    _M.LATE_LEFT: Scene(
        cast={
            'writer1': backup('x'),
            'resumer': resume(1, 'x'),
            'deleter': delete(1),
            'gc': collect(),
        }
    ),
}

_ENDS = {
    'writer1': backup('x'),
    'resumer': resume(1, 'x'),
    'aborter': abort(1),
    'deleter': delete(1),
    'gc': collect(),
}

#: Larger casts for the protocol as it should be.
ENSEMBLES: Mapping[str, Scene] = {
    'reuse beside two gcs': Scene(
        before=COMMITTED,
        cast={
            'writer2': backup('x'),
            'deleter': delete(1),
            'gc1': collect(),
            'gc2': collect(),
        },
    ),
    'reuse that is aborted': Scene(
        before=COMMITTED,
        cast={
            'writer2': backup('x'),
            'aborter': abort(2),
            'deleter': delete(1),
            'gc': collect(),
        },
    ),
    'every end of a run': Scene(cast=_ENDS),
    'every end of a run, on a racy store': Scene(cast=_ENDS, racy=True),
    'deletes that are refused': Scene(
        before=COMMITTED,
        cast={
            'refused1': refused(1),
            'refused2': refused(1),
            'deleter': delete(1),
            'writer2': backup('x'),
            'gc': collect(),
        },
    ),
    'attempts one after another': Scene(
        before=COMMITTED,
        cast={
            'writer2': backup('x', 'y'),
            'resumer1': resume(2, 'x', 'y'),
            'resumer2': reverted(2, 'x', 'y'),
            'deleter': delete(1),
            'gc': collect(),
        },
    ),
    'a mover beside others': Scene(
        before=HALF_DEAD,
        cast={
            'mover': move(),
            'writer4': backup('y'),
            'aborter': abort(3),
            'deleter2': delete(2),
            'gc': collect(),
        },
    ),
    'two aborters': Scene(
        cast={
            'writer1': backup('x'),
            'aborter1': abort(1),
            'aborter2': abort(1),
            'deleter': delete(1),
            'gc': collect(),
        }
    ),
    'reuse over late listings': Scene(
        before=COMMITTED,
        lagging=True,
        listed=('1/manifest',),
        cast={
            'writer2': backup('x'),
            'deleter': delete(1),
            'gc': collect(),
        },
    ),
}
