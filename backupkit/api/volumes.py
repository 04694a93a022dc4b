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

from backupkit.api import results
from backupkit.api import session as session_
from backupkit import errors
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
    incomplete = [
        destination.backup_id
        for destination in session.catalog.destinations()
        if (destination.backend, destination.volume_id)
        == (ref.backend, ref.volume_id)
    ]
    return _entry(ref.backend, volume, *incomplete)


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
    catalog = session.catalog
    for run in catalog.runs(live_only=True):
        if (run.backend, run.volume_id) == (ref.backend, ref.volume_id):
            raise errors.Conflict(
                f'run {run.number} ({run.kind}) on host {run.host} is at '
                f'work on volume {ref}; if it is not: '
                f'backupkit run abort {run.number}'
            )
    with faults.attributed(driver):
        driver.show(ref.volume_id)
        driver.delete(ref.volume_id)
    catalog.destination_done(ref.backend, ref.volume_id)


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
