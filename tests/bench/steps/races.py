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

"""The steps that race with the peers."""

from __future__ import annotations

import dataclasses
import functools
import typing

from tests.bench import contender
from tests.bench import race
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step
from tests.bench.tools import borg
from tests.bench.tools import qemu
from tests.bench.tools import restic
from tests.bench.tools import tool

_Kind = typing.Literal['full', 'next', 'restore', 'overwrite']

_BORG_NONE = borg.Borg('none')
_BORG_ZSTD = borg.Borg('zstd,1')
_QEMU_NONE = qemu.QemuImg('none')
_QEMU_ZSTD = qemu.QemuImg('zstd')
_QEMU_NONE_W = qemu.QemuImg('none', unordered=True)
_QEMU_ZSTD_W = qemu.QemuImg('zstd', unordered=True)
_RESTIC_OFF = restic.Restic('off')
_RESTIC_AUTO = restic.Restic('auto')

#: We may store at most this much more than Borg.
_STORED_LIMIT = 1.05


@dataclasses.dataclass(frozen=True, slots=True)
class _Race:
    """What is raced, with whom, and how well we must do.

    ``limits`` are multiples of a peer's time; ``stored`` is the peer whose
    stored bytes limit ours.
    """

    name: str
    title: str
    image: str
    kind: _Kind
    codec: str
    peers: tuple[tool.Tool, ...]
    limits: tuple[tuple[tool.Tool, float], ...] = ()
    stored: tool.Tool | None = None


_RACES = (
    _Race(
        name='random-full',
        title='random, full, zstd (default)',
        image='random',
        kind='full',
        codec='zstd',
        peers=(_BORG_NONE, _QEMU_ZSTD, _RESTIC_AUTO),
        limits=((_BORG_NONE, 0.5),),
    ),
    _Race(
        name='realistic-full-none',
        title='realistic, full, none',
        image='realistic',
        kind='full',
        codec='none',
        peers=(_QEMU_NONE, _QEMU_NONE_W, _BORG_NONE, _RESTIC_OFF),
        limits=((_QEMU_NONE, 0.6),),
    ),
    _Race(
        name='realistic-full-zstd',
        title='realistic, full, zstd (default)',
        image='realistic',
        kind='full',
        codec='zstd',
        peers=(_BORG_ZSTD, _QEMU_ZSTD, _QEMU_ZSTD_W, _RESTIC_AUTO),
        limits=((_BORG_ZSTD, 0.6),),
        stored=_BORG_ZSTD,
    ),
    _Race(
        name='next-day',
        title='next day of realistic, incremental, zstd, no map',
        image='next-day',
        kind='next',
        codec='zstd',
        peers=(_BORG_ZSTD, _RESTIC_AUTO),
        limits=((_BORG_ZSTD, 0.5),),
        stored=_BORG_ZSTD,
    ),
    _Race(
        name='realistic-restore-none',
        title='realistic, restore to a new volume, none',
        image='realistic',
        kind='restore',
        codec='none',
        peers=(_QEMU_NONE, _QEMU_NONE_W, _BORG_NONE, _RESTIC_OFF),
        limits=((_QEMU_NONE, 1.2),),
    ),
    _Race(
        name='realistic-restore-zstd',
        title='realistic, restore to a new volume, zstd',
        image='realistic',
        kind='restore',
        codec='zstd',
        peers=(_QEMU_ZSTD, _QEMU_ZSTD_W, _BORG_ZSTD, _RESTIC_AUTO),
        limits=((_QEMU_ZSTD, 0.55),),
    ),
    _Race(
        name='realistic-restore-over',
        title='realistic, restore over a volume of other data, zstd',
        image='realistic',
        kind='overwrite',
        codec='zstd',
        peers=(_QEMU_ZSTD,),
    ),
    _Race(
        name='sparse-full',
        title='sparse, full, zstd (default)',
        image='sparse',
        kind='full',
        codec='zstd',
        peers=(_BORG_NONE, _QEMU_ZSTD, _RESTIC_AUTO),
        limits=((_BORG_NONE, 0.9),),
    ),
    _Race(
        name='sparse-restore',
        title='sparse, restore to a new volume, zstd',
        image='sparse',
        kind='restore',
        codec='zstd',
        peers=(_QEMU_ZSTD, _BORG_NONE, _RESTIC_AUTO),
        limits=((_QEMU_ZSTD, 0.8),),
    ),
)


def steps() -> list[step.Step]:
    """Return a step for every race."""
    return [
        step.Step(
            name=each.name,
            title=each.title,
            images=(each.image,),
            measure=functools.partial(_measure, each),
            races=True,
        )
        for each in _RACES
    ]


def peers() -> list[tool.Tool]:
    """Return one tool of every peer that some race names."""
    tools = [peer for each in _RACES for peer in each.peers]
    return list({each.peer: each for each in tools}.values())


def _measure(what: _Race, using: session.Session) -> report.StepReport:
    ours = using.ours(what.codec)
    tools = [each for each in (ours, *what.peers) if using.wants(each)]
    results = race.race(
        [_contender(what, each, using) for each in tools],
        using.runs,
        using.run,
    )
    found = report.StepReport(what.name, what.title, results)
    by_name = {each.name: each for each in results}
    if ours.name in by_name:
        found.checks = _checks(what, by_name[ours.name], by_name)
    return found


def _checks(
    what: _Race, ours: report.Series, by_name: dict[str, report.Series]
) -> list[report.Check]:
    limits = {peer.name: limit for peer, limit in what.limits}
    checks = [
        report.wall_ratio(ours, series, limits.get(name))
        for name, series in by_name.items()
        if name != ours.name
    ]
    if what.stored is not None and what.stored.name in by_name:
        fact = 'added_bytes' if what.kind == 'next' else 'stored_bytes'
        peer = by_name[what.stored.name]
        checks.append(report.fact_ratio(ours, peer, fact, _STORED_LIMIT))
    return checks


def _contender(
    what: _Race, each: tool.Tool, using: session.Session
) -> contender.Contender:
    where = using.place(what.name, each.name)
    image = using.images.path(what.image)
    if what.kind == 'full':
        return contender.FullBackup(each, where, using.run, image)
    if what.kind == 'next':
        first = using.images.path('realistic')
        return contender.NextBackup(each, where, using.run, first, image)
    over = None
    if what.kind == 'overwrite':
        over = using.images.path('next-day')
    return contender.Restore(each, where, using.run, image, over=over)
