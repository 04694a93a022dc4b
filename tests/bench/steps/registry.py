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

"""All steps, in the order in which they run."""

from __future__ import annotations

from collections.abc import Collection

from tests.bench import fault
from tests.bench import images
from tests.bench.steps import chain
from tests.bench.steps import chunk_sizes
from tests.bench.steps import copies
from tests.bench.steps import huge
from tests.bench.steps import memory
from tests.bench.steps import population
from tests.bench.steps import qcow2
from tests.bench.steps import races
from tests.bench.steps import raws
from tests.bench.steps import shares
from tests.bench.steps import startup
from tests.bench.steps import step
from tests.bench.steps import swift


def steps() -> list[step.Step]:
    """Return all steps."""
    modules = (
        *(races, memory, huge, chain, population, startup, chunk_sizes),
        copies,
        shares,
        raws,
        qcow2,
        swift,
    )
    return [each for module in modules for each in module.steps()]


def select(
    names: list[str] | None, reading: list[str] | None
) -> list[step.Step]:
    """Return the steps of these names that read one of these images.

    :raises BenchError: there is no such step or image, or no step is left
    """
    known = {each.name: each for each in steps()}
    _require('step', names, known)
    _require('image', reading, images.NAMES)
    chosen = [known[name] for name in names or known]
    if reading is not None:
        chosen = [each for each in chosen if set(each.images) & set(reading)]
    if not chosen:
        raise fault.BenchError('none of these steps reads these images')
    return chosen


def _require(
    kind: str, names: list[str] | None, known: Collection[str]
) -> None:
    for name in names or ():
        if name not in known:
            raise fault.BenchError(
                f'no {kind} {name}; there are: {", ".join(known)}'
            )
