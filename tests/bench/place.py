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

"""Where one contender keeps its things."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

from tests.bench import files

#: Every contender sees its volume under this name.
VOLUME = 'disk.img'


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A directory of a contender's own, removed when it is closed.

    ``state`` is all that the contender writes besides what it restores; it
    can be saved once and brought back before each repetition.
    """

    root: pathlib.Path

    @property
    def state(self) -> pathlib.Path:
        """Repository, caches, keys and configuration."""
        return self.root / 'state'

    @property
    def source(self) -> pathlib.Path:
        """The directory of the volume that is backed up."""
        return self.root / 'source'

    @property
    def output(self) -> pathlib.Path:
        """The directory into which a volume is restored."""
        return self.root / 'output'

    def clear(self) -> None:
        """Make the place as good as new."""
        self.close()
        for directory in (self.state, self.source, self.output):
            directory.mkdir(parents=True)

    def stage(self, image: pathlib.Path, name: str = VOLUME) -> None:
        """Let an image be the volume, without a copy."""
        volume = self.source / name
        volume.unlink(missing_ok=True)
        volume.hardlink_to(image)

    def empty_output(self) -> None:
        """Remove what was restored."""
        shutil.rmtree(self.output)
        self.output.mkdir()

    def save(self) -> None:
        """Keep the state as it is now; it must be brought back for use."""
        self.state.rename(self._saved)

    def bring_back(self) -> None:
        """Replace the state with a copy of the saved one."""
        if self.state.exists():
            shutil.rmtree(self.state)
        files.copy(self._saved, self.state)

    def close(self) -> None:
        """Remove everything; may be called twice."""
        if self.root.exists():
            shutil.rmtree(self.root)

    @property
    def _saved(self) -> pathlib.Path:
        return self.root / 'saved'
