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

"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

from tests.bench import fault
from tests.bench import images
from tests.bench import machine
from tests.bench import process
from tests.bench import report
from tests.bench import session
from tests.bench.steps import races
from tests.bench.steps import registry
from tests.bench.steps import step
from tests.bench import text
from tests.bench.tools import ours
from tests.bench.tools import tool

_GIB = 1 << 30

#: Room for all images and for the contenders of the largest step, as a
#: multiple of the image size.
_ROOM_TIMES = 8

_EXIT_LIMITS_KEPT = 0
_EXIT_LIMIT_MISSED = 1
_EXIT_ERROR = 2
_EXIT_INTERRUPTED = 130


def main() -> int:
    """Run the benchmark, and return its exit code."""
    options = _parser().parse_args()
    # Both ends clean up: a mounted file system may be there.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(options)
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except fault.BenchError as exc:
        print(f'error: {exc}', file=sys.stderr)
        return _EXIT_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench',
        description='Race backupkit against its peers, and measure it '
        'against its limits.',
        epilog='Exit codes: 0 all limits kept, 1 some limit missed, 2 error.',
    )
    peers = [each.peer for each in races.peers()]
    add = parser.add_argument
    add('--list', action='store_true', help='list the steps, and end')
    add('--steps', type=_names, metavar='NAME,...', help='default: all')
    add(
        '--images',
        type=_names,
        metavar='NAME,...',
        help='only steps that read one of: ' + ', '.join(images.NAMES),
    )
    add(
        '--peers',
        type=_names,
        default=peers,
        metavar='NAME,...',
        help=f'default: {",".join(peers)}; an empty list leaves us alone',
    )
    add('--peers-only', action='store_true', help='do not run backupkit')
    add('--runs', type=_positive, default=5, help='default: 5')
    add('--size-gib', type=float, default=4.0, help='default: 4')
    add(
        '--work',
        type=pathlib.Path,
        metavar='DIR',
        help='keeps the images for a next run; default: a temporary '
        'directory below the current one',
    )
    add('--program', help='default: backupkit beside this interpreter')
    add('--json', type=pathlib.Path, metavar='OUT')
    add('--rst', type=pathlib.Path, metavar='OUT')
    return parser


def _names(value: str) -> list[str]:
    return [name for name in value.split(',') if name]


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError('must be 1 or more')
    return number


def _run(options: argparse.Namespace) -> int:
    chosen = registry.select(options.steps, options.images)
    if options.peers_only:
        chosen = [each for each in chosen if each.races]
    if options.list:
        for each in chosen:
            print(f'{each.name:24}{each.title}')
        return _EXIT_LIMITS_KEPT
    with _work_directory(options.work) as work:
        using = _session(options, work)
        tools = _check(using, chosen)
        facts = machine.describe(work, tools, using.run)
        facts |= {
            'images': f'{options.size_gib:g} GiB',
            'runs': str(options.runs),
        }
        print('\n'.join(f'{key}: {value}' for key, value in facts.items()))
        print()
        reports = []
        for each in chosen:
            reports.append(each.measure(using))
            print(text.step_text(reports[-1]), flush=True)
            _write(options, facts, reports)
    missed = [
        check
        for found in reports
        for check in found.checks
        if not check.passed
    ]
    return _EXIT_LIMIT_MISSED if missed else _EXIT_LIMITS_KEPT


@contextlib.contextmanager
def _work_directory(given: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """Yield the directory to work in, and leave at most its images."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix='bench-', dir='.') as made:
            yield pathlib.Path(made).absolute()
        return
    given.mkdir(parents=True, exist_ok=True)
    work = given.absolute()
    try:
        yield work
    finally:
        for name in ('run', 'logs'):
            shutil.rmtree(work / name, ignore_errors=True)


def _session(
    options: argparse.Namespace, work: pathlib.Path
) -> session.Session:
    size_bytes = int(options.size_gib * 16) * _GIB // 16
    if size_bytes <= 0:
        raise fault.BenchError('--size-gib must be 0.0625 or more')
    room_bytes = shutil.disk_usage(work).free
    if room_bytes < size_bytes * _ROOM_TIMES:
        raise fault.BenchError(
            f'{work} has room for {room_bytes // _GIB} GiB and '
            f'{size_bytes * _ROOM_TIMES // _GIB} are needed: name another '
            'directory by --work, or lower --size-gib'
        )
    program = options.program or ours.installed()
    return session.Session(
        work=work,
        images=images.Images(work / 'images', size_bytes),
        run=process.Runner(work / 'logs'),
        runs=options.runs,
        peers=frozenset(options.peers),
        program=None if options.peers_only else program,
    )


def _check(using: session.Session, chosen: list[step.Step]) -> list[tool.Tool]:
    """Return the tools that take part, all of them known to be there."""
    known = races.peers()
    unknown = using.peers - {each.peer for each in known}
    if unknown:
        raise fault.BenchError(f'no such peer: {", ".join(unknown)}')
    raced = known if any(each.races for each in chosen) else []
    tools = [each for each in (using.ours(), *raced) if using.wants(each)]
    if not tools:
        raise fault.BenchError('neither backupkit nor a peer is to run')
    for each in tools:
        each.check()
    rooted = [each.name for each in chosen if each.needs_root]
    if rooted and os.geteuid() != 0:
        raise fault.BenchError(
            f'{", ".join(rooted)}: must run as root, to mount a file '
            'system; or choose other --steps'
        )
    return tools


def _write(
    options: argparse.Namespace,
    facts: dict[str, str],
    reports: list[report.StepReport],
) -> None:
    if options.json is not None:
        steps = []
        for found in reports:
            plain = dataclasses.asdict(found)
            for check, checked in zip(plain['checks'], found.checks):
                check['passed'] = checked.passed
            steps.append(plain)
        document = {
            'machine': facts,
            'steps': steps,
        }
        options.json.write_text(json.dumps(document, indent=2), 'utf-8')
    if options.rst is not None:
        parts = [text.machine_rst(facts), *map(text.step_rst, reports)]
        options.rst.write_text('\n'.join(parts), 'utf-8')


if __name__ == '__main__':
    sys.exit(main())
