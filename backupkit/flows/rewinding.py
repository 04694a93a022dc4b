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

"""Which steps of a flow are done again when another process goes on.

An attachment belongs to a host and a boot: it is made anew for what is
still to be done with it. And what was noted of a volume before it was read
is noted anew, if it is going to be read anew.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from taskflow import states

#: A step, and the one with whose end it has served its purpose.
_SERVING = {
    'attach': 'detach',
    'fingerprint': 'copy',
}


def stale(storage: Any, steps: Collection[str]) -> list[str]:
    """Return the steps that were done, or begun, and must be done again.

    None of a flow that is being reverted.

    :param steps: all that the flow has
    """
    told = {name: str(storage.get_atom_state(name)) for name in steps}
    if not {*told.values()} <= {
        states.PENDING,
        states.RUNNING,
        states.SUCCESS,
    }:
        return []
    again = [
        step
        for step, end in _SERVING.items()
        if told.get(step) == states.SUCCESS and told.get(end) != states.SUCCESS
    ]
    if again:
        # It is begun when those before it are done.
        again += [name for name in steps if told[name] == states.RUNNING]
    return again
