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

"""Volumes in qcow2: as fast as raw, and what changed is known."""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
import random
import subprocess

from backupkit.copy import opening
from backupkit import model
from tests.bench import contender
from tests.bench import fault
from tests.bench import place
from tests.bench import race
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step
from tests.bench.tools import ours

#: Of the rate of the same data as raw, qcow2 must reach 0.8.
_LIMIT = 1 / 0.8

_KNOWN = 'qcow2-known'
_KNOWN_TITLE = '64 GiB qcow2, incremental of 64 MiB, known by a bitmap'
_KNOWN_SECONDS = 3.0
_VOLUME_BYTES = 64 << 30
_DATA_BYTES = 512 << 20
_CHANGE_BYTES = 64 << 20
_PIECE_BYTES = 1 << 20

#: What an incremental may read: the change, as whole chunks.
_READ_BYTES = 2 * _CHANGE_BYTES


class _Qcow2(ours.Backupkit):
    """The file driver, whose volumes are all declared to be qcow2."""

    source_options = 'qcow2_volumes = *\ndirty_bitmaps = true\n'

    def __init__(self, program: str | None) -> None:
        super().__init__(program=program)
        self.name += ' qcow2'


def steps() -> list[step.Step]:
    """Return the steps."""
    found = [
        step.Step(
            f'qcow2-{image}',
            f'{image}, full backup of raw and of qcow2',
            (image,),
            functools.partial(_race, image),
        )
        for image in ('random', 'realistic', 'sparse')
    ]
    found.append(step.Step(_KNOWN, _KNOWN_TITLE, (), _measure_known))
    return found


def _race(image: str, using: session.Session) -> report.StepReport:
    name = f'qcow2-{image}'
    raw = using.images.path(image)
    outer = using.place(name, 'images')
    outer.clear()
    try:
        converted = outer.source / image
        _run('convert', '-f', 'raw', '-O', 'qcow2', raw, converted)
        plain, layered = using.ours(), _Qcow2(using.program)
        found = race.race(
            [
                contender.FullBackup(
                    tool, using.place(name, tool.name), using.run, path
                )
                for tool, path in ((plain, raw), (layered, converted))
            ],
            using.runs,
            using.run,
        )
    finally:
        outer.close()
    title = f'{image}, full backup of raw and of qcow2'
    check = report.wall_ratio(found[1], found[0], _LIMIT)
    return report.StepReport(name, title, found, [check])


def _measure_known(using: session.Session) -> report.StepReport:
    """Back up a large volume, change a little of it, and back up again."""
    where = using.place(_KNOWN, 'backupkit')
    where.clear()
    tool = _Qcow2(using.program)
    series = report.Series('incremental')
    try:
        volume = where.source / place.VOLUME
        _run('create', '-q', '-f', 'qcow2', volume, str(_VOLUME_BYTES))
        _write(volume, _DATA_BYTES, 1)
        tool.initialize(where, using.run)
        using.run.run(tool.backup(where, 'full'))
        for number in range(using.runs):
            _write(volume, _CHANGE_BYTES, 2 + number)
            command = tool.backup(where, f'incremental {number}')
            series.usages.append(using.run.run(command))
        receipt = using.run.stdout()
        identifier = ours.backup_id(receipt)
        series.facts['read_bytes'] = json.loads(receipt)['read_bytes']
        using.run.run(tool.restore_beside(where, identifier, 'again'))
        _run(
            'compare',
            '-f',
            'qcow2',
            '-F',
            'qcow2',
            volume,
            volume.with_name('again'),
        )
    finally:
        where.close()
    taken = series.wall_seconds()
    checks = [
        report.single('incremental: time', taken, _KNOWN_SECONDS, 's'),
        report.single(
            'incremental: read',
            series.facts['read_bytes'],
            _READ_BYTES,
            'bytes',
        ),
    ]
    return report.StepReport(_KNOWN, _KNOWN_TITLE, [series], checks)


def _write(volume: pathlib.Path, length: int, seed: int) -> None:
    """Write so many random bytes to an image, spread over all of it."""
    attachment = model.Attachment(str(volume), _VOLUME_BYTES, 'qcow2')
    writer = opening.open_writer(attachment, _VOLUME_BYTES, reads_zero=False)
    source = random.Random(seed)
    count = length // _PIECE_BYTES
    with contextlib.closing(writer):
        for number in range(count):
            offset = _VOLUME_BYTES // count * number
            offset += 3 * seed * _PIECE_BYTES
            piece = bytearray(source.randbytes(_PIECE_BYTES))
            writer.write(offset, [piece])
        writer.finish()


def _run(*arguments: str | pathlib.Path) -> None:
    argv = ['qemu-img', *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise fault.BenchError(f'qemu-img failed: {done.stderr}')
