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

"""Images copied to images: beside qemu-img, and by the file system alone."""

from __future__ import annotations

import functools
import os

from tests.bench import contender
from tests.bench import fault
from tests.bench import files
from tests.bench import filesystem
from tests.bench import place
from tests.bench import race
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step
from tests.bench.tools import ours
from tests.bench.tools import raws
from tests.bench.tools import tool

#: We may take at most this many times what qemu-img takes.
_LIMIT = 1.15

#: A backup of an image of the usual size that shares all its blocks.
_REFLINK_SECONDS = 1.5

#: Room for the volume, whose blocks the backup shares, and for a restore.
_ROOM_TIMES = 2.5

_REFLINK = 'image-reflink'
_REFLINK_TITLE = 'random, backup as an image by reflink on xfs'


def steps() -> list[step.Step]:
    """Return the steps."""
    found = [
        step.Step(
            name=f'volume-{image}-{kind}',
            title=f'{image}, {title}, target volume',
            images=(image,),
            measure=functools.partial(_race, image, kind),
            races=True,
        )
        for image in ('random', 'realistic', 'sparse')
        for kind, title in (('full', 'full'), ('restore', 'restore'))
    ]
    found.append(
        step.Step(
            _REFLINK,
            _REFLINK_TITLE,
            ('random',),
            _measure_reflink,
            needs_root=True,
        )
    )
    return found


def _race(image: str, kind: str, using: session.Session) -> report.StepReport:
    name = f'volume-{image}-{kind}'
    mine, peer = raws.VolumeTarget(using.program), raws.QemuRaw()
    tools: list[tool.Tool] = [
        each for each in (mine, peer) if using.wants(each)
    ]
    path = using.images.path(image)

    def contending(each: tool.Tool) -> contender.Contender:
        where = using.place(name, each.name)
        if kind == 'full':
            return contender.FullBackup(each, where, using.run, path)
        return contender.Restore(each, where, using.run, path)

    results = race.race(list(map(contending, tools)), using.runs, using.run)
    title = f'{image}, {kind}, target volume'
    found = report.StepReport(name, title, results)
    by_name = {each.name: each for each in results}
    if mine.name in by_name and peer.name in by_name:
        found.checks = [
            report.wall_ratio(by_name[mine.name], by_name[peer.name], _LIMIT)
        ]
    return found


def _measure_reflink(using: session.Session) -> report.StepReport:
    """Back up a volume on the file system of its target."""
    outer = using.place(_REFLINK, 'backupkit')
    outer.clear()
    mine = raws.ImageTarget(using.program, 'share')
    backup = report.Series(mine.name)
    verify = report.Series('its first verify')
    size_bytes = int(using.images.size_bytes * _ROOM_TIMES)
    try:
        with filesystem.xfs(outer.root / 'xfs.img', outer.source, size_bytes):
            where = place.Place(outer.source)
            for directory in (where.state, where.source, where.output):
                directory.mkdir()
            volume = where.source / place.VOLUME
            files.copy(using.images.path('random'), volume)
            mine.initialize(where, using.run)
            for number in range(using.runs):
                os.sync()
                command = mine.backup(where, f'number {number}')
                backup.usages.append(using.run.run(command))
            identifier = ours.backup_id(using.run.stdout())
            verify.usages.append(
                using.run.run(
                    mine.command(where, 'backup', 'verify', identifier)
                )
            )
            using.run.run(mine.restore_beside(where, identifier, 'again'))
            if files.digest(where.source / 'again') != files.digest(volume):
                raise fault.BenchError('what was shared is another image')
    finally:
        outer.close()
    taken = backup.wall_seconds()
    checks = [
        report.single(f'{mine.name}: time', taken, _REFLINK_SECONDS, 's')
    ]
    return report.StepReport(
        _REFLINK, _REFLINK_TITLE, [backup, verify], checks
    )
