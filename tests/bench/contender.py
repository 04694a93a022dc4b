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

"""A tool set to one task, repeated as often as the race wants."""

from __future__ import annotations

import abc
import pathlib

from tests.bench import fault
from tests.bench import files
from tests.bench import place
from tests.bench import process
from tests.bench.tools import tool

_FIRST = 'first'
_NEXT = 'next'


class Contender(abc.ABC):
    """What is timed is ``command`` alone; the rest is free.

    ``setup`` is called once, then ``prepare``, the command and ``after``
    in turn for each repetition, at last ``close``.
    """

    def __init__(
        self, contending: tool.Tool, where: place.Place, run: process.Runner
    ) -> None:
        self._tool = contending
        self._place = where
        self._run = run
        self.name = contending.name

    def setup(self) -> None:
        """Make what all repetitions start from."""
        self._place.clear()

    @abc.abstractmethod
    def prepare(self) -> None:
        """Bring things to the state that the command starts from."""

    @abc.abstractmethod
    def command(self) -> process.Command:
        """Return what is timed."""

    @abc.abstractmethod
    def reads(self) -> pathlib.Path:
        """Return the file or tree that the command reads."""

    @abc.abstractmethod
    def after(self) -> dict[str, float]:
        """Check what the command did, undo it, and return facts of it."""

    def close(self) -> None:
        """Remove everything; may be called twice."""
        self._place.close()

    def _stored_bytes(self) -> int:
        return files.tree_bytes(self._tool.repository(self._place))

    def _first_backup(self, image: pathlib.Path) -> str:
        self._tool.initialize(self._place, self._run)
        self._place.stage(image)
        self._run.run(self._tool.backup(self._place, _FIRST))
        return self._run.stdout()


class FullBackup(Contender):
    """The first backup in an empty repository."""

    def __init__(
        self,
        contending: tool.Tool,
        where: place.Place,
        run: process.Runner,
        image: pathlib.Path,
    ) -> None:
        super().__init__(contending, where, run)
        self._image = image

    def prepare(self) -> None:
        self._place.clear()
        self._tool.initialize(self._place, self._run)
        self._place.stage(self._image)

    def command(self) -> process.Command:
        return self._tool.backup(self._place, _FIRST)

    def reads(self) -> pathlib.Path:
        return self._image

    def after(self) -> dict[str, float]:
        stored_bytes = self._stored_bytes()
        self._place.clear()
        return {'stored_bytes': stored_bytes}


class NextBackup(Contender):
    """The second backup of a volume that has changed a little."""

    def __init__(
        self,
        contending: tool.Tool,
        where: place.Place,
        run: process.Runner,
        first: pathlib.Path,
        changed: pathlib.Path,
    ) -> None:
        super().__init__(contending, where, run)
        self._first = first
        self._first_bytes = 0
        self._changed = changed

    def setup(self) -> None:
        super().setup()
        self._first_backup(self._first)
        self._first_bytes = self._stored_bytes()
        self._place.save()

    def prepare(self) -> None:
        self._place.bring_back()
        self._place.stage(self._changed)

    def command(self) -> process.Command:
        return self._tool.backup(self._place, _NEXT)

    def reads(self) -> pathlib.Path:
        return self._changed

    def after(self) -> dict[str, float]:
        return {'added_bytes': self._stored_bytes() - self._first_bytes}


class Restore(Contender):
    """The restore of a volume, whose bytes are compared once."""

    def __init__(
        self,
        contending: tool.Tool,
        where: place.Place,
        run: process.Runner,
        image: pathlib.Path,
        *,
        over: pathlib.Path | None = None,
    ) -> None:
        """Take what is to be restored.

        :param over: what the destination holds before, if it exists
        """
        super().__init__(contending, where, run)
        self._image = image
        self._over = over
        self._receipt = ''
        self._compared = False

    def setup(self) -> None:
        super().setup()
        self._receipt = self._first_backup(self._image)

    def prepare(self) -> None:
        self._place.empty_output()
        if self._over is not None:
            files.copy(self._over, self._restored)

    def command(self) -> process.Command:
        return self._tool.restore(
            self._place,
            _FIRST,
            self._receipt,
            over=self._over is not None,
        )

    def reads(self) -> pathlib.Path:
        return self._tool.repository(self._place)

    def after(self) -> dict[str, float]:
        if not self._compared:
            if files.digest(self._restored) != files.digest(self._image):
                raise fault.BenchError(
                    f'{self.name} did not restore what it backed up'
                )
            self._compared = True
        self._place.empty_output()
        return {}

    @property
    def _restored(self) -> pathlib.Path:
        return self._place.output / place.VOLUME
