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

"""The states of runs and backups, and every move between them.

The tables below are the only place that says which moves there are. A move
to the same state is always allowed, so that a task may run twice.
"""

from __future__ import annotations

from collections.abc import Mapping
import enum

from backupkit import errors
from backupkit import model


class RunKind(enum.StrEnum):
    """What a run does."""

    BACKUP = 'backup'
    COPY = 'copy'
    RESTORE = 'restore'
    VERIFY = 'verify'
    DELETE = 'delete'
    GC = 'gc'
    CHECK = 'check'


#: Runs that make a backup, and so end with a commit.
WRITERS = frozenset({RunKind.BACKUP, RunKind.COPY})


class RunState(enum.StrEnum):
    """Where a run stands."""

    RUNNING = 'running'
    COMMITTING = 'committing'
    SUSPENDED = 'suspended'
    DONE = 'done'
    FAILED = 'failed'
    ABORTED = 'aborted'


class LedgerKind(enum.StrEnum):
    """What kind of temporary thing the ledger names."""

    SNAPSHOT = 'snapshot'
    ATTACHMENT = 'attachment'
    VOLUME = 'volume'
    MOUNT = 'mount'
    CHECKPOINT = 'checkpoint'


#: How the work of a run may go on. Once it is committing, only the target
#: knows how it ended: it cannot just fail, it is aborted there or is done.
RUN_MOVES: Mapping[RunState, frozenset[RunState]] = {
    RunState.RUNNING: frozenset(
        {
            RunState.COMMITTING,
            RunState.SUSPENDED,
            RunState.DONE,
            RunState.FAILED,
            RunState.ABORTED,
        }
    ),
    RunState.COMMITTING: frozenset({RunState.SUSPENDED, RunState.ABORTED}),
    RunState.SUSPENDED: frozenset({RunState.ABORTED}),
    RunState.DONE: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.ABORTED: frozenset(),
}

#: From where the proof that a backup is committed, its manifest, makes a run
#: done. An abort may come too late, and find the manifest there.
COMMITTED_FROM: frozenset[RunState] = frozenset(
    {
        RunState.COMMITTING,
        RunState.SUSPENDED,
        RunState.DONE,
        RunState.FAILED,
        RunState.ABORTED,
    }
)

#: From where a run may be declared ended. One that is committing or
#: suspended is aborted first, and undone.
FINISHED_FROM: frozenset[RunState] = frozenset(
    {RunState.RUNNING, RunState.ABORTED}
)

#: How a backup may go on. That its manifest was found makes any backup
#: available that is not being deleted. A delete that its target refused
#: leaves the backup as it was.
BACKUP_MOVES: Mapping[model.BackupStatus, frozenset[model.BackupStatus]] = {
    model.BackupStatus.CREATING: frozenset(
        {
            model.BackupStatus.COMMITTING,
            model.BackupStatus.AVAILABLE,
            model.BackupStatus.ERROR,
        }
    ),
    model.BackupStatus.COMMITTING: frozenset(
        {model.BackupStatus.AVAILABLE, model.BackupStatus.ERROR}
    ),
    model.BackupStatus.AVAILABLE: frozenset(
        {model.BackupStatus.DAMAGED, model.BackupStatus.DELETING}
    ),
    model.BackupStatus.DAMAGED: frozenset(
        {model.BackupStatus.AVAILABLE, model.BackupStatus.DELETING}
    ),
    model.BackupStatus.ERROR: frozenset(
        {model.BackupStatus.AVAILABLE, model.BackupStatus.DELETING}
    ),
    model.BackupStatus.DELETING: frozenset(
        {
            model.BackupStatus.AVAILABLE,
            model.BackupStatus.DAMAGED,
            model.BackupStatus.ERROR,
            model.BackupStatus.DELETED,
        }
    ),
    model.BackupStatus.DELETED: frozenset(),
}


def check_run(run_id: str, old: RunState, new: RunState) -> None:
    """Check that a run may go on so.

    :raises errors.RunAborted: it was aborted, or may no longer commit
    :raises errors.Conflict: there is no such move
    """
    if new == old or new in RUN_MOVES[old]:
        return
    problem = f'run {run_id} is {old}: it cannot become {new}'
    if old == RunState.ABORTED or new == RunState.COMMITTING:
        raise errors.RunAborted(problem)
    raise errors.Conflict(problem)


def check_backup(
    backup_id: str, old: model.BackupStatus, new: model.BackupStatus
) -> None:
    """Check that a backup may go on so.

    :raises errors.Conflict: there is no such move
    """
    if new != old and new not in BACKUP_MOVES[old]:
        raise errors.Conflict(
            f'backup {backup_id} is {old}: it cannot become {new}'
        )
