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

"""restic from 0.14, whose repositories compress."""

from __future__ import annotations

import pathlib

from tests.bench import place
from tests.bench import process
from tests.bench.tools import tool


class Restic(tool.Tool):
    """A local repository; restic always encrypts.

    A forced backup reads the volume though its times may not have changed.
    """

    peer = 'restic'
    program = 'restic'
    package = 'restic'

    def __init__(self, compression: str) -> None:
        self._compression = compression
        self.name = f'restic {compression}'

    def version(self) -> process.Command:
        return process.Command((self.program, 'version'))

    def initialize(self, where: place.Place, run: process.Runner) -> None:
        _password(where).write_text('benchmark\n', 'utf-8')
        run.run(self._command(where, 'init', '--repository-version', '2'))

    def backup(self, where: place.Place, name: str) -> process.Command:
        # restic syncs each of its files itself.
        return self._command(
            where,
            *('backup', '--force', '--tag', name),
            *('--compression', self._compression, place.VOLUME),
            cwd=where.source,
        )

    def restore(
        self, where: place.Place, name: str, receipt: str, *, over: bool
    ) -> process.Command:
        command = self._command(
            where,
            *('restore', 'latest', '--tag', name),
            *('--target', str(where.output)),
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
            'RESTIC_REPOSITORY': str(self.repository(where)),
            'RESTIC_PASSWORD_FILE': str(_password(where)),
            'RESTIC_CACHE_DIR': str(where.state / 'cache'),
        }
        return process.Command((self.program, *arguments), env, cwd)


def _password(where: place.Place) -> pathlib.Path:
    return where.state / 'password'
