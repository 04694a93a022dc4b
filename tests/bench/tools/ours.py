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

"""backupkit itself, through its command line."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
from typing import Any

from tests.bench import fault
from tests.bench import place
from tests.bench import process
from tests.bench.tools import tool

#: The backend that volumes are read from, and that restores go to.
SOURCE = 'local'
OUTPUT = 'out'

_CONFIGURATION = """\
[DEFAULT]
enabled_backends = {SOURCE}, {OUTPUT}
enabled_targets = repo
default_target = repo
state_path = {state}/state

[catalog]
connection = sqlite:///{state}/catalog.sqlite

[backend:{SOURCE}]
driver = file
volumes_dir = {source}
{source_options}

[backend:{OUTPUT}]
driver = file
volumes_dir = {output}

[target:repo]
driver = posix
backup_posix_path = {repository}
codec = {codec}
"""


class Backupkit(tool.Tool):
    """A posix target, with the defaults but for the codec."""

    peer = 'backupkit'
    package = 'backupkit'

    #: Further lines of the section that volumes are read from.
    source_options = ''

    def __init__(
        self,
        codec: str = 'zstd',
        *,
        chunk_size_bytes: int | None = None,
        program: str | None = None,
    ) -> None:
        self._codec = codec
        self._chunk_size_bytes = chunk_size_bytes
        self.name = f'backupkit {codec}'
        if chunk_size_bytes is not None:
            self.name += f' {chunk_size_bytes >> 10} KiB'
        self.program = program or installed()

    def check(self) -> None:
        if shutil.which(self.program) is None:
            raise fault.BenchError(
                f'{self.program} is missing: install this tree into the '
                'environment that runs the benchmark (pip install -e .), or '
                'name the program by --program'
            )

    def version(self) -> process.Command:
        return process.Command((self.program, '--version'))

    def initialize(self, where: place.Place, run: process.Runner) -> None:
        text = _CONFIGURATION.format(
            SOURCE=SOURCE,
            OUTPUT=OUTPUT,
            state=where.state,
            source=where.source,
            output=where.output,
            repository=self.repository(where),
            codec=self._codec,
            source_options=self.source_options,
        )
        if self._chunk_size_bytes is not None:
            text += f'chunk_size_bytes = {self._chunk_size_bytes}\n'
        configuration(where).write_text(text, 'utf-8')
        for directory in (where.state / 'state', self.repository(where)):
            directory.mkdir()

    def backup(
        self, where: place.Place, name: str, volume: str = place.VOLUME
    ) -> process.Command:
        return self.command(
            where,
            *('backup', 'create', f'{SOURCE}:{volume}'),
            *('--name', name, '-f', 'json'),
        )

    def restore(
        self, where: place.Place, name: str, receipt: str, *, over: bool
    ) -> process.Command:
        volume = f'{OUTPUT}:{place.VOLUME}'
        to = ('--to', volume, '--overwrite') if over else ('--new', volume)
        return self.command(
            where, 'backup', 'restore', backup_id(receipt), *to
        )

    def restore_beside(
        self, where: place.Place, identifier: str, volume: str
    ) -> process.Command:
        """Return the command that restores to a new volume of the source."""
        new = ('--new', f'{SOURCE}:{volume}')
        return self.command(where, 'backup', 'restore', identifier, *new)

    def repository(self, where: place.Place) -> pathlib.Path:
        return where.state / 'repository'

    def command(self, where: place.Place, *arguments: str) -> process.Command:
        """Return any command of ours on the configuration of a place."""
        config = ('--config-file', str(configuration(where)))
        return process.Command((self.program, *config, *arguments))


def installed() -> str:
    """Return the program beside the interpreter that runs us."""
    return str(pathlib.Path(sys.executable).with_name('backupkit'))


def backup_id(receipt: str) -> str:
    """Return the id from what ``backup create -f json`` printed."""
    record: dict[str, Any] = json.loads(receipt)
    return str(record['id'])


def configuration(where: place.Place) -> pathlib.Path:
    """Return the path of the configuration of a place."""
    return where.state / 'backupkit.conf'
