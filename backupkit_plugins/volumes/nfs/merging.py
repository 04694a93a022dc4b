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

"""Snapshots being deleted: an overlay is merged into the file below it.

The file below is the snapshot, which nobody wants any more; with the
overlay's data it becomes what the overlay was. Until the file above, or the
document, names it, all reads go through the overlay, which stays as it was:
so the merge can be stopped at any time, and done again.
"""

from __future__ import annotations

import dataclasses
import functools

from backupkit import errors
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import images
from backupkit_plugins.volumes.nfs import intents
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import online
from backupkit_plugins.volumes.nfs import place as place_
from backupkit_plugins.volumes.nfs import qemulocks
from backupkit_plugins.volumes.nfs import qmp
from backupkit_plugins.volumes.nfs import records


def drop(place: place_.Place, state: chains.State, name: str) -> None:
    """Delete a snapshot; absent is fine.

    The caller holds the lock of the volume, with nothing under way on it.

    :raises errors.InUse: a file is open, and no monitor tells of it
    """
    file = state.info.snapshots.get(name)
    if file is None:
        return
    if name in state.stale:
        _forget(place, state, name)
        return
    at = state.place(file)
    below = state.links[at + 1].name
    intent = records.Intent(records.Change.MERGE, name, file, below)
    place.check_changeable(*_touched(state, at))
    with place.user(*_files(state)) as user:
        if user is None:
            _check_free(place, state, at)
        intents.begin(place.files, state, intent)
        if user is not None:
            try:
                online.begin_merge(user, state.links, at)
            except qmp.Refused:
                # Nothing has changed: the snapshot still is one.
                intents.end(place.files, state.volume_id)
                raise
        _merge(place, state, intent, user)


def _forget(place: place_.Place, state: chains.State, name: str) -> None:
    """Take a snapshot off the record of which there are no bytes."""
    snapshots = dict(state.info.snapshots)
    file = snapshots.pop(name)
    info = records.Info(state.info.active, snapshots)
    records.write_info(place.files, state.volume_id, info)
    if file not in _files(state):
        place.files.remove(file)


def _files(state: chains.State) -> list[str]:
    return [link.name for link in state.links]


def _touched(state: chains.State, at: int) -> list[str]:
    """Return the files that a merge changes."""
    return _files(state)[max(at - 1, 0) : at + 2]


def _check_free(place: place_.Place, state: chains.State, at: int) -> None:
    for name in _touched(state, at):
        if qemulocks.is_open(place.files, name):
            raise place.in_use(state.volume_id)


def _merge(
    place: place_.Place,
    state: chains.State,
    intent: records.Intent,
    user: online.User | None,
) -> None:
    """Merge an overlay; a process that has it open has begun that."""
    at = state.place(intent.file)
    links = state.links
    if user is not None:
        switched = dataclasses.replace(intent, switched=True)
        switching = functools.partial(
            intents.change, place.files, state.volume_id, switched
        )
        online.end_merge(user, links, switching)
        _finish(place, state.volume_id, intent, user)
        return
    images.commit(place.files, links[at:])
    if at:
        images.rebase(place.files, links[at - 1 :], links[at + 1])
        _finish(place, state.volume_id, intent)
        return
    # Whoever has opened the overlay since may have written to it, and then
    # all is done again; whoever comes from now on cannot open it.
    with place.alone(intent.file, state.volume_id):
        _finish(place, state.volume_id, intent)


def _finish(
    place: place_.Place,
    volume_id: str,
    intent: records.Intent,
    user: online.User | None = None,
) -> None:
    """Put down that the overlay is no longer in use, and remove it."""
    files = place.files
    if user is not None:
        online.release(user, intent.file)
    info = records.read_info(files, volume_id)
    if info is not None and intent.snapshot in info.snapshots:
        snapshots = dict(info.snapshots)
        del snapshots[intent.snapshot]
        active = info.active
        if active == intent.file:
            active = intent.below
        records.write_info(files, volume_id, records.Info(active, snapshots))
    files.remove(intent.file)
    files.sync()
    intents.end(files, volume_id)


def resume(
    place: place_.Place, volume_id: str, intent: records.Intent
) -> None:
    """Finish the deletion of a snapshot, from where it was left."""
    state = place.read(volume_id)
    # Either of the two may be the one that is written by now.
    files = dict.fromkeys([*_files(state), intent.file, intent.below])
    with place.user(*files) as user:
        if user is not None:
            online.settle(user, state.links)
            state = place.read(volume_id)
        if intent.file not in _files(state) or _has_gone_over(
            place, state, intent
        ):
            _finish(place, volume_id, intent, user)
            return
        # What lies below the headers tell: Cinder may have merged it.
        at = state.place(intent.file)
        if at + 1 == len(state.links):
            intents.end(place.files, volume_id)
            return
        below = state.links[at + 1].name
        intent = dataclasses.replace(intent, below=below, switched=False)
        if user is None:
            _check_free(place, state, at)
        else:
            online.begin_merge(user, state.links, at)
        _merge(place, state, intent, user)


def _has_gone_over(
    place: place_.Place, state: chains.State, intent: records.Intent
) -> bool:
    """Tell whether the file below is in use already, not the overlay."""
    if not intent.switched or state.active.name != intent.file:
        return False
    # The overlay first: as long as a merge goes on, both are written.
    for name, answer in ((intent.file, False), (intent.below, True)):
        if qemulocks.is_written(place.files, name):
            return answer
    return _compare(place, state, intent)


def _compare(
    place: place_.Place, state: chains.State, intent: records.Intent
) -> bool:
    """Tell by their bytes what nobody is left to tell."""
    if images.are_same(place.files, state.links, state.links[1:]):
        return True
    raise errors.SourceError(
        f'volume {state.volume_id}: while snapshot {intent.snapshot} was '
        f'deleted, the QEMU that wrote it went on with {intent.below} or '
        f'stayed with {intent.file}, and has ended since: keep both, find '
        f'out which is the newer, and mend {names.info(state.volume_id)} '
        f'and {names.record(state.volume_id)} by hand'
    )
