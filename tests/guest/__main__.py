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

"""An interpreter for tests that want a kernel of their own.

stestr runs tests by ``$PYTHON -m stestr.subunit_runner.run ...``. With
``PYTHON='python -m tests.guest --service MODULE'`` it runs them in a guest,
as a service user and with these services up, and hears of each one as if it
ran here. Each worker of stestr is one guest.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from tests.guest import init
from tests.guest import stream
from tests.guest import uml

_LIST = '--list'
_LOAD_LIST = '--load-list'
_EXIT_BROKEN = 1


def main() -> int:
    """Run the tests, and return the exit code of their runner."""
    options = _options()
    # The guest must go, whoever ends us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix='guest-') as made:
        job = pathlib.Path(made).resolve()
        uml.lay_tests(job)
        if _LIST in options.runner:
            return _run_here(job, options.runner)
        wanted = _wanted(job, options.runner)
        here = [test for test in wanted if re.search(options.here, test)]
        there = [test for test in wanted if test not in set(here)]
        code = 0
        if here:
            code |= _run_here(job, _chosen(job, options.runner, here, job))
        if there:
            code |= _run_there(job, options, there)
        return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tests.guest', description=__doc__
    )
    add = parser.add_argument
    add('--service', action='append', default=[], metavar='MODULE')
    add(
        '--here',
        default='^$',
        metavar='REGEX',
        help='tests that run on the host, because they start guests',
    )
    add('--seconds', type=float, default=1500, help='default: 1500')
    add('--memory-mib', type=int, default=2048, help='default: 2048')
    add('-m', dest='runner', nargs=argparse.REMAINDER, required=True)
    return parser.parse_args()


def _run_here(job: pathlib.Path, runner: list[str]) -> int:
    sys.stdout.flush()
    line = [sys.executable, '-m', *runner]
    return subprocess.call(line, cwd=job / uml.TREE)


def _wanted(job: pathlib.Path, runner: list[str]) -> list[str]:
    """Return the ids of the tests that are to run."""
    if _LOAD_LIST in runner:
        path = pathlib.Path(runner[runner.index(_LOAD_LIST) + 1])
        return path.read_text().split()
    listed = subprocess.run(
        [sys.executable, '-m', *runner, _LIST],
        cwd=job / uml.TREE,
        stdout=subprocess.PIPE,
        check=True,
    )
    return stream.listed(listed.stdout)


def _chosen(
    job: pathlib.Path, runner: list[str], tests: list[str], place: pathlib.Path
) -> list[str]:
    """Return the runner's arguments for these tests alone.

    :param place: what the runner calls the job's directory
    """
    runner = list(runner)
    if _LOAD_LIST in runner:
        where = runner.index(_LOAD_LIST)
        del runner[where : where + 2]
    path = job / 'tests'
    path.write_text(''.join(f'{test}\n' for test in tests))
    path.chmod(0o644)
    return [*runner, _LOAD_LIST, str(place / 'tests')]


def _run_there(
    job: pathlib.Path, options: argparse.Namespace, tests: list[str]
) -> int:
    """Run tests in a guest; each of them has a result afterwards."""
    relay = stream.Relay(job / 'stream', sys.stdout.buffer)
    runner = _chosen(job, options.runner, tests, init.JOB)
    command = _command(options, runner)
    code, reason = _EXIT_BROKEN, ''
    try:
        with uml.Guest(job, command, memory_mib=options.memory_mib) as guest:
            code = guest.wait(options.seconds, relay.pass_on)
            reason = f'the runner ended with {code} before its end\n'
            reason += guest.told()
    except uml.GuestError as exc:
        reason = str(exc)
    finally:
        relay.pass_on()
    missing = sorted(set(tests) - relay.ended())
    stream.fail(sys.stdout.buffer, missing, reason)
    if code:
        sys.stderr.write(f'{reason}\n')
    return code


def _command(options: argparse.Namespace, runner: list[str]) -> uml.Command:
    arguments = [sys.executable, '-m', 'tests.guest.inside', '--guest']
    arguments += ['--output', str(init.JOB / 'stream')]
    for name in options.service:
        arguments += ['--service', name]
    return uml.Command(
        arguments=[*arguments, '-m', *runner],
        environment=uml.environment(),
        directory=str(init.JOB / uml.TREE),
    )


if __name__ == '__main__':
    sys.exit(main())
