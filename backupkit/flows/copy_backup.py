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

"""The flow of a copy from one target to another: copy, record.

The volume is not asked for anything: it may be gone.
"""

from __future__ import annotations

from taskflow.patterns import linear_flow

from backupkit.flows import environment
from backupkit.flows.tasks import copying


def flow(source: str, target: str) -> linear_flow.Flow:
    """Return the tasks that copy one backup.

    :param source: the target that has it
    :param target: the one that is to have it too
    """
    env = environment.current()
    keeper = env.drivers.target(target)
    steps = linear_flow.Flow('copy')
    steps.add(
        copying.Replicate(env, env.drivers.target(source), keeper),
        copying.Record(env, keeper),
    )
    return steps
