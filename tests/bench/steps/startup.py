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

"""What the program costs before it does anything."""

from __future__ import annotations

from tests.bench import report
from tests.bench import session
from tests.bench.steps import step

_NAME = 'start'
_TITLE = 'start: backup list, empty catalog'

_LIMIT_CPU_SECONDS = 0.6


def steps() -> list[step.Step]:
    """Return the step."""
    return [step.Step(_NAME, _TITLE, (), _measure)]


def _measure(using: session.Session) -> report.StepReport:
    tool = using.ours()
    where = using.place(_NAME, 'backupkit')
    where.clear()
    try:
        tool.initialize(where, using.run)
        command = tool.command(where, 'backup', 'list')
        # The first call makes the catalog, and the compiled modules.
        using.run.run(command)
        usages = [using.run.run(command) for _ in range(using.runs)]
    finally:
        where.close()
    series = report.Series('backup list', usages)
    spent = [usage.cpu_seconds for usage in usages]
    check = report.Check(
        subject='CPU of backup list',
        value=series.cpu_seconds(),
        lowest=min(spent),
        highest=max(spent),
        limit=_LIMIT_CPU_SECONDS,
        unit='s',
    )
    return report.StepReport(_NAME, _TITLE, [series], [check])
