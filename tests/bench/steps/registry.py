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

from tests.bench import fault
from tests.bench.steps import races
from tests.bench.steps import step


def steps() -> list[step.Step]:
    """Return all steps."""
    return [*races.steps()]


def select(
    names: list[str] | None, images: list[str] | None
) -> list[step.Step]:
    """Return the steps of these names that read one of these images.

    :raises BenchError: there is no such step, or no step is left
    """
    known = {each.name: each for each in steps()}
    for name in names or ():
        if name not in known:
            raise fault.BenchError(
                f'no step {name}; there are: {", ".join(known)}'
            )
    chosen = [known[name] for name in names or known]
    if images is not None:
        chosen = [each for each in chosen if set(each.images) & set(images)]
    if not chosen:
        raise fault.BenchError('no step reads any of these images')
    return chosen
