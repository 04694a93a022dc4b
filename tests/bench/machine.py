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

"""What the numbers were measured on."""

from __future__ import annotations

from collections.abc import Iterable
import os
import pathlib
import platform
import subprocess

from tests.bench import process
from tests.bench.tools import tool


def describe(
    work: pathlib.Path, tools: Iterable[tool.Tool], run: process.Runner
) -> dict[str, str]:
    """Return the facts of the machine and the versions of all tools."""
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    found = {
        'processors': str(len(os.sched_getaffinity(0))),
        'processor': _processor(),
        'memory': f'{pages / (1 << 30):.0f} GiB',
        'kernel': platform.release(),
        'python': platform.python_version(),
        'file system': _file_system(work),
    }
    for each in tools:
        run.run(each.version())
        found[each.peer] = (run.stdout() + run.stderr()).splitlines()[0]
    return found


def _processor() -> str:
    for line in pathlib.Path('/proc/cpuinfo').read_text('utf-8').splitlines():
        key, _, value = line.partition(':')
        if key.strip() == 'model name':
            return value.strip()
    return platform.machine()


def _file_system(path: pathlib.Path) -> str:
    done = subprocess.run(
        ('stat', '-f', '-c', '%T', '--', path),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
