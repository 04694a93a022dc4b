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

"""Peak memory with volumes of the ordinary size."""

from __future__ import annotations

import functools

from tests.bench import baseline
from tests.bench import contender
from tests.bench import race
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step

#: Above the interpreter with its imports.
LIMIT_BYTES = 256 << 20

_NAME = 'memory'
_TITLE = 'peak memory of backup and restore, zstd'


def steps() -> list[step.Step]:
    """Return the step."""
    return [step.Step(_NAME, _TITLE, ('random', 'realistic'), _measure)]


def above(
    series: report.Series, imports_bytes: int, limit_bytes: int = LIMIT_BYTES
) -> report.Check:
    """Return the check of what is taken above the imports alone."""
    return report.single(
        f'{series.name}: peak memory above imports',
        series.peak_bytes() - imports_bytes,
        limit_bytes,
        'bytes',
    )


def imports(using: session.Session, step_name: str) -> report.Series:
    """Return the imports alone as a fact for the table."""
    where = using.place(step_name, 'imports')
    taken = baseline.imports_bytes(using.ours(), where, using.run)
    return report.Series('imports alone', facts={'imports_bytes': taken})


def _measure(using: session.Session) -> report.StepReport:
    base = imports(using, _NAME)
    tool = using.ours()
    random, realistic, next_day = (
        using.images.path(name) for name in ('random', 'realistic', 'next-day')
    )
    run = using.run
    where = functools.partial(using.place, _NAME)
    contenders: dict[str, contender.Contender] = {
        'random, full': contender.FullBackup(
            tool, where('random'), run, random
        ),
        'realistic, full': contender.FullBackup(
            tool, where('realistic'), run, realistic
        ),
        'next day, incremental': contender.NextBackup(
            tool, where('next'), run, realistic, next_day
        ),
        'realistic, restore': contender.Restore(
            tool, where('restore'), run, realistic
        ),
    }
    for label, each in contenders.items():
        each.name = label
    found = race.race(list(contenders.values()), 1, run)
    return report.StepReport(
        _NAME,
        _TITLE,
        [base, *found],
        [above(each, int(base.facts['imports_bytes'])) for each in found],
    )
