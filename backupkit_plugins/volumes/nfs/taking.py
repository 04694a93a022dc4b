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

"""Snapshots being made: an overlay is put over the file in use.

What the snapshot holds is the file that was in use till then, which nobody
writes any more. The overlay is on record before it is made, so that
whoever comes after a crash can tell whether it is in use.
"""

from __future__ import annotations

import dataclasses

from backupkit import errors
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import images
from backupkit_plugins.volumes.nfs import intents
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import online
from backupkit_plugins.volumes.nfs import place as place_
from backupkit_plugins.volumes.nfs import qemulocks
from backupkit_plugins.volumes.nfs import records


def take(place: place_.Place, state: chains.State, name: str) -> None:
    """Put an overlay over a volume, whose bytes so far are the snapshot.

    The caller holds the lock of the volume, with nothing under way on it.

    :raises errors.InUse: it is open, and no monitor tells of it
    """
    below = state.active.name
    overlay = names.overlay(state.volume_id, name)
    if place.files.stat(overlay) is not None:
        raise errors.SourceError(
            f'{overlay} is in the way of snapshot {name} and not on record: '
            'look whose it is, and remove it'
        )
    place.check_changeable(below)
    intent = records.Intent(records.Change.SNAPSHOT, name, overlay, below)
    with place.user(below) as user:
        if user is None and qemulocks.is_open(place.files, below):
            raise place.in_use(state.volume_id)
        intents.begin(place.files, state, intent)
        try:
            _make(place, state, intent)
            _go_over(place, state, intent, user)
        except (errors.BackupkitError, OSError):
            # Nothing has changed, or a process did not say whether it did.
            resume(place, state.volume_id, intent)
            raise


def _make(
    place: place_.Place, state: chains.State, intent: records.Intent
) -> None:
    """Make the overlay, and put down that it can come into use."""
    files = place.files
    files.make(intent.file, files.stat(intent.below))
    images.cover(files, intent.file, state.active, state.size_bytes)
    files.sync()
    made = files.stat(intent.file)
    if made is None:
        raise errors.SourceError(f'{intent.file} has gone away')
    intent = dataclasses.replace(intent, fresh_bytes=made.st_size)
    intents.change(files, state.volume_id, intent)


def _go_over(
    place: place_.Place,
    state: chains.State,
    intent: records.Intent,
    user: online.User | None,
) -> None:
    """Have the overlay written from now on, and nothing else."""
    if user is not None:
        online.cover(user, intent.below, intent.file)
        _finish(place, state.volume_id, intent)
        return
    # Whoever wants to write to the file below from now on cannot.
    with place.alone(intent.below, state.volume_id):
        _finish(place, state.volume_id, intent)


def _finish(
    place: place_.Place, volume_id: str, intent: records.Intent
) -> None:
    """Put down that the overlay is in use."""
    info = _info(place, volume_id)
    snapshots = {**info.snapshots, intent.snapshot: intent.file}
    info = records.Info(intent.file, snapshots)
    records.write_info(place.files, volume_id, info)
    intents.end(place.files, volume_id)


def _info(place: place_.Place, volume_id: str) -> records.Info:
    info = records.read_info(place.files, volume_id)
    return info or records.Info(names.file_of(volume_id), {})


def resume(
    place: place_.Place, volume_id: str, intent: records.Intent
) -> None:
    """Finish a snapshot that was begun, or undo it where nobody uses it."""
    info = _info(place, volume_id)
    record = records.read(place.files, volume_id)
    # As far as it has come, which is perhaps farther than was told.
    intent = (record and record.intent) or intent
    if intent.snapshot not in info.snapshots:
        if _is_in_use(place, volume_id, intent, info):
            _finish(place, volume_id, intent)
            return
        place.files.remove(intent.file)
    intents.end(place.files, volume_id)


def _is_in_use(
    place: place_.Place,
    volume_id: str,
    intent: records.Intent,
    info: records.Info,
) -> bool:
    """Tell whether a process has gone over to the overlay."""
    files = place.files
    overlay = files.stat(intent.file)
    if overlay is None or not intent.fresh_bytes:
        return False
    for name, answer in ((intent.file, True), (intent.below, False)):
        if qemulocks.is_written(files, name):
            return answer and _is_expected(volume_id, intent, info)
    if overlay.st_size <= intent.fresh_bytes:
        # It is empty: with it or without it, the volume is the same.
        return False
    below = files.stat(intent.below)
    if below is None or below.st_mtime_ns > overlay.st_mtime_ns:
        raise _doubtful(volume_id, intent)
    return _is_expected(volume_id, intent, info)


def _is_expected(
    volume_id: str, intent: records.Intent, info: records.Info
) -> bool:
    """Tell that the overlay lies over what is on record as in use."""
    if info.active != intent.below:
        raise _doubtful(volume_id, intent)
    return True


def _doubtful(volume_id: str, intent: records.Intent) -> errors.SourceError:
    return errors.SourceError(
        f'volume {volume_id}: while snapshot {intent.snapshot} was made, '
        f'both {intent.file} and {intent.below} were written; keep both, '
        'find out which one its user has, and mend '
        f'{names.info(volume_id)} and {names.record(volume_id)} by hand'
    )
