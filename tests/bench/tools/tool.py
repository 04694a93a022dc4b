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

"""What the benchmark asks of a backup tool."""

from __future__ import annotations

import abc
import pathlib
import shutil

from tests.bench import fault
from tests.bench import place
from tests.bench import process


class Tool(abc.ABC):
    """A program with the options it races with.

    Commands must leave their data durable when they end, and read a volume
    as if nobody had told them what changed in it.
    """

    #: How reports and limits call it.
    name: str
    #: The name that the option ``--peers`` knows.
    peer: str
    program: str
    package: str

    def check(self) -> None:
        """Find the program.

        :raises BenchError: it is missing
        """
        if shutil.which(self.program) is None:
            raise fault.BenchError(
                f'{self.program} is missing: install the package '
                f'{self.package}, or leave {self.peer} out of --peers'
            )

    @abc.abstractmethod
    def version(self) -> process.Command:
        """Return the command that prints the version on its first line."""

    @abc.abstractmethod
    def initialize(self, where: place.Place, run: process.Runner) -> None:
        """Make an empty repository in a cleared place."""

    @abc.abstractmethod
    def backup(self, where: place.Place, name: str) -> process.Command:
        """Return the command that backs up the staged volume."""

    @abc.abstractmethod
    def restore(
        self, where: place.Place, name: str, receipt: str, *, over: bool
    ) -> process.Command:
        """Return the command that restores a backup.

        :param receipt: what the backup's command printed
        :param over: a volume is there already, and is to be overwritten
        """

    @abc.abstractmethod
    def repository(self, where: place.Place) -> pathlib.Path:
        """Return the file or directory that holds all stored data."""
