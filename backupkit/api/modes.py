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


"""Whether a snapshot of a volume is read, or the volume itself."""

from __future__ import annotations

import enum

from backupkit.drivers import capability
from backupkit import errors
from backupkit import model


class Mode(enum.StrEnum):
    """Whether a volume may be in use while it is backed up."""

    AUTO = 'auto'
    #: It may: it is read through a snapshot.
    HOT = 'hot'
    #: It must not: it is read itself.
    COLD = 'cold'


def through_snapshot(
    able: capability.VolumeCapabilities,
    volume: model.Volume,
    ref: model.VolumeRef,
    mode: Mode,
) -> bool:
    """Tell whether a snapshot of the volume is read, and not itself.

    :raises errors.InUse: it is in use, and must not be
    :raises errors.NotSupported: there can be no snapshot, and must be one
    """
    if mode == Mode.COLD:
        if volume.in_use:
            raise errors.InUse(
                f'volume {ref} is in use: for a cold backup detach it, or '
                'close it; or back it up with --mode hot'
            )
        return False
    snapshots = able.snapshots and volume.snapshots
    if snapshots and (able.online_snapshots or not volume.in_use):
        return True
    if mode == Mode.HOT:
        raise errors.NotSupported(
            f'backend {ref.backend} can make no snapshot of volume {ref} '
            'as it is now, which a hot backup needs'
        )
    return False
