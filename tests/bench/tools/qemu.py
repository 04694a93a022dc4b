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

"""qemu-img, which copies an image and keeps nothing else."""

from __future__ import annotations

import pathlib

from tests.bench import place
from tests.bench import process
from tests.bench.tools import tool


class QemuImg(tool.Tool):
    """Raw to qcow2 and back, with the formats always given."""

    peer = 'qemu-img'
    program = 'qemu-img'
    package = 'qemu-utils'

    def __init__(self, compression: str, *, unordered: bool = False) -> None:
        """Take what to compress with, and the order of writes.

        :param unordered: write as data comes, not from start to end; this
            is quicker, but not what ``convert`` does unasked
        """
        self.name = f'qemu-img {compression}'
        self._order: tuple[str, ...] = ()
        if unordered:
            self.name += ' -W'
            self._order = ('-W',)
        self._compress: tuple[str, ...] = ()
        if compression != 'none':
            self._compress = ('-c', '-o', f'compression_type={compression}')

    def version(self) -> process.Command:
        return process.Command((self.program, '--version'))

    def initialize(self, where: place.Place, run: process.Runner) -> None:
        pass

    def backup(self, where: place.Place, name: str) -> process.Command:
        command = process.Command(
            (
                *(self.program, 'convert', '-f', 'raw', '-O', 'qcow2'),
                *self._order,
                *self._compress,
                str(where.source / place.VOLUME),
                str(self.repository(where)),
            )
        )
        return command.durable(where.state)

    def restore(
        self, where: place.Place, name: str, receipt: str, *, over: bool
    ) -> process.Command:
        existing = ('-n',) if over else ()
        command = process.Command(
            (
                *(self.program, 'convert', '-f', 'qcow2', '-O', 'raw'),
                *self._order,
                *existing,
                str(self.repository(where)),
                str(where.output / place.VOLUME),
            )
        )
        return command.durable(where.output)

    def repository(self, where: place.Place) -> pathlib.Path:
        return where.state / 'disk.qcow2'
