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


"""The flow of a restore: create, attach, write, detach, record."""

from __future__ import annotations

from taskflow.patterns import linear_flow

from backupkit.flows import environment
from backupkit.flows.tasks import destination
from backupkit.flows.tasks import source


def flow(
    backend: str, target: str, *, new: bool, reads_zero: bool
) -> linear_flow.Flow:
    """Return the tasks that write one backup to a volume.

    :param new: the volume is created first, and deleted again on failure
    :param reads_zero: the volume reads as zeros before it is written
    """
    env = environment.current()
    driver = env.drivers.volume_driver(backend)
    keeper = env.drivers.target(target)
    steps = linear_flow.Flow('restore')
    if new:
        steps.add(destination.CreateVolume(env, driver))
    steps.add(
        source.Attach(env, driver, writable=True),
        destination.BeginDestination(env, driver),
        destination.Write(env, keeper, reads_zero=reads_zero),
        source.Detach(env, driver),
        destination.RecordRestore(env, driver),
    )
    return steps
