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


"""Snapshots of volumes, which a backup also makes by itself."""

from __future__ import annotations

from backupkit.api import results
from backupkit.api import session as session_
from backupkit.api import volumes
from backupkit.flows import faults
from backupkit import model


def entries(
    session: session_.Session, text: str
) -> list[results.SnapshotEntry]:
    """List the snapshots of a volume, oldest first."""
    ref = session.ref(text)
    driver = session.volume_driver(ref.backend)
    with faults.attributed(driver):
        return [_entry(ref, s) for s in driver.snapshots(ref.volume_id)]


def create(
    session: session_.Session, text: str, name: str
) -> results.SnapshotEntry:
    """Make a snapshot of a volume; one of that name is returned."""
    ref = session.ref(text)
    driver = session.volume_driver(ref.backend)
    with faults.attributed(driver):
        return _entry(ref, driver.snapshot(ref.volume_id, name))


def delete(session: session_.Session, text: str, name: str) -> None:
    """Delete a snapshot of a volume, unless a run is at work on it.

    :raises errors.VolumeNotFound: there is no such volume
    :raises errors.Conflict: a run holds it
    """
    ref = session.ref(text)
    driver = session.volume_driver(ref.backend)
    volumes.check_idle(session, ref)
    with faults.attributed(driver):
        driver.show(ref.volume_id)
        driver.delete_snapshot(model.Snapshot(name, ref.volume_id, 0))


def _entry(
    ref: model.VolumeRef, taken: model.Snapshot
) -> results.SnapshotEntry:
    return results.SnapshotEntry(taken.name, str(ref), taken.size_bytes)
