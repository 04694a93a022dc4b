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

"""A target on an NFS share, beside dd(1) that writes the same to it.

Client, server and what is measured share the one CPU of a guest.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys

from tests.bench import fault
from tests.bench import process
from tests.bench import report
from tests.bench import session
from tests.bench import share
from tests.bench.steps import step
from tests.guest import init
from tests.guest import uml

_NAME = 'nfs'
_MOUNTS_NAME = 'nfs-mounts'
_TITLE = 'backup to NFS in a guest, none'
_MOUNTS_TITLE = 'mount options for NFS in a guest, none'

#: We move at no less than 0.9 times the rate of dd.
_LIMIT = 1 / 0.9
#: All of it is in the guest's memory.
_MOST_BYTES = 512 << 20
#: That of our writes: a whole pack.
_BLOCK_BYTES = 32 << 20
_MEMORY_MIB = 4096
_SECONDS = 1800
_SERVICES = ('tests.nfs.server', 'tests.nfs.rights')

_MOUNTS = (
    '',
    # Without rpc.statd(8) there are no locks of that version.
    'vers=3,nolock',
    'vers=4.0',
    'vers=4.1',
    'vers=4.2,rsize=65536,wsize=65536',
    'vers=4.2,rsize=1048576,wsize=1048576',
    'vers=4.2,nconnect=4',
    'vers=4.2,timeo=100,retrans=5',
    'vers=4.2,proto=tcp',
)


def steps() -> list[step.Step]:
    """Return the steps."""
    return [
        step.Step(_NAME, _TITLE, (), _measure, needs_root=True),
        step.Step(
            _MOUNTS_NAME, _MOUNTS_TITLE, (), _measure_mounts, needs_root=True
        ),
    ]


def _measure(using: session.Session) -> report.StepReport:
    (found,) = _ask(using, ('',))
    dd, ours = _series(found)
    seconds = [usage.wall_seconds for usage in dd.usages]
    return report.StepReport(
        _NAME,
        _TITLE,
        [dd, ours],
        [
            report.ratio(
                f'time of {ours.name} to move the bytes / {dd.name}',
                found.moving_seconds,
                seconds,
                _LIMIT,
            ),
            # What a process takes to start does not grow with the volume.
            report.wall_ratio(ours, dd, None),
        ],
    )


def _measure_mounts(using: session.Session) -> report.StepReport:
    series = [
        each for found in _ask(using, _MOUNTS) for each in _series(found)
    ]
    return report.StepReport(_MOUNTS_NAME, _MOUNTS_TITLE, series)


def _series(found: _Found) -> tuple[report.Series, report.Series]:
    told = found.mount or 'no options'
    dd, ours = (
        report.Series(f'{name}, {told}', found.usages[name])
        for name in (share.DD, share.OURS)
    )
    ours.facts['moving_seconds'] = statistics.median(found.moving_seconds)
    return dd, ours


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    mount: str
    moving_seconds: list[float]
    usages: dict[str, list[process.Usage]]


def _ask(using: session.Session, mounts: tuple[str, ...]) -> list[_Found]:
    """Have a guest measure each of these mounts."""
    job = (using.work / 'run' / 'guest').resolve()
    job.mkdir(parents=True)
    directory = uml.lay_tests(job)
    wanted = share.Request(
        size_bytes=min(using.images.size_bytes, _MOST_BYTES),
        runs=using.runs,
        block_bytes=_BLOCK_BYTES,
        mounts=list(mounts),
    )
    request, answer = job / 'request', job / 'answer'
    request.write_text(json.dumps(dataclasses.asdict(wanted)))
    services = (f'--service={name}' for name in _SERVICES)
    command = uml.Command(
        arguments=[
            *(sys.executable, '-m', 'tests.guest.inside', '--guest'),
            *(*services, '-m', 'tests.bench.share'),
            *(str(init.JOB / path.name) for path in (request, answer)),
        ],
        environment=uml.environment(),
        directory=directory,
    )
    try:
        with uml.Guest(job, command, memory_mib=_MEMORY_MIB) as guest:
            code = guest.wait(_SECONDS)
            if code or not answer.exists():
                raise fault.BenchError(f'the guest failed:\n{guest.told()}')
    except uml.GuestError as exc:
        raise fault.BenchError(str(exc)) from exc
    return [
        _Found(
            found['mount'],
            found['moving_seconds'],
            {
                name: [process.Usage(**usage) for usage in usages]
                for name, usages in found['usages'].items()
            },
        )
        for found in json.loads(answer.read_text())
    ]
