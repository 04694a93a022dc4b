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

"""A volume far larger than the disk: 64 TiB with little in it."""

from __future__ import annotations

import os

from tests.bench import fault
from tests.bench import files
from tests.bench import filesystem
from tests.bench import images
from tests.bench import place
from tests.bench import report
from tests.bench import session
from tests.bench.steps import memory
from tests.bench.steps import step
from tests.bench.tools import ours

_NAME = 'huge'
_TITLE = '64 TiB sparse volume on xfs, zstd'

_VOLUME_BYTES = 64 << 40
_DATA_BYTES = 512 << 20

#: Room for the volume's data and for that of the restored one.
_FILE_SYSTEM_BYTES = 4 << 30

#: The goal is "seconds"; this is what is taken for it.
_LIMIT_SECONDS = 10.0

#: What an incremental of an unchanged volume may write.
_UNCHANGED_BYTES = 1 << 20


def steps() -> list[step.Step]:
    """Return the step."""
    return [step.Step(_NAME, _TITLE, (), _measure, needs_root=True)]


def _measure(using: session.Session) -> report.StepReport:
    base = memory.imports(using, _NAME)
    where = using.place(_NAME, 'backupkit')
    where.clear()
    try:
        with filesystem.xfs(
            where.root / 'xfs.img', where.source, _FILE_SYSTEM_BYTES
        ):
            volume = where.source / place.VOLUME
            images.in_other_process(
                images.fill_sparse, volume, _VOLUME_BYTES, _DATA_BYTES
            )
            found = _three(using, using.ours(), where)
    finally:
        where.close()
    full, unchanged, _ = found
    checks = [
        memory.above(each, int(base.facts['imports_bytes'])) for each in found
    ]
    checks += [
        report.single(
            f'{full.name}: time', full.wall_seconds(), _LIMIT_SECONDS, 's'
        ),
        report.single(
            f'{unchanged.name}: added to the repository',
            unchanged.facts['added_bytes'],
            _UNCHANGED_BYTES,
            'bytes',
        ),
        report.single(
            f'{unchanged.name}: written by the process, catalog and all',
            unchanged.facts['written_bytes'],
            _UNCHANGED_BYTES,
            'bytes',
        ),
    ]
    return report.StepReport(_NAME, _TITLE, [base, *found], checks)


def _three(
    using: session.Session, tool: ours.Backupkit, where: place.Place
) -> list[report.Series]:
    """Back up, back up again, and restore on the same file system."""
    volume = where.source / place.VOLUME
    repository = tool.repository(where)
    tool.initialize(where, using.run)
    found = []
    receipt = ''
    for name in ('full', 'unchanged incremental'):
        stored_bytes = files.tree_bytes(repository)
        os.sync()
        usage = using.run.run(tool.backup(where, name))
        receipt = using.run.stdout()
        facts: dict[str, float] = {
            'added_bytes': files.tree_bytes(repository) - stored_bytes,
            # With the catalog and all else that the process wrote.
            'written_bytes': usage.written_bytes,
        }
        found.append(report.Series(name, [usage], facts))
    usage = using.run.run(
        tool.restore_beside(where, ours.backup_id(receipt), 'restored.img')
    )
    found.append(report.Series('restore', [usage]))
    if files.digest(where.source / 'restored.img') != files.digest(volume):
        raise fault.BenchError('the restored 64 TiB are not those backed up')
    return found
