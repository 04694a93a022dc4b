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

"""What all steps share: the options, the images, the places."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from tests.bench import images
from tests.bench import place
from tests.bench import process
from tests.bench.tools import ours
from tests.bench.tools import tool


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """One call of the benchmark.

    ``program`` is None when only the peers are to be measured.
    """

    work: pathlib.Path
    images: images.Images
    run: process.Runner
    runs: int
    peers: frozenset[str]
    program: str | None

    def place(self, step: str, contender: str) -> place.Place:
        """Return the place of a contender of a step."""
        name = re.sub('[^a-z0-9]+', '-', f'{step} {contender}')
        return place.Place(self.work / 'run' / name)

    def ours(
        self, codec: str = 'zstd', *, chunk_size_bytes: int | None = None
    ) -> ours.Backupkit:
        """Return our own program with these options."""
        return ours.Backupkit(
            codec, chunk_size_bytes=chunk_size_bytes, program=self.program
        )

    def wants(self, each: tool.Tool) -> bool:
        """Tell whether a tool takes part."""
        if each.peer == ours.Backupkit.peer:
            return self.program is not None
        return each.peer in self.peers
