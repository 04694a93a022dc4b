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

"""backupkit and qemu-img where both copy a raw image to a raw image."""

from __future__ import annotations

import pathlib

from tests.bench import place
from tests.bench import process
from tests.bench.tools import ours
from tests.bench.tools import qemu

_HEAD = """\
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
storage_pool = source

[backend:{OUTPUT}]
driver = file
volumes_dir = {output}
storage_pool = output
"""

_VOLUME = """
[backend:place]
driver = file
volumes_dir = {repository}
storage_pool = place

[target:repo]
driver = volume
backend = place
offload = none
"""

_IMAGE = """
[target:repo]
driver = posix
backup_posix_path = {repository}
storage_pool = place
layout = image
offload = {offload}
"""


class _Raw(ours.Backupkit):
    """Keeps each backup as a raw image."""

    target: str

    def initialize(self, where: place.Place, run: process.Runner) -> None:
        text = (_HEAD + self.target).format(
            SOURCE=ours.SOURCE,
            OUTPUT=ours.OUTPUT,
            state=where.state,
            source=where.source,
            output=where.output,
            repository=self.repository(where),
        )
        ours.configuration(where).write_text(text, 'utf-8')
        for directory in (where.state / 'state', self.repository(where)):
            directory.mkdir()


class VolumeTarget(_Raw):
    """A ``volume`` target on another directory, which reads every byte."""

    target = _VOLUME

    def __init__(self, program: str | None) -> None:
        super().__init__(program=program)
        self.name = 'backupkit volume'


class ImageTarget(_Raw):
    """A ``posix`` target of the layout ``image``.

    :param offload: its option of that name
    """

    def __init__(self, program: str | None, offload: str) -> None:
        super().__init__(program=program)
        self.name = f'backupkit image, {offload}'
        self.target = _IMAGE.replace('{offload}', offload)


class QemuRaw(qemu.QemuImg):
    """Raw to raw and back, in any order, eight requests at a time."""

    def __init__(self) -> None:
        super().__init__('raw')
        self.name = 'qemu-img raw -W -m 8'

    def backup(self, where: place.Place, name: str) -> process.Command:
        return self._convert(
            where.source / place.VOLUME, self.repository(where)
        ).durable(where.state)

    def restore(
        self, where: place.Place, name: str, receipt: str, *, over: bool
    ) -> process.Command:
        return self._convert(
            self.repository(where), where.output / place.VOLUME
        ).durable(where.output)

    def repository(self, where: place.Place) -> pathlib.Path:
        return where.state / 'disk.raw'

    def _convert(
        self, source: pathlib.Path, destination: pathlib.Path
    ) -> process.Command:
        formats = ('-f', 'raw', '-O', 'raw', '-W', '-m', '8')
        return process.Command(
            (
                *(self.program, 'convert', *formats),
                *(str(source), str(destination)),
            )
        )
