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

"""What is told of volumes, without a lock: nobody waits to see one."""

from __future__ import annotations

import logging

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import place as place_
from backupkit_plugins.volumes.nfs import qemulocks

LOG = logging.getLogger(__name__)

_BLOCK_BYTES = 512


def exists(place: place_.Place, volume_id: str, *, lock: bool = True) -> bool:
    """Tell whether there is anything of a volume, whole or not.

    :param lock: the file of its lock counts, which goes last
    """
    files = [
        names.file_of(volume_id),
        names.info(volume_id),
        names.record(volume_id),
    ]
    if lock:
        files.append(names.lock(volume_id))
    return any(place.files.stat(name) for name in files)


def read(place: place_.Place, volume_id: str) -> chains.State:
    """Find out how a volume's files lie while others may change that.

    What does not fit together is read again when they have finished.
    """
    try:
        return place.read(volume_id)
    except (errors.SourceError, FileNotFoundError):
        if not exists(place, volume_id):
            raise
    with place.locked(volume_id):
        return place.read(volume_id)


def describe(place: place_.Place, state: chains.State) -> model.Volume:
    """Describe a volume."""
    allocated = 0
    for link in state.links:
        found = place.files.stat(link.name)
        if found is not None:
            allocated += found.st_blocks * _BLOCK_BYTES
    intent = state.record.intent if state.record else None
    files = [state.active.name]
    if intent is not None:
        # A QEMU may have gone over to one that is not on record yet.
        files += [name for name in (intent.file, intent.below) if name]
    return model.Volume(
        state.volume_id,
        state.size_bytes,
        format=state.active.format,
        in_use=any(qemulocks.is_written(place.files, f) for f in files),
        generation=state.generation,
        allocated_bytes=allocated,
    )


def all_of(place: place_.Place) -> list[model.Volume]:
    """Describe all volumes; what is wrong with one hides no other."""
    ids = {names.volume_of(name) for name in place.files.names()}
    found = []
    for volume_id in sorted(filter(None, ids)):
        try:
            found.append(describe(place, read(place, volume_id)))
        except errors.VolumeNotFound:
            continue
        except (errors.BackupkitError, OSError) as exc:
            LOG.warning('volume %s is left out: %s', volume_id, exc)
    return found
