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
"""Copies of backups between two targets, beside cp of the packs that move."""

from __future__ import annotations

import functools
import json
import pathlib
import shutil

from tests.bench import contender
from tests.bench import fault
from tests.bench import place
from tests.bench import process
from tests.bench import race
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step
from tests.bench.tools import ours

#: We may take at most this many times what cp takes: 0.8 of its speed.
_LIMIT = 1.25

_SECOND = 'second'
_TARGET = """
[target:{name}]
driver = posix
backup_posix_path = {path}
"""


def steps() -> list[step.Step]:
    """Return the steps."""
    return [
        step.Step(
            name=f'copy-{image}',
            title=f'{image}, copied to a second target',
            images=(image,),
            measure=functools.partial(_race, image),
        )
        for image in ('random', 'realistic')
    ]


def _race(image: str, using: session.Session) -> report.StepReport:
    name = f'copy-{image}'
    tool = using.ours()
    path = using.images.path(image)
    contenders = [
        kind(tool, using.place(name, kind.title), using.run, path)
        for kind in (_Copy, _Cp)
    ]
    mine, peer = race.race(contenders, using.runs, using.run)
    title = f'{image}, copied to a second target'
    checks = [
        report.wall_ratio(mine, peer, _LIMIT),
        report.fact_ratio(mine, peer, 'moved_bytes', 1.01),
    ]
    return report.StepReport(name, title, [mine, peer], checks)


class _Second(contender.Contender):
    """Begins with a backup on one target, and an empty second one."""

    title = ''

    def __init__(
        self,
        contending: ours.Backupkit,
        where: place.Place,
        run: process.Runner,
        image: pathlib.Path,
    ) -> None:
        super().__init__(contending, where, run)
        self._ours = contending
        self._image = image
        self._backup_id = ''
        self.name = self.title

    def setup(self) -> None:
        super().setup()
        receipt = self._first_backup(self._image)
        self._backup_id = ours.backup_id(receipt)
        self._second.mkdir()
        path = ours.configuration(self._place)
        text = path.read_text('utf-8').replace(
            'enabled_targets = repo', f'enabled_targets = repo,{_SECOND}'
        )
        text += _TARGET.format(name=_SECOND, path=self._second)
        path.write_text(text, 'utf-8')

    @property
    def _second(self) -> pathlib.Path:
        return self._place.state / _SECOND

    def _call(self, *arguments: str) -> str:
        self._run.run(self._ours.command(self._place, *arguments))
        return self._run.stdout()

    def reads(self) -> pathlib.Path:
        return self._ours.repository(self._place)

    def _moved(self) -> dict[str, float]:
        packs = sum(
            path.stat().st_size
            for path in self._second.rglob('packs/*/*')
            if path.is_file()
        )
        return {'moved_bytes': packs}


class _Copy(_Second):
    """``backup copy``, from an empty second target each time."""

    title = 'backupkit copy'

    def prepare(self) -> None:
        if self._moved()['moved_bytes']:
            raise fault.BenchError('the former copy is not gone')

    def command(self) -> process.Command:
        return self._ours.command(
            self._place,
            *('backup', 'copy', self._backup_id, '--to', _SECOND),
            *('-f', 'json'),
        )

    def after(self) -> dict[str, float]:
        copied = ours.backup_id(self._run.stdout())
        moved = self._moved()
        verified = json.loads(
            self._call('backup', 'verify', copied, '--full', '-f', 'json')
        )
        if not verified['good']:
            raise fault.BenchError('the copy is damaged')
        self._call('backup', 'delete', copied, '--yes')
        self._call('repository', 'gc', _SECOND)
        return moved


class _Cp(_Second):
    """``cp`` of the packs, each of them made durable."""

    title = 'cp and sync'

    def prepare(self) -> None:
        shutil.rmtree(self._second)
        self._second.mkdir()

    def command(self) -> process.Command:
        source = self._ours.repository(self._place)
        (packs,) = source.glob('backups/*/*/*/packs')
        copy = 'cp -r "$0" "$1" && find "$1" -type f -exec sync {} +'
        return process.Command(
            ('sh', '-c', copy, str(packs), str(self._second))
        )

    def after(self) -> dict[str, float]:
        return self._moved()
