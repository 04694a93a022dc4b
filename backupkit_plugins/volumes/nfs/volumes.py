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

"""Volumes being made and removed."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import images
from backupkit_plugins.volumes.nfs import intents
from backupkit_plugins.volumes.nfs import locks
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import place as place_
from backupkit_plugins.volumes.nfs import qemulocks
from backupkit_plugins.volumes.nfs import records


def make(
    place: place_.Place,
    volume_id: str,
    fill: Callable[[model.Link], None],
) -> None:
    """Make a volume, which is there when it is whole, and not before.

    The caller holds the lock of its name, with nothing under way there.

    :param fill: makes an image of an empty file
    :raises errors.VolumeExists: the name is taken
    """
    files = place.files
    taken = (names.file_of(volume_id), names.info(volume_id))
    if any(files.stat(name) for name in taken):
        raise _exists(volume_id)
    intent = records.Intent(records.Change.CREATE)
    record = records.Record(place.format, intent=intent)
    records.write(files, volume_id, record)
    image = model.Link(names.unfinished(volume_id), place.format)
    try:
        files.make(image.name, None)
        fill(image)
        if not files.publish(image.name, taken[0]):
            raise _exists(volume_id)
    except BaseException:
        unmake(place, volume_id)
        raise
    intents.end(files, volume_id)


def _exists(volume_id: str) -> errors.VolumeExists:
    return errors.VolumeExists(f'volume {volume_id} exists already')


def unmake(place: place_.Place, volume_id: str) -> None:
    """Remove what is left of a volume that has not become whole."""
    place.files.remove(names.unfinished(volume_id))
    place.files.remove(names.record(volume_id))
    locks.forget(place.files, volume_id)
    place.files.sync()


def delete(place: place_.Place, state: chains.State) -> None:
    """Remove a volume and its snapshots.

    The caller holds the lock of the volume, with nothing under way on it.

    :raises errors.InUse: somebody has it open
    """
    files = [link.name for link in state.links]
    place.check_changeable(*files)
    with contextlib.ExitStack() as held:
        active = place.files.opened(state.active.name, os.O_RDWR)
        if any(
            qemulocks.is_open(place.files, name) for name in files
        ) or not qemulocks.take(held.enter_context(active)):
            raise place.in_use(state.volume_id)
        intent = records.Intent(records.Change.DELETE)
        intents.begin(place.files, state, intent)
        finish_delete(place, state.volume_id)


def finish_delete(place: place_.Place, volume_id: str) -> None:
    """Remove what is there of a volume, and its record last."""
    for name in place.files.names():
        if names.is_image(volume_id, name):
            place.files.remove(name)
    place.files.remove(names.info(volume_id))
    place.files.sync()
    place.files.remove(names.record(volume_id))
    locks.forget(place.files, volume_id)
    place.files.sync()


def copy(
    place: place_.Place, volume_id: str, state: chains.State, at: int
) -> None:
    """Make a volume of what a chain shows from a place on.

    :param at: 0 for the volume itself, or that of a snapshot
    :raises errors.InUse: the volume itself is being written
    """

    def fill(image: model.Link) -> None:
        links = state.links[at:]
        images.convert(place.files, links, image, sparse=place.sparse)

    make(place, volume_id, fill)
