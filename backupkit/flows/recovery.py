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


"""Clears what a run left that cannot undo itself any more.

Its process died, or was suspended and then aborted, or its flow could not
be reverted to the end. The ledger names everything that may be there, and
the target knows whether the backup exists.
"""

from __future__ import annotations

from collections.abc import Callable
import logging
import socket

from backupkit import catalog as catalog_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import ending
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import ledger
from backupkit.flows.tasks import destination
from backupkit.flows.tasks import source
from backupkit import model

LOG = logging.getLogger(__name__)

#: What was made last goes first.
_ORDER = (
    ledger.ATTACHMENT,
    ledger.CHECKPOINT,
    ledger.SNAPSHOT,
    ledger.VOLUME,
)


def settle(
    environment: environment_.Environment,
    run: catalog_.Run,
    reason: str,
    *,
    gone: bool = False,
) -> None:
    """End a run for good: abort it, or find that its backup exists.

    May be called again. What cannot be removed stays in the ledger.

    :param reason: why it is ended, as the record will say
    :param gone: its process is proved dead, or the operator says so
    :raises errors.BackupkitError: its target or catalog cannot be asked
        now; the run stays live, so that nothing it may hold is given away
    """
    aborted = run.live and stop(environment, run, gone=gone)
    clear(environment, run.run_id)
    if aborted:
        environment.catalog.finish_run(
            run.run_id, catalog_.RunState.ABORTED, reason
        )


def stop(
    environment: environment_.Environment,
    run: catalog_.Run,
    *,
    gone: bool = False,
) -> bool:
    """Make sure that a run never commits; False where it did already.

    It stays live: its process, if there is one, still holds what it holds.
    """
    catalog = environment.catalog
    if run.kind not in catalog_.WRITERS or not run.backup_id:
        catalog.abort_run(run.run_id)
        return True
    target = environment.drivers.target(run.target)
    return ending.abandon(
        catalog, target, run.run_id, run.backup_id, gone=gone
    )


def clear(
    environment: environment_.Environment, run_id: str
) -> list[catalog_.LedgerEntry]:
    """Remove what the ledger names of a run; return what could not be.

    What is retained on purpose is left alone.
    """
    left = []
    entries = [
        entry
        for kind in _ORDER
        for entry in environment.catalog.ledger(run_id)
        if entry.kind == kind and not entry.retained
    ]
    for entry in entries:
        try:
            remove(environment, entry)
        except errors.BackupkitError as exc:
            LOG.warning(
                '%s %s of run %s is left behind: %s',
                entry.kind,
                entry.name,
                run_id,
                exc,
            )
            left.append(entry)
    return left


def remove(
    environment: environment_.Environment, entry: catalog_.LedgerEntry
) -> None:
    """Remove one thing that the ledger names, and then its entry.

    :raises errors.BackupkitError: it could not be removed
    """
    removers: dict[
        str, Callable[[volume_.VolumeDriver, catalog_.LedgerEntry], None]
    ] = {
        ledger.ATTACHMENT: _detach,
        ledger.SNAPSHOT: _delete_snapshot,
        ledger.VOLUME: destination.delete_volume,
        ledger.CHECKPOINT: _drop_checkpoint,
    }
    if entry.kind not in removers:
        raise errors.Conflict(f'a {entry.kind} is not ours to remove')
    backend = entry.details['backend']
    driver = environment.drivers.volume_driver(backend)
    with faults.attributed(driver):
        removers[entry.kind](driver, entry)
    if entry.kind == ledger.VOLUME:
        environment.catalog.destination_done(
            backend, entry.details['volume_id']
        )
    environment.catalog.ledger_remove(entry.entry_id)


def _detach(driver: volume_.VolumeDriver, entry: catalog_.LedgerEntry) -> None:
    """Undo an attachment, even one of which only the intent is known."""
    if entry.host != socket.gethostname():
        raise errors.Conflict(
            f'it was attached on host {entry.host}: clear it there'
        )
    plain = entry.details['attachment']
    if plain is None:
        try:
            attachment = source.attach(
                driver,
                entry.details['volume_id'],
                entry.details['snapshot'],
                writable=entry.details['writable'],
            )
        except errors.VolumeNotFound:
            return
    else:
        attachment = model.Attachment.from_dict(plain)
    driver.detach(attachment)


def _delete_snapshot(
    driver: volume_.VolumeDriver, entry: catalog_.LedgerEntry
) -> None:
    driver.delete_snapshot(
        model.Snapshot(entry.name, entry.details['volume_id'], 0)
    )


def _drop_checkpoint(
    driver: volume_.VolumeDriver, entry: catalog_.LedgerEntry
) -> None:
    try:
        driver.drop_checkpoint(entry.details['volume_id'], entry.name)
    except errors.NotSupported as exc:
        # The configuration is another one now: nothing is told since it.
        LOG.warning('%s %s is forgotten: %s', entry.kind, entry.name, exc)
