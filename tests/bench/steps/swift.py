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

"""A target in Swift on loopback, beside Swift's own client.

The client moves objects of the size of our packs, as many at a time as we
do. The servers are on the same machine, and what they take is in the time
of both.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import importlib.util
import pathlib
import shutil
import tempfile

from tests.bench import contender
from tests.bench import fault
from tests.bench import files
from tests.bench import images
from tests.bench import place
from tests.bench import process
from tests.bench import race
from tests.bench import report
from tests.bench import session
from tests.bench.steps import step
from tests.bench.tools import swift
from tests.swift import cloud as cloud_

#: We move at no less than 0.8 times the rate of the client.
_LIMIT = 1 / 0.8
#: So much that what a process takes to start is little of it.
_MOST_BYTES = 2 << 30
#: All of it is in the memory of the servers, once for each contender; more
#: than half of theirs is left alone.
_ROOM_TIMES = 4
_IMAGES = {'none': 'random', 'zstd': 'realistic'}


def steps() -> list[step.Step]:
    """Return the steps."""
    return [
        step.Step(f'swift-{codec}', _title(codec), (), _measurer(codec))
        for codec in _IMAGES
    ]


def _title(codec: str) -> str:
    return f'backup to Swift on loopback and back, {codec}'


def _measurer(
    codec: str,
) -> Callable[[session.Session], report.StepReport]:
    def measure(using: session.Session) -> report.StepReport:
        return _measure(using, codec)

    return measure


def _measure(using: session.Session, codec: str) -> report.StepReport:
    if importlib.util.find_spec('swift') is None:
        raise fault.BenchError(
            'Swift is missing: pip install -r tests/swift/requirements.txt'
        )
    size = min(using.images.size_bytes, _MOST_BYTES, _room())
    image = images.Images(using.work / 'images', size).path(_IMAGES[codec])
    name = f'swift-{codec}'
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(
            tempfile.TemporaryDirectory(dir=cloud_.place())
        )
        running = cloud_.Cloud(pathlib.Path(root))
        stack.callback(running.stop)
        running.start()
        tool = swift.Backupkit(running, codec, using.program)
        client = swift.Client(running)
        where = using.place(name, 'backupkit')
        other = using.place(name, 'client')
        up = race.race(
            [
                _Upload(client, other, using.run, image),
                _Backup(tool, where, using.run, image),
            ],
            using.runs,
            using.run,
        )
        down = race.race(
            [
                _Download(client, other, using.run, image),
                _Restore(tool, where, using.run, image),
            ],
            using.runs,
            using.run,
        )
    checks = [
        report.wall_ratio(mine, theirs, _LIMIT) for theirs, mine in (up, down)
    ]
    return report.StepReport(name, _title(codec), [*up, *down], checks)


def _room() -> int:
    """Return how many bytes one contender may keep in the servers."""
    free = shutil.disk_usage(cloud_.place() or tempfile.gettempdir()).free
    return free // _ROOM_TIMES >> 20 << 20


class _Backup(contender.FullBackup):
    """Our first backup, in an empty container."""

    def __init__(
        self,
        tool: swift.Backupkit,
        where: place.Place,
        run: process.Runner,
        image: pathlib.Path,
    ) -> None:
        super().__init__(tool, where, run, image)
        self._client = tool.client
        self.name = f'{tool.name}, swift'

    def after(self) -> dict[str, float]:
        self._client.empty(self._run)
        self._place.clear()
        return {}


class _Restore(contender.Restore):
    """The restore of that backup."""

    def __init__(
        self,
        tool: swift.Backupkit,
        where: place.Place,
        run: process.Runner,
        image: pathlib.Path,
    ) -> None:
        super().__init__(tool, where, run, image)
        self._client = tool.client
        self.name = f'{tool.name}, swift, restore'

    def close(self) -> None:
        self._client.empty(self._run)
        super().close()


class _Upload(contender.Contender):
    """The client, with the image in pieces."""

    title = 'swift upload'

    def __init__(
        self,
        client: swift.Client,
        where: place.Place,
        run: process.Runner,
        image: pathlib.Path,
    ) -> None:
        # The client knows no volumes, so it is no tool as the others are.
        self._client = client
        self._place = where
        self._run = run
        self._image = image
        self.name = self.title

    def setup(self) -> None:
        """Cut the image into pieces."""
        self._place.clear()
        with self._image.open('rb') as file:
            number = 0
            while piece := file.read(swift.OBJECT_BYTES):
                path = self._place.source / f'{number:08}'
                path.write_bytes(piece)
                number += 1

    def prepare(self) -> None:
        self._client.new_container()

    def command(self) -> process.Command:
        return self._client.upload(self._place.source)

    def reads(self) -> pathlib.Path:
        return self._place.source

    def after(self) -> dict[str, float]:
        """Make room in the servers."""
        self._client.empty(self._run)
        return {}

    def close(self) -> None:
        self._client.empty(self._run)
        super().close()


class _Download(_Upload):
    """The client, fetching what it had uploaded."""

    title = 'swift download'

    def setup(self) -> None:
        """Upload what is then fetched."""
        super().setup()
        self._client.new_container()
        self._run.run(self._client.upload(self._place.source))

    def prepare(self) -> None:
        self._place.empty_output()

    def command(self) -> process.Command:
        return self._client.download(self._place.output)

    def after(self) -> dict[str, float]:
        """Check what was fetched."""
        for path in self._place.source.iterdir():
            fetched = self._place.output / path.name
            if files.digest(fetched) != files.digest(path):
                raise fault.BenchError(f'swift fetched {path.name} wrongly')
        return {}
