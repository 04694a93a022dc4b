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


"""Clearing what is left, before everything is looked at."""

from __future__ import annotations

from collections.abc import Callable
import functools

from backupkit.api import aftermath
from backupkit.api import session as session_
from backupkit import doctor
from backupkit import errors
from backupkit.flows import faults
from backupkit.flows import recovery
from backupkit import model


def examine(
    session: session_.Session, *, clear: bool
) -> list[doctor.Diagnosis]:
    """Tell what is well and what is not; see :mod:`backupkit.doctor`."""
    done = _clear(session) if clear else []
    return [*done, *doctor.examine(session)]


def _clear(session: session_.Session) -> list[doctor.Diagnosis]:
    """Undo what dead runs left, and tell what was done."""
    jobs: list[tuple[str, Callable[[], list[str]]]] = [
        ('runs', lambda: _dead_runs(session)),
        ('ledger', lambda: _ledger(session)),
        ('flows', lambda: _flows(session)),
    ]
    for name in session.conf.enabled_targets:
        jobs.append(
            (f'target {name}', functools.partial(_sweep, session, name))
        )
    told = []
    for name, job in jobs:
        try:
            messages = job()
        except errors.BackupkitError as exc:
            cure = 'mend that, and clear again'
            told.append(
                doctor.Diagnosis('clear', name, doctor.PROBLEM, str(exc), cure)
            )
        else:
            told += [
                doctor.Diagnosis('clear', name, doctor.OK, message)
                for message in messages
            ]
    return told


def _dead_runs(session: session_.Session) -> list[str]:
    ended = aftermath.clear_dead(
        session, session.environment(), resumable=True
    )
    return [f'run {run.number} ({run.kind}) is ended' for run in ended]


def _ledger(session: session_.Session) -> list[str]:
    """Remove what runs left that have ended."""
    entries = session.catalog.ledger()
    # Asked for afterwards: whose run is not live now will never be again.
    live = {run.run_id for run in session.catalog.runs(live_only=True)}
    before = {
        entry.entry_id: entry
        for entry in entries
        if entry.run_id not in live and not entry.retained
    }
    environment = session.environment()
    for run_id in dict.fromkeys(entry.run_id for entry in before.values()):
        for entry in recovery.clear(environment, run_id):
            del before[entry.entry_id]
    return [
        f'{entry.kind} {entry.name} is removed' for entry in before.values()
    ]


def _flows(session: session_.Session) -> list[str]:
    aftermath.sweep(session)
    return []


def _sweep(session: session_.Session, name: str) -> list[str]:
    """Remove what puts of dead processes left; keep the reserve."""
    if not session.target(name).capabilities.repository:
        return _abandon(session, name)
    repository = session.repository(name)
    # Asked first: another process may begin one in between.
    known = session.catalog.known_repository(name)
    swept = 0
    try:
        with faults.attributed(repository):
            with repository.opened() as store:
                swept = store.sweep()
            repository.keep_reserve()
    except errors.TargetMissing:
        # What was never used has nothing that could be missing. Where it
        # cannot be used at all, the look at it tells.
        if known is not None:
            raise
    return [f'{swept} unfinished objects are removed'] if swept else []


def _abandon(session: session_.Session, name: str) -> list[str]:
    """Undo what our runs have begun at a target and nobody goes on with."""
    target = session.target(name)
    told = []
    with faults.attributed(target):
        begun = list(target.leftovers())
        # Asked for afterwards: whose run is not live now will never be.
        live = {run.backup_id for run in session.catalog.runs(live_only=True)}
        known = {
            row.backup_id
            for row in session.catalog.backups()
            if row.status in model.UNFINISHED
        }
        for backup_id in begun:
            if backup_id in known and backup_id not in live:
                target.abort(backup_id)
                told.append(f'backup {backup_id} was never committed')
    return told
