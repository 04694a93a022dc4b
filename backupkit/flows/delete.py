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


"""The flow of a delete, which only goes forward.

A delete that was interrupted leaves the backup as *deleting*; the next one
goes on with it. Where the target refused, and so has done nothing, the
backup is what it was before.
"""

from __future__ import annotations

from taskflow.patterns import linear_flow

from backupkit.flows import environment
from backupkit.flows.tasks import upkeep


def flow(target: str) -> linear_flow.Flow:
    """Return the tasks that delete one backup."""
    env = environment.current()
    keeper = env.drivers.target(target)
    steps = linear_flow.Flow('delete')
    steps.add(
        upkeep.BeginDelete(env, keeper),
        upkeep.Delete(env, keeper),
        upkeep.RecordDelete(env),
    )
    return steps
