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


"""The flow of a backup: snapshot, attach, copy, detach, record."""

from __future__ import annotations

from taskflow.patterns import linear_flow

from backupkit.flows import environment
from backupkit.flows.tasks import checkpoint as checkpoint_
from backupkit.flows.tasks import copying
from backupkit.flows.tasks import source


def flow(
    backend: str,
    target: str,
    *,
    snapshot: bool,
    compare: bool,
    checkpoint: bool = False,
) -> linear_flow.Flow:
    """Return the tasks that make one backup.

    :param snapshot: the volume is read through a snapshot
    :param compare: the volume itself is read, and asked before and after
        whether it changed
    :param checkpoint: what tells later what changed since is kept
    """
    env = environment.current()
    driver = env.drivers.volume_driver(backend)
    keeper = env.drivers.target(target)
    steps = linear_flow.Flow('backup')
    if snapshot:
        steps.add(source.Snapshot(env, driver))
    elif checkpoint:
        steps.add(checkpoint_.KeepCheckpoint(env, driver, keeper))
    steps.add(source.Attach(env, driver))
    if compare:
        steps.add(source.Fingerprint(env, driver))
    steps.add(copying.Copy(env, driver, keeper, steady=snapshot))
    if compare:
        steps.add(source.Compare(env, driver))
    steps.add(source.Detach(env, driver))
    if snapshot and checkpoint:
        steps.add(checkpoint_.KeepCheckpoint(env, driver, keeper))
    elif snapshot:
        steps.add(source.DeleteSnapshot(env, driver))
    steps.add(copying.Record(env, keeper))
    if checkpoint:
        steps.add(checkpoint_.SettleCheckpoint(env, driver, keeper))
    return steps
