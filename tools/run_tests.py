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

What fails is told when it fails, then all names of it once more, and last
a line such as ``unit: 812 passed, 0 failed, 3 skipped``. Where stestr ended
before it began (a test module that cannot be imported, say), that counts as
a failure.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys
from typing import Any

import subunit
import testtools
from testtools.testresult import real

OUTCOMES = {'success': 'passed', 'xfail': 'passed', 'skip': 'skipped'}

_WIDTH = 79


class Reporter(testtools.StreamToDict):
    """Prints a character for each test that ends, and each failure whole.

    What is in the stream and is no result, an error of stestr say, is
    printed as it is.
    """

    def __init__(self) -> None:
        super().__init__(self._take)
        self.counts: collections.Counter[str] = collections.Counter()
        self.failed: list[str] = []
        self._known: dict[str, None] = {}
        self._column = 0

    def status(self, *args: Any, **fields: Any) -> None:
        if fields.get('test_id') is None and fields.get('file_bytes'):
            print(bytes(fields['file_bytes']).decode(), end='', flush=True)
        super().status(*args, **fields)

    def stopTestRun(self) -> None:
        super().stopTestRun()
        for name in self._known:
            self._fail(name, 'never begun')

    def _take(self, test: real.TestDict) -> None:
        name, status = test['id'], str(test['status'])
        if status == 'exists':
            self._known[name] = None
            return
        self._known.pop(name, None)
        outcome = OUTCOMES.get(status)
        if outcome:
            self._mark(outcome)
            return
        self._fail(name, 'never ended' if status == 'inprogress' else status)
        for title, detail in sorted(test['details'].items()):
            if detail.content_type.type == 'text' and detail.as_text():
                print(f'-- {title}\n{detail.as_text()}')

    def _fail(self, name: str, why: str) -> None:
        self.counts['failed'] += 1
        self.failed.append(name)
        self._column = 0
        print(f'\nFAILED {name}: {why}', flush=True)

    def _mark(self, outcome: str) -> None:
        self.counts[outcome] += 1
        self._column += 1
        end = '\n' if self._column % _WIDTH == 0 else ''
        print('s' if outcome == 'skipped' else '.', end=end, flush=True)


def run(arguments: list[str]) -> tuple[int, Reporter]:
    """Run ``stestr run``; return its exit code, and what it told."""
    reporter = Reporter()
    verb = arguments.index('run') + 1
    command = [*arguments[:verb], '--subunit', *arguments[verb:]]
    with subprocess.Popen(
        [sys.executable, '-m', 'stestr', *command], stdout=subprocess.PIPE
    ) as process:
        reporter.startTestRun()
        stream = subunit.ByteStreamToStreamResult(
            process.stdout, non_subunit_name='stdout'
        )
        stream.run(reporter)
        reporter.stopTestRun()
    return process.returncode, reporter


def main(arguments: list[str]) -> int:
    """Run ``stestr`` and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name', help='word that the last line begins with')
    parser.add_argument('stestr', nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if 'run' not in options.stestr:
        parser.error("stestr's arguments lack its command, run")
    code, reporter = run(options.stestr)
    counts = reporter.counts
    if not counts.total():
        counts['failed'] = 1
    # These lines stand alone: what came before need not end with one.
    print('', *(f'failed: {name}' for name in reporter.failed), sep='\n')
    print(
        f'{options.name}: {counts["passed"]} passed, '
        f'{counts["failed"]} failed, {counts["skipped"]} skipped',
        flush=True,
    )
    return code or int(counts['failed'] > 0)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
