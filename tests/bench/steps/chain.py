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

"""Many incrementals of one volume: the last costs what the first did."""

from __future__ import annotations

import os

from tests.bench import files
from tests.bench import images
from tests.bench import place
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step

_NAME = 'incrementals'
_TITLE = '100 incrementals of one volume, 1 MiB changed before each'

_INCREMENTALS = 100

#: Single runs vary; the 2nd and the 100th stand for this many beside them.
_BESIDE = 5

_LIMIT = 1.2

#: Small, so that what grows with the chain is not hidden behind reading.
_VOLUME_PART = 8
_PAGES = 64


def steps() -> list[step.Step]:
    """Return the step."""
    return [step.Step(_NAME, _TITLE, (), _measure)]


def _measure(using: session.Session) -> report.StepReport:
    where = using.place(_NAME, 'backupkit')
    where.clear()
    try:
        found = _incrementals(using, where)
    finally:
        where.close()
    early = _window('2nd to 6th', found[1 : 1 + _BESIDE])
    late = _window('96th to 100th', found[-_BESIDE:])
    checks = [
        report.wall_ratio(late, early, _LIMIT),
        report.ratio(
            f'CPU of {late.name} / {early.name}',
            [usage.cpu_seconds for usage in late.usages],
            [usage.cpu_seconds for usage in early.usages],
            _LIMIT,
        ),
        report.peak_ratio(late, early, _LIMIT),
        report.fact_ratio(late, early, 'added_bytes', _LIMIT),
    ]
    return report.StepReport(_NAME, _TITLE, [early, late], checks)


def _incrementals(
    using: session.Session, where: place.Place
) -> list[report.Series]:
    """Return all incrementals, in order, each as a series of its own."""
    tool = using.ours()
    tool.initialize(where, using.run)
    volume = where.source / place.VOLUME
    # Incompressible as the changes are: else each change would leave the
    # volume less compressible, and the later ones would store more.
    images.in_other_process(
        images.make_random, volume, using.images.size_bytes // _VOLUME_PART
    )
    using.run.run(tool.backup(where, 'full'))
    found = []
    for number in range(1, _INCREMENTALS + 1):
        images.change_pages(volume, _PAGES, seed=number)
        stored_bytes = files.tree_bytes(tool.repository(where))
        os.sync()
        usage = using.run.run(tool.backup(where, f'incremental {number}'))
        added = files.tree_bytes(tool.repository(where)) - stored_bytes
        found.append(
            report.Series(str(number), [usage], {'added_bytes': added})
        )
    return found


def _window(name: str, found: list[report.Series]) -> report.Series:
    usages = [usage for each in found for usage in each.usages]
    added = sum(each.facts['added_bytes'] for each in found) / len(found)
    return report.Series(name, usages, {'added_bytes': added})
