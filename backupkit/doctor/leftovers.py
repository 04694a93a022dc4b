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


"""What runs have left: themselves, things, volumes, backups."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit import catalog as catalog_
from backupkit.catalog import liveness
from backupkit.doctor import diagnosis
from backupkit import errors
from backupkit.flows import faults
from backupkit import model

_CLEAR = 'backupkit doctor --clear'

#: Kinds of runs that can be gone on with.
_RESUMED = catalog_.WRITERS | {catalog_.RunKind.RESTORE}


def runs(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell of every run that has not ended."""
    for run in subject.catalog.runs(live_only=True):
        where = f'{run.kind} on host {run.host}, pid {run.pid}'
        abort = f'backupkit run abort {run.number}'
        resume = f'backupkit run resume {run.number}'
        name = str(run.number)
        if run.state == catalog_.RunState.SUSPENDED:
            told = f'{where}: suspended; it keeps what it has made'
            yield diagnosis.Diagnosis(
                'run', name, diagnosis.WARNING, told, f'{resume}, or {abort}'
            )
        elif liveness.is_dead(subject.state_path, run):
            told = f'{where}: its process has died'
            cure = f'{resume}, or {_CLEAR}'
            if run.kind not in _RESUMED:
                cure = _CLEAR
            yield diagnosis.Diagnosis(
                'run', name, diagnosis.PROBLEM, told, cure
            )
        elif liveness.is_alive(subject.state_path, run):
            yield diagnosis.Diagnosis(
                'run', name, diagnosis.OK, f'{where}: at work'
            )
        else:
            told = f'{where}: whether it is still at work cannot be told here'
            cure = f'if it is not: {abort}'
            yield diagnosis.Diagnosis(
                'run', name, diagnosis.WARNING, told, cure
            )


def leftovers(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell of temporary things whose runs have ended."""
    entries = subject.catalog.ledger()
    # Asked for afterwards, so that none is missed that is at work.
    live = {run.run_id for run in subject.catalog.runs(live_only=True)}
    for entry in entries:
        if entry.retained or entry.run_id in live:
            continue
        yield diagnosis.Diagnosis(
            'leftover',
            f'{entry.kind} {entry.name}',
            diagnosis.PROBLEM,
            f'left by run {entry.run_id} on host {entry.host}',
            _CLEAR,
        )


def begun(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell of backups at a target that no run goes on with."""
    for name in subject.conf.enabled_targets:
        try:
            target = subject.target(name)
            with faults.attributed(target):
                found = list(target.leftovers())
        except errors.BackupkitError:
            # The check of the target has told what is wrong.
            continue
        # Asked for afterwards: whose run is not live now will never be.
        live = {run.backup_id for run in subject.catalog.runs(live_only=True)}
        known = {
            row.backup_id
            for row in subject.catalog.backups()
            if row.status in model.UNFINISHED
        }
        for backup_id in found:
            if backup_id in live:
                continue
            ours = backup_id in known
            yield diagnosis.Diagnosis(
                'leftover',
                f'{name}, backup {backup_id}',
                diagnosis.PROBLEM if ours else diagnosis.WARNING,
                'it was begun and never committed'
                + ('' if ours else ', by somebody of whom nothing is known'),
                _CLEAR if ours else 'see whether another catalog uses it',
            )


def volumes(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell of volumes that a restore left half written."""
    destinations = subject.catalog.destinations()
    live = {run.run_id for run in subject.catalog.runs(live_only=True)}
    for destination in destinations:
        if destination.run_id in live:
            continue
        ref = model.VolumeRef(destination.backend, destination.volume_id)
        yield diagnosis.Diagnosis(
            'volume',
            str(ref),
            diagnosis.PROBLEM,
            f'incomplete: the restore of backup {destination.backup_id} to '
            'it has not finished',
            f'backupkit backup restore {destination.backup_id} --to {ref} '
            '--overwrite',
        )


def backups(subject: diagnosis.Subject) -> Iterator[diagnosis.Diagnosis]:
    """Tell of damaged backups and of interrupted deletes."""
    rows = subject.catalog.backups()
    live = {run.backup_id for run in subject.catalog.runs(live_only=True)}
    for row in rows:
        if row.status == model.BackupStatus.DAMAGED:
            volume = model.VolumeRef(row.backend, row.volume_id)
            yield diagnosis.Diagnosis(
                'backup',
                row.backup_id,
                diagnosis.PROBLEM,
                f'damaged, of volume {volume}',
                f'make a new one: backupkit backup create {volume}; then '
                f'backupkit backup delete {row.backup_id}',
            )
        elif (
            row.status == model.BackupStatus.DELETING
            and row.backup_id not in live
        ):
            yield diagnosis.Diagnosis(
                'backup',
                row.backup_id,
                diagnosis.WARNING,
                'its delete was interrupted',
                f'backupkit backup delete {row.backup_id}',
            )
