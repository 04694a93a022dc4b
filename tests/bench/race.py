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

"""Runs contenders in turn: A B C A B C, never A A B B."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import os

from tests.bench import contender
from tests.bench import files
from tests.bench import process
from tests.bench import report


def race(
    contenders: Sequence[contender.Contender],
    runs: int,
    run: process.Runner,
) -> list[report.Series]:
    """Repeat all contenders so many times, and return what each took.

    Before each command everything written so far is made durable, so that
    no one pays for another's writes, and what it will read is read once,
    so that all find it in memory.
    """
    series = [report.Series(each.name) for each in contenders]
    with contextlib.ExitStack() as stack:
        for each in contenders:
            stack.callback(each.close)
            each.setup()
        for _ in range(runs):
            for each, results in zip(contenders, series, strict=True):
                results.usages.append(_one(each, run))
                results.facts.update(each.after())
    return series


def _one(each: contender.Contender, run: process.Runner) -> process.Usage:
    each.prepare()
    command = each.command()
    files.warm(each.reads())
    os.sync()
    return run.run(command)
