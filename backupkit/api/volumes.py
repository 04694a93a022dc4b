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


"""Volumes of the enabled backends."""

from __future__ import annotations

import dataclasses

from backupkit.api import results
from backupkit.api import session as session_
from backupkit import errors
from backupkit.flows import checkpoints
from backupkit.flows import faults
from backupkit import model


def entries(
    session: session_.Session, backend: str | None
) -> list[results.VolumeEntry]:
    """List the volumes of one backend, or of all."""
    found = []
    for name in [backend] if backend else session.conf.enabled_backends:
        driver = session.volume_driver(name)
        with faults.attributed(driver):
            found += [_entry(name, volume) for volume in driver.list()]
    return sorted(found, key=lambda entry: entry.volume)


def show(session: session_.Session, text: str) -> results.VolumeEntry:
    """Describe one volume as it is now."""
    ref = session.ref(text)
    driver = session.volume_driver(ref.backend)
    with faults.attributed(driver):
        volume = driver.show(ref.volume_id)
        chain = tuple(driver.chain(ref.volume_id))
        snapshots: tuple[str, ...] = ()
        # What it can at most: whether it can here takes longer to find out.
        if driver.capabilities.list_snapshots:
            found = driver.snapshots(ref.volume_id)
            snapshots = tuple(taken.name for taken in found)
    incomplete = [
        destination.backup_id
        for destination in session.catalog.destinations()
        if (destination.backend, destination.volume_id)
        == (ref.backend, ref.volume_id)
    ]
    entry = _entry(ref.backend, volume, *incomplete)
    return dataclasses.replace(entry, chain=chain, snapshots=snapshots)


def create(
    session: session_.Session, text: str, size_bytes: int
) -> results.VolumeEntry:
    """Make a volume of exactly this size."""
    ref = session.ref(text)
    if size_bytes < 0:
        raise errors.UsageError('the size of a volume is not negative')
    driver = session.volume_driver(ref.backend)
    with faults.attributed(driver):
        return _entry(ref.backend, driver.create(ref.volume_id, size_bytes))


def delete(session: session_.Session, text: str) -> None:
    """Remove a volume, unless a run is at work on it.

    :raises errors.VolumeNotFound: there is none
    :raises errors.Conflict: a run holds it
    """
    ref = session.ref(text)
    driver = session.volume_driver(ref.backend)
    check_idle(session, ref)
    with faults.attributed(driver):
        driver.show(ref.volume_id)
    checkpoints.drop_all(session.environment(), ref)
    with faults.attributed(driver):
        driver.delete(ref.volume_id)
    session.catalog.destination_done(ref.backend, ref.volume_id)


def clone(
    session: session_.Session, source: str, text: str, snapshot: str | None
) -> results.VolumeEntry:
    """Make a volume that is as another one is, or was at its snapshot."""
    old, new = session.ref(source), session.ref(text)
    if old.backend != new.backend:
        raise errors.UsageError(
            f'{old} cannot be cloned to backend {new.backend}: a clone lies '
            'beside its source; back it up and restore it there'
        )
    driver = session.volume_driver(old.backend)
    with faults.attributed(driver):
        if snapshot is None:
            made = driver.clone(new.volume_id, old.volume_id)
        else:
            taken = model.Snapshot(snapshot, old.volume_id, 0)
            made = driver.create_from_snapshot(new.volume_id, taken)
    return _entry(new.backend, made)


def check_idle(session: session_.Session, ref: model.VolumeRef) -> None:
    """Refuse what must not be done to a volume while a run is at work.

    :raises errors.Conflict: a run holds it
    """
    for run in session.catalog.runs(live_only=True):
        if (run.backend, run.volume_id) == (ref.backend, ref.volume_id):
            raise errors.Conflict(
                f'run {run.number} ({run.kind}) on host {run.host} is at '
                f'work on volume {ref}; if it is not: '
                f'backupkit run abort {run.number}'
            )


def _entry(
    backend: str, volume: model.Volume, incomplete: str = ''
) -> results.VolumeEntry:
    return results.VolumeEntry(
        volume=str(model.VolumeRef(backend, volume.volume_id)),
        backend=backend,
        volume_id=volume.volume_id,
        size_bytes=volume.size_bytes,
        allocated_bytes=volume.allocated_bytes,
        format=volume.format,
        in_use=volume.in_use,
        generation=volume.generation,
        incomplete=incomplete,
    )
