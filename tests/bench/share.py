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

"""Backups to an NFS share beside dd(1), measured in a guest.

``python -m tests.bench.share REQUEST ANSWER`` is run there as the service
user, with a server on another machine of the guest. Both files are JSON.
All disks are the guest's memory, so that nothing but its one CPU limits.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tempfile
from typing import Any

from backupkit import conf as conf_
from backupkit import mounts
from tests.bench import fault
from tests.bench import files
from tests.bench import images
from tests.bench import process
from tests.guest import machine
from tests.guest import root
from tests.nfs import kernel
from tests.nfs import rights
from tests.nfs import server

DD = 'dd'
OURS = 'backupkit none'
_SECTION = 'target:repo'
_VOLUME = 'db01'
_CONFIGURATION = """\
[DEFAULT]
enabled_backends = local
enabled_targets = repo
default_target = repo
state_path = {root}/state
[catalog]
connection = sqlite:///{root}/catalog.sqlite
[backend:local]
driver = file
volumes_dir = {root}/volumes
[target:repo]
driver = nfs
codec = none
backup_nfs_share = {address}:{directory}
backup_nfs_mount_options = {options}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What to measure: each of the mounts, in turn, so many times."""

    size_bytes: int
    runs: int
    block_bytes: int
    mounts: list[str]


@dataclasses.dataclass(slots=True)
class Found:
    """What was found with one mount; ``options`` are the kernel's."""

    mount: str
    options: str = ''
    #: Of ours, in which the bytes of the volume move: from the first one
    #: read to the last one durable.
    moving_seconds: list[float] = dataclasses.field(default_factory=list)
    usages: dict[str, list[dict[str, Any]]] = dataclasses.field(
        default_factory=lambda: {DD: [], OURS: []}
    )


def main(request: str, answer: str) -> None:
    """Measure what is requested."""
    wanted = Request(**json.loads(pathlib.Path(request).read_text()))
    with tempfile.TemporaryDirectory() as made:
        found = _Bench(pathlib.Path(made), wanted).measure()
    plain = [dataclasses.asdict(each) for each in found]
    root.do(machine.write, answer, json.dumps(plain))


class _Bench:
    def __init__(self, place: pathlib.Path, wanted: Request) -> None:
        self._place = place
        self._wanted = wanted
        self._run = process.Runner(place / 'logs')
        self._volume = place / 'volumes' / _VOLUME
        self._volume.parent.mkdir()
        images.make_random(self._volume, wanted.size_bytes)
        # Room for two copies, and what a file system takes.
        size_mib = wanted.size_bytes * 5 // 2 >> 20
        self._exported = server.do(kernel.export, size_mib)

    def measure(self) -> list[Found]:
        found = [Found(mount) for mount in self._wanted.mounts]
        for number in range(self._wanted.runs):
            for each in found:
                self._round(each, number)
        return found

    def _round(self, found: Found, number: int) -> None:
        directory = server.do(kernel.make_directory, self._exported)
        rights.configure(
            _CONFIGURATION.format(
                root=self._place,
                address=kernel.ADDRESS,
                directory=directory,
                options=found.mount,
            )
        )
        conf = conf_.load([rights.CONFIGURATION])
        conf.register_opts(mounts.get_options(), group=_SECTION)
        mounts.configure(conf)
        # Mounted for both: it is the moving of bytes that is compared.
        with mounts.mounted(_SECTION, conf[_SECTION]) as mount:
            (mounted,) = server.mounts()
            found.options = ','.join(sorted(mounted.options))
            turns = [(DD, self._dd(mount.path)), (OURS, self._backup())]
            # Neither is always the one that comes first.
            for name, command in turns[:: 1 if number % 2 else -1]:
                files.warm(self._volume)
                usage = self._run.run(command)
                found.usages[name].append(dataclasses.asdict(usage))
                if name == OURS:
                    found.moving_seconds.append(self._moving_seconds())
        mounts.release()
        server.do(machine.run, 'rm', '-r', str(kernel.path(directory)))
        for name in ('catalog.sqlite', 'state'):
            self._run.run(
                process.Command(('rm', '-r', str(self._place / name)))
            )

    def _moving_seconds(self) -> float:
        """Return how long the last backup took for the volume's bytes."""
        lines = self._run.stderr().splitlines()
        events = [json.loads(line) for line in lines if line.startswith('{')]
        seconds = [
            float(event['elapsed_seconds'])
            for event in events
            if event['done_bytes'] == self._wanted.size_bytes
        ]
        if not seconds:
            raise fault.BenchError(f'no end of it in: {self._run.stderr()}')
        return max(seconds)

    def _dd(self, mount: str) -> process.Command:
        size = f'bs={self._wanted.block_bytes}'
        into = f'of={mount}/copy'
        return process.Command(
            ('dd', f'if={self._volume}', into, size, 'conv=fsync')
        )

    def _backup(self) -> process.Command:
        program = pathlib.Path(sys.executable).parent / 'backupkit'
        line = (str(program), f'--config-file={rights.CONFIGURATION}')
        return process.Command(
            (*line, '--progress=json', 'backup', 'create', f'local:{_VOLUME}')
        )


if __name__ == '__main__':
    main(*sys.argv[1:])
