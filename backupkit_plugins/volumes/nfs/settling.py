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

"""Finishes or undoes what a crash has left half done on a volume."""

from __future__ import annotations

import logging

from backupkit import errors
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import intents
from backupkit_plugins.volumes.nfs import merging
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import place as place_
from backupkit_plugins.volumes.nfs import qmp
from backupkit_plugins.volumes.nfs import records
from backupkit_plugins.volumes.nfs import taking
from backupkit_plugins.volumes.nfs import volumes

LOG = logging.getLogger(__name__)


def settle(place: place_.Place, volume_id: str) -> chains.State:
    """Return how a volume's files lie, with nothing under way any more.

    The caller holds the lock of the volume, so that what is put down as
    under way has nobody at work on it.

    :raises errors.VolumeNotFound: there is none, or none any more
    """
    record = records.read(place.files, volume_id)
    if record is not None and record.intent is not None:
        LOG.info(
            'volume %s: going on with an interrupted %s',
            volume_id,
            record.intent.change,
        )
        _resume(place, volume_id, record.intent)
    return place.read(volume_id)


def settle_for_reading(place: place_.Place, volume_id: str) -> chains.State:
    """Settle a volume, unless that has to wait for who has it open.

    A snapshot that is being deleted does not keep others from being read.
    """
    try:
        return settle(place, volume_id)
    except (errors.InUse, qmp.Refused) as exc:
        record = records.read(place.files, volume_id)
        intent = record and record.intent
        if not intent or intent.change is not records.Change.MERGE:
            raise
        LOG.warning('volume %s: a merge has to wait: %s', volume_id, exc)
    return place.read(volume_id)


def _resume(
    place: place_.Place, volume_id: str, intent: records.Intent
) -> None:
    if intent.change is records.Change.SNAPSHOT:
        taking.resume(place, volume_id, intent)
    elif intent.change is records.Change.MERGE:
        merging.resume(place, volume_id, intent)
    elif intent.change is records.Change.DELETE:
        volumes.finish_delete(place, volume_id)
    elif place.files.stat(names.file_of(volume_id)) is None:
        volumes.unmake(place, volume_id)
    else:
        place.files.remove(names.unfinished(volume_id))
        intents.end(place.files, volume_id)


def check_free(place: place_.Place, volume_id: str) -> None:
    """Settle what was under way on a name, for a volume to be made.

    :raises errors.VolumeExists: there is one
    """
    try:
        settle(place, volume_id)
    except errors.VolumeNotFound:
        return
    raise errors.VolumeExists(f'volume {volume_id} exists already')
