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


"""The flow of a verify: check at the target, record what is found."""

from __future__ import annotations

from taskflow.patterns import linear_flow

from backupkit.flows import environment
from backupkit.flows.tasks import upkeep


def flow(target: str) -> linear_flow.Flow:
    """Return the tasks that verify one backup."""
    env = environment.current()
    steps = linear_flow.Flow('verify')
    steps.add(
        upkeep.Verify(env, env.drivers.target(target)),
        upkeep.RecordVerify(env),
    )
    return steps
