# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Run tests with stestr and close with a plain line of their numbers.

The line reads ``unit: 812 passed, 0 failed, 3 skipped``. Its numbers are of
this very run: where stestr ended before it began one (a test module that
cannot be imported, say), that counts as a failure.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys

from stestr.repository import abstract
from stestr.repository import util
import testtools
from testtools.testresult import real

OUTCOMES = {'success': 'passed', 'xfail': 'passed', 'skip': 'skipped'}


def last_run() -> str:
    """Return the id of the last run, or nothing where there is none."""
    try:
        return str(util.get_repo_open().latest_id())
    except (abstract.RepositoryNotFound, KeyError):
        return ''


def count() -> collections.Counter[str]:
    """Return how often each outcome came in the last run."""
    counts: collections.Counter[str] = collections.Counter()

    def add(test: real.TestDict) -> None:
        # A test that never ended took its worker down with it: it failed.
        counts[OUTCOMES.get(test['status'], 'failed')] += 1

    result = testtools.StreamToDict(add)
    result.startTestRun()
    util.get_repo_open().get_latest_run().get_test().run(result)
    result.stopTestRun()
    return counts


def _shortened(arguments: list[str]) -> list[str]:
    """Return stestr's arguments, for a log where nobody watches.

    Only what failed is told there, and at the end, where a log that was
    cut still has it.
    """
    verb, *rest = arguments
    if verb != 'run' and 'run' in rest:
        at = arguments.index('run') + 1
    else:
        at = 1
    if sys.stdout.isatty():
        return arguments
    return [*arguments[:at], '--abbreviate', *arguments[at:]]


def main(arguments: list[str]) -> int:
    """Run ``stestr`` and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name', help='word that the last line begins with')
    parser.add_argument('stestr', nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    before = last_run()
    code = subprocess.call(
        [sys.executable, '-m', 'stestr', *_shortened(options.stestr)]
    )
    began = last_run() != before
    counts = count() if began else collections.Counter(failed=1)
    # The line must stand alone, and not all that stestr says ends with one.
    print(
        f'\n{options.name}: {counts["passed"]} passed, '
        f'{counts["failed"]} failed, {counts["skipped"]} skipped',
        flush=True,
    )
    return code or int(counts['failed'] > 0)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
