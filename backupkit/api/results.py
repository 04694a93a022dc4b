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


"""What the calls of the API return, where no part below has a value for it."""

from __future__ import annotations

import dataclasses

from backupkit.drivers import target as target_
from backupkit import model


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeEntry:
    """A volume, under its full name.

    ``incomplete`` is the id of a backup whose restore to this volume has
    not finished, or empty. ``chain`` names the image files of a volume that
    lies in several layers, the one that is written first. These and
    ``snapshots`` are only told of a single volume, the latter two by a
    driver that can.
    """

    volume: str
    backend: str
    volume_id: str
    size_bytes: int
    allocated_bytes: int | None = None
    format: str = 'raw'
    in_use: bool | None = None
    generation: str = ''
    incomplete: str = ''
    chain: tuple[model.Link, ...] = ()
    snapshots: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """A snapshot of a volume, ours or another's."""

    name: str
    volume: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class RestoreResult:
    """A finished restore.

    ``untouched_bytes`` is the end of a volume larger than the backup: it
    holds what it held before.
    """

    backup_id: str
    volume: str
    size_bytes: int
    data_bytes: int
    created: bool
    volume_size_bytes: int
    untouched_bytes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class RebuildResult:
    """What a target told of its backups.

    ``missing`` are backups that the catalog knew there and the target no
    longer has: they are recorded as such.
    """

    target: str
    found: int
    added: int
    missing: tuple[str, ...] = ()
    damaged: tuple[target_.Finding, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class BackupPlan:
    """How a backup would be made: what ``--dry-run`` shows.

    :ivar snapshot: the volume is read through a snapshot
    :ivar compare: it is asked before and after whether it changed
    :ivar consistent: False where the copy may be of more than one moment
    :ivar steps: (task, requires, provides) in the order in which they run
    """

    volume: str
    target: str
    size_bytes: int
    snapshot: bool
    compare: bool
    consistent: bool
    steps: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    text: str
    dot: str


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """What a volume driver keeps of a volume since a backup."""

    volume: str
    target: str
    name: str
    made_at: str


@dataclasses.dataclass(frozen=True, slots=True)
class PruneEntry:
    """What pruning has done with one backup, or would do.

    :ivar action: ``keep``, ``remove`` (it would), ``removed``, ``failed``
    :ivar reasons: the rules that keep it
    :ivar problem: why it could not be removed, and ``exit_code`` what a
        program that did nothing else would return then
    """

    backup_id: str
    volume: str
    target: str
    created_at: str
    action: str
    reasons: tuple[str, ...] = ()
    problem: str = ''
    exit_code: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class ImportResult:
    """What was taken in from a document of records.

    :ivar found: how many records it has
    :ivar added: how many of them were not recorded as available before
    """

    found: int
    added: int
    backup_ids: tuple[str, ...] = ()
