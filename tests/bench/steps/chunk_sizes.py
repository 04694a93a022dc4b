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

"""What the size of a chunk costs and saves; it sets no limit."""

from __future__ import annotations

from tests.bench import contender
from tests.bench import files
from tests.bench import race
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step
from tests.bench.tools import ours

_NAME = 'chunk-sizes'
_TITLE = 'chunk sizes, realistic, zstd'

_SIZES = tuple(kib << 10 for kib in (64, 256, 1024, 4096))


def steps() -> list[step.Step]:
    """Return the step."""
    return [step.Step(_NAME, _TITLE, ('realistic', 'scattered'), _measure)]


def _measure(using: session.Session) -> report.StepReport:
    tools = [using.ours(chunk_size_bytes=size) for size in _SIZES]
    found = race.race(
        [_full(using, each) for each in tools], using.runs, using.run
    )
    for image, runs in (('next-day', using.runs), ('scattered', 1)):
        later = race.race(
            [_next(using, each, image) for each in tools], runs, using.run
        )
        kind = image.replace('-', '_')
        for series, more in zip(found, later, strict=True):
            series.facts[f'{kind}_added_bytes'] = more.facts['added_bytes']
            series.facts[f'{kind}_time_seconds'] = more.wall_seconds()
    return report.StepReport(_NAME, _TITLE, found)


class _FullBackup(contender.FullBackup):
    """Tells the size of the index as well."""

    def after(self) -> dict[str, float]:
        repository = self._tool.repository(self._place)
        index_bytes = sum(map(files.tree_bytes, repository.rglob('index')))
        return {**super().after(), 'index_bytes': index_bytes}


def _full(using: session.Session, tool: ours.Backupkit) -> contender.Contender:
    image = using.images.path('realistic')
    where = using.place(_NAME, f'{tool.name} full')
    return _FullBackup(tool, where, using.run, image)


def _next(
    using: session.Session, tool: ours.Backupkit, image: str
) -> contender.Contender:
    return contender.NextBackup(
        tool,
        using.place(_NAME, f'{tool.name} {image}'),
        using.run,
        using.images.path('realistic'),
        using.images.path(image),
    )
