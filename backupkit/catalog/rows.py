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

"""The rows of the catalog as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

import sqlalchemy as sa

from backupkit.catalog import schema
from backupkit.catalog import states
from backupkit.catalog import values
from backupkit import model


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Work that somebody does or did.

    :ivar number: grows with every run registered in this catalog
    :ivar host: where it runs, with ``boot_id`` and ``pid``
    :ivar reason: why it failed or was aborted
    :ivar committing_at: when it began to commit, or empty
    :ivar attempt: drawn anew whenever a process takes the run over
    :ivar overtaken_at: when one was last taken over that had begun to
        commit, or empty
    :ivar source_id: the backup that it reads beside the one that it makes
    :ivar source_repository_id: the repository of that, if it is in one
    """

    run_id: str
    number: int
    kind: states.RunKind
    state: states.RunState
    backup_id: str | None = None
    backend: str = ''
    volume_id: str = ''
    target: str = ''
    repository_id: str = ''
    host: str = ''
    boot_id: str = ''
    pid: int = 0
    started_at: str = ''
    finished_at: str = ''
    reason: str = ''
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    committing_at: str = ''
    attempt: str = ''
    overtaken_at: str = ''
    source_id: str | None = None
    source_repository_id: str = ''

    @property
    def live(self) -> bool:
        """Whether it may still read or write.

        A run that was aborted stays live until it is finished as well:
        until then its process may not have noticed.
        """
        return not self.finished_at


@dataclasses.dataclass(frozen=True, slots=True)
class BackupRow:
    """A backup as the catalog records it.

    The sizes are those of :class:`backupkit.model.BackupSummary`.

    :ivar service_metadata: where its target keeps it
    :ivar run_number: of the run that made it; 0 where the record was rebuilt
    :ivar copy_of: the backup that was made of the volume, where this is a
        copy of it
    :ivar protected: it is not to be deleted, by whoever it be
    """

    backup_id: str
    backend: str
    volume_id: str
    target: str = ''
    name: str = ''
    repository_id: str = ''
    status: model.BackupStatus = model.BackupStatus.CREATING
    kind: model.BackupKind = model.BackupKind.FULL
    parent_id: str | None = None
    size_bytes: int = 0
    data_bytes: int = 0
    read_bytes: int = 0
    changed_bytes: int = 0
    stored_bytes: int = 0
    consistent: bool = True
    content: str = 'volume'
    sequence: int = 0
    volume_generation: str = ''
    created_at: str = ''
    finished_at: str = ''
    verified_at: str = ''
    fail_reason: str = ''
    service_metadata: str = ''
    run_number: int = 0
    copy_of: str = ''
    protected: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A temporary thing outside that is there, or may be.

    :ivar retained: it is kept on purpose after its run, as a checkpoint is
    :ivar details: what its driver needs to remove it
    """

    entry_id: int
    run_id: str
    kind: states.LedgerKind
    name: str
    host: str
    boot_id: str
    retained: bool
    details: Mapping[str, Any]
    made_at: str


@dataclasses.dataclass(frozen=True, slots=True)
class Destination:
    """A volume that is incomplete: a restore over it has not finished."""

    backend: str
    volume_id: str
    run_id: str
    backup_id: str
    begun_at: str


def run(row: sa.Row[Any]) -> Run:
    """Return a run from its row."""
    fields = values.read(schema.RUNS, row)
    fields['kind'] = values.word(states.RunKind, fields['kind'])
    fields['state'] = values.word(states.RunState, fields['state'])
    fields['params'] = values.unpacked(fields['params'])
    return Run(**fields)


def backup(row: sa.Row[Any]) -> BackupRow:
    """Return a backup from its row."""
    fields = values.read(schema.BACKUPS, row)
    fields['kind'] = values.word(model.BackupKind, fields['kind'])
    fields['status'] = values.word(model.BackupStatus, fields['status'])
    return BackupRow(**fields)


def ledger_entry(row: sa.Row[Any]) -> LedgerEntry:
    """Return an entry of the ledger from its row."""
    fields = values.read(schema.LEDGER, row)
    fields['kind'] = values.word(states.LedgerKind, fields['kind'])
    fields['details'] = values.unpacked(fields['details'])
    return LedgerEntry(**fields)


def destination(row: sa.Row[Any]) -> Destination:
    """Return a destination from its row."""
    return Destination(**values.read(schema.DESTINATIONS, row))
