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

"""A large repository beside a small one: the same work costs the same."""

from __future__ import annotations

import os

from tests.bench import images
from tests.bench import place
from tests.bench import process
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step
from tests.bench.tools import ours

_NAME = 'many-chunks'
_TITLE = 'a repository of 1,000,000 chunks beside one of 10,000'

_LIMIT = 1.5

#: At the full image size; smaller runs have fewer.
_CHUNKS = 1_000_000
_FULL_SIZE_BYTES = 4 << 30
_LARGER = 100

#: The smallest there is, so that a million chunks are made soon.
_CHUNK_BYTES = 4096

#: Few chunks beside the 10,000 that are there.
_PROBE_BYTES = 16 << 20
_PAGES = 64

_KNOWN = 'known.img'
_NEW = 'new.img'


def steps() -> list[step.Step]:
    """Return the step."""
    return [step.Step(_NAME, _TITLE, ('realistic',), _measure)]


def _measure(using: session.Session) -> report.StepReport:
    many = _CHUNKS * using.images.size_bytes // _FULL_SIZE_BYTES
    counts = (many // _LARGER, many)
    repositories = [_Repository(using, count) for count in counts]
    try:
        for each in repositories:
            each.fill()
        for number in range(1, using.runs + 1):
            for each in repositories:
                each.work(number)
    finally:
        for each in repositories:
            each.close()
    checks = []
    small, large = repositories
    for verb, series in large.series.items():
        other = small.series[verb]
        checks.append(report.wall_ratio(series, other, _LIMIT))
        checks.append(report.peak_ratio(series, other, _LIMIT))
    found = [
        each.series[verb] for verb in large.series for each in (small, large)
    ]
    return report.StepReport(_NAME, _TITLE, found, checks)


class _Repository:
    """A repository with so many chunks, and what is timed on it."""

    def __init__(self, using: session.Session, chunks: int) -> None:
        self._using = using
        self._chunks = chunks
        self._tool: ours.Backupkit = using.ours(chunk_size_bytes=_CHUNK_BYTES)
        self._place: place.Place = using.place(_NAME, str(chunks))
        self.series: dict[str, report.Series] = {}

    def fill(self) -> None:
        """Make the repository, and the first backup of the known volume."""
        self._place.clear()
        self._tool.initialize(self._place, self._using.run)
        volume = self._place.source / place.VOLUME
        images.in_other_process(
            images.make_numbered, volume, self._chunks, _CHUNK_BYTES
        )
        self._using.run.run(self._tool.backup(self._place, 'many'))
        volume.unlink()
        images.in_other_process(
            images.copy_data,
            self._using.images.path('realistic'),
            self._place.source / _KNOWN,
            _PROBE_BYTES,
        )
        self._using.run.run(self._tool.backup(self._place, 'known', _KNOWN))

    def work(self, number: int) -> None:
        """Do each thing once."""
        known = self._place.source / _KNOWN
        images.change_pages(known, _PAGES, seed=number)
        images.make_random(
            self._place.source / _NEW, _PROBE_BYTES, seed=number
        )
        self._time(
            'create, first', self._tool.backup(self._place, 'new', _NEW)
        )
        new = ours.backup_id(self._using.run.stdout())
        self._time(
            'create, next', self._tool.backup(self._place, 'next', _KNOWN)
        )
        self._time('list', self._command('list'))
        self._time('delete', self._command('delete', new, '--yes'))

    def close(self) -> None:
        """Remove everything."""
        self._place.close()

    def _command(self, *arguments: str) -> process.Command:
        return self._tool.command(self._place, 'backup', *arguments)

    def _time(self, verb: str, command: process.Command) -> None:
        series = self.series.setdefault(
            verb, report.Series(f'{verb}, {self._chunks:,} chunks')
        )
        os.sync()
        series.usages.append(self._using.run.run(command))
