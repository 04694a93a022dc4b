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

"""What the interpreter takes with the imports of a backup, and no more."""

from __future__ import annotations

import pathlib

from tests.bench import fault
from tests.bench import place
from tests.bench import process
from tests.bench.tools import ours

_VOLUME_BYTES = 1 << 20

#: Makes CPython tell on stderr what it imports, one module a line.
_TELL_IMPORTS = {'PYTHONPROFILEIMPORTTIME': '1'}

#: Our entry points keep eventlet out before anything else; so must this.
_IMPORT_ALL = """\
import importlib, sys
sys.modules['eventlet'] = None
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""


def imports_bytes(
    tool: ours.Backupkit, where: place.Place, run: process.Runner
) -> int:
    """Return the peak memory of a process that only imports.

    It imports what a real backup of a small volume is seen to import.
    """
    where.clear()
    try:
        tool.initialize(where, run)
        volume = where.source / place.VOLUME
        volume.write_bytes(bytes(range(1, 256)) * (_VOLUME_BYTES // 255))
        backup = tool.backup(where, 'baseline')
        run.run(process.Command(backup.argv, _TELL_IMPORTS))
        names = _imported(run.stderr())
        interpreter = _interpreter(tool.program)
        usage = run.run(
            process.Command(
                (interpreter, '-c', _IMPORT_ALL, *names), cwd=where.root
            )
        )
    finally:
        where.close()
    return usage.peak_bytes


def _imported(profile: str) -> list[str]:
    """Return the modules that no other module imported, in order.

    The others come with them, in the order that they stand: some cannot be
    imported by themselves.
    """
    names = [
        line.rpartition('|')[2].removeprefix(' ')
        for line in profile.splitlines()
        if line.startswith('import time:')
    ]
    # The first line is the heading of the columns.
    return [name for name in names[1:] if not name.startswith(' ')]


def _interpreter(program: str) -> str:
    with pathlib.Path(program).open('rb') as file:
        first = file.readline().decode('utf-8', 'replace').strip()
    if not first.startswith('#!') or 'python' not in first:
        raise fault.BenchError(f'{program} is not a Python script')
    return first.removeprefix('#!').strip()
