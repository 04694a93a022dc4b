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

"""The checkpoints that are retained between backups."""

from __future__ import annotations

from backupkit import catalog as catalog_
from backupkit.flows import environment as environment_
from backupkit.flows import recovery
from backupkit import model


def retained(
    catalog: catalog_.Catalog,
    volume: model.VolumeRef | None = None,
    target: str | None = None,
) -> list[catalog_.LedgerEntry]:
    """Return the ledger's entries of the checkpoints that are kept.

    :param volume: only those of this volume
    :param target: only those of backups on this target
    """
    refs = None if volume is None else (volume.backend, volume.volume_id)
    return [
        entry
        for entry in catalog.ledger()
        if entry.kind == catalog_.LedgerKind.CHECKPOINT
        and entry.retained
        and refs
        in (None, (entry.details['backend'], entry.details['volume_id']))
        and target in (None, entry.details['target'])
    ]


def drop_all(
    environment: environment_.Environment, volume: model.VolumeRef
) -> int:
    """Drop all checkpoints of a volume; return how many there were.

    The next backup to each target then reads the whole volume.

    :raises errors.BackupkitError: one could not be dropped; it stays in
        the ledger
    """
    entries = retained(environment.catalog, volume)
    for entry in entries:
        recovery.remove(environment, entry)
    return len(entries)
