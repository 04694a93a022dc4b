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

"""One selectable part of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from tests.bench import report
from tests.bench import session


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A step, the images it reads, and what runs it.

    ``races`` says that it means something with peers alone; ``needs_root``
    that it mounts something.
    """

    name: str
    title: str
    images: tuple[str, ...]
    measure: Callable[[session.Session], report.StepReport]
    races: bool = False
    needs_root: bool = False
