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

"""Swift's own client, and backupkit with a target in the same Swift."""

from __future__ import annotations

import pathlib
import shutil
import sys
import uuid

from backupkit.repository import limits
from tests.bench import fault
from tests.bench import place
from tests.bench import process
from tests.bench.tools import ours
from tests.swift import cloud

#: Of our packs, by default; and so of the objects of the client.
OBJECT_BYTES = limits.DEFAULT_PACK_BYTES
#: Our default.
CONNECTIONS = 4

_TARGET = """\
driver = swift
container = {container}
auth_type = v1password
auth_url = {url}
username = {user}
password = {key}
connections = {connections}
pack_size_bytes = {size}
codec = """


class Client:
    """The program ``swift``, with one container at a time.

    :raises BenchError: it is missing
    """

    def __init__(self, running: cloud.Cloud) -> None:
        self._program = str(pathlib.Path(sys.executable).with_name('swift'))
        if shutil.which(self._program) is None:
            raise fault.BenchError(
                'swift is missing: pip install python-swiftclient'
            )
        self._url = running.auth_url
        self.container = ''

    def new_container(self) -> str:
        """Take a name that nobody has used."""
        self.container = f'bench-{uuid.uuid4().hex}'
        return self.container

    def command(self, *arguments: str) -> process.Command:
        """Return any command of the client."""
        login = ('-A', self._url, '-U', cloud.USER, '-K', cloud.KEY)
        return process.Command((self._program, *login, *arguments))

    def upload(self, directory: pathlib.Path) -> process.Command:
        """Return the command that uploads the files of a directory."""
        threads = ('--object-threads', str(CONNECTIONS))
        command = self.command('upload', *threads, self.container, '.')
        return process.Command(command.argv, cwd=directory)

    def download(self, directory: pathlib.Path) -> process.Command:
        """Return the command that fetches all, and makes it durable."""
        threads = ('--object-threads', str(CONNECTIONS))
        where = ('--output-dir', str(directory))
        command = self.command('download', *threads, *where, self.container)
        return command.durable(directory)

    def empty(self, run: process.Runner) -> None:
        """Delete the container and all that is in it."""
        if self.container:
            run.run(self.command('delete', self.container))
            self.container = ''


class Backupkit(ours.Backupkit):
    """Our program with a target in Swift."""

    def __init__(
        self, running: cloud.Cloud, codec: str, program: str | None
    ) -> None:
        super().__init__(codec, program=program)
        self._url = running.auth_url
        self.client = Client(running)

    def initialize(self, where: place.Place, run: process.Runner) -> None:
        super().initialize(where, run)
        path = ours.configuration(where)
        before, heading, _ = path.read_text().partition('[target:repo]\n')
        target = _TARGET.format(
            container=self.client.new_container(),
            url=self._url,
            user=cloud.USER,
            key=cloud.KEY,
            connections=CONNECTIONS,
            size=OBJECT_BYTES,
        )
        path.write_text(f'{before}{heading}{target}{self._codec}\n')
