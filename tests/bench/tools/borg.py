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

"""Borg 1.x."""

from __future__ import annotations

import pathlib

from tests.bench import place
from tests.bench import process
from tests.bench.tools import tool

#: What Borg's own documentation recommends for disk images; the only
#: chunker that knows holes.
_CHUNKER = 'fixed,1048576'


class Borg(tool.Tool):
    """A local repository without encryption, fixed chunks, holes skipped.

    The volume is read as a plain file: from stdin or a device Borg would
    have to read through the holes. The files cache is off, or Borg would
    not read an unchanged file at all.
    """

    peer = 'borg'
    program = 'borg'
    package = 'borgbackup'

    def __init__(self, compression: str) -> None:
        self._compression = compression
        self.name = f'borg {compression}'

    def version(self) -> process.Command:
        return process.Command((self.program, '--version'))

    def initialize(self, where: place.Place, run: process.Runner) -> None:
        run.run(self._command(where, 'init', '--encryption', 'none'))

    def backup(self, where: place.Place, name: str) -> process.Command:
        # Borg syncs each segment and the commit itself.
        return self._command(
            where,
            *('create', '--sparse', '--files-cache', 'disabled'),
            *('--chunker-params', _CHUNKER),
            *('--compression', self._compression),
            *(f'::{name}', place.VOLUME),
            cwd=where.source,
        )

    def restore(
        self, where: place.Place, name: str, receipt: str, *, over: bool
    ) -> process.Command:
        command = self._command(
            where, 'extract', '--sparse', f'::{name}', cwd=where.output
        )
        return command.durable(where.output)

    def repository(self, where: place.Place) -> pathlib.Path:
        return where.state / 'repository'

    def _command(
        self,
        where: place.Place,
        *arguments: str,
        cwd: pathlib.Path | None = None,
    ) -> process.Command:
        env = {
            'BORG_BASE_DIR': str(where.state / 'base'),
            'BORG_REPO': str(self.repository(where)),
            'BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK': 'yes',
            'BORG_RELOCATED_REPO_ACCESS_IS_OK': 'yes',
        }
        return process.Command((self.program, *arguments), env, cwd)
