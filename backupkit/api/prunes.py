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

"""Deleting backups by rules of time, and what is kept from that."""

from __future__ import annotations

import dataclasses
import logging

from backupkit.api import results
from backupkit.api import retention
from backupkit.api import session as session_
from backupkit.api import upkeep
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit import errors
from backupkit import model

LOG = logging.getLogger(__name__)

#: Target, backend and volume: what has a history of its own.
_Line = tuple[str, str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """Of which backups the rules are; None: of any."""

    backend: str | None = None
    volume: str | None = None
    target: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Verdict:
    """What becomes of one backup; it is kept where there are reasons."""

    row: catalog_.BackupRow
    reasons: tuple[str, ...]


def protect(
    session: session_.Session,
    backup_id: str,
    *,
    protected: bool,
) -> catalog_.BackupRow:
    """Keep a backup from being deleted, or no longer.

    :raises errors.Conflict: it is not there, or is just being deleted
    """
    row = session.catalog.backup(backup_id)
    session.catalog.update_backup(row.backup_id, protected=protected)
    return session.catalog.backup(row.backup_id)


def prune(
    session: session_.Session,
    rules: retention.Rules,
    scope: Scope,
    control: control_.Control,
    *,
    empty: bool,
) -> list[results.PruneEntry]:
    """Delete the backups that no rule keeps; tell of all in the scope.

    One that cannot be deleted does not keep the others from it.

    :param empty: a volume may lose all of its backups on a target
    :raises errors.UsageError: one would, and may not
    """
    verdicts = _judge(session, rules, scope)
    if not empty:
        _refuse_emptying(verdicts)
    told = []
    for verdict in verdicts:
        if verdict.reasons:
            told.append(_entry(verdict, 'keep'))
            continue
        control.check()
        told.append(_delete(session, verdict, control))
    return told


def plan(
    session: session_.Session, rules: retention.Rules, scope: Scope
) -> list[results.PruneEntry]:
    """Tell what :func:`prune` would do, and do nothing."""
    return [
        _entry(verdict, 'keep' if verdict.reasons else 'remove')
        for verdict in _judge(session, rules, scope)
    ]


def _judge(
    session: session_.Session, rules: retention.Rules, scope: Scope
) -> list[_Verdict]:
    """Judge the good backups in the scope, each volume's on each target.

    Others neither count nor go: a damaged one must not take the place of a
    good one, and is for the operator to look at.
    """
    rules.check()
    lines: dict[_Line, list[catalog_.BackupRow]] = {}
    for row in _rows(session, scope):
        line = (row.target, row.backend, row.volume_id)
        lines.setdefault(line, []).append(row)
    verdicts = []
    for line in sorted(lines):
        reasons = retention.decide(
            [
                retention.Point(row.backup_id, row.created_at, row.protected)
                for row in lines[line]
            ],
            rules,
        )
        verdicts += [
            _Verdict(row, reasons[row.backup_id]) for row in lines[line]
        ]
    return verdicts


def _rows(session: session_.Session, scope: Scope) -> list[catalog_.BackupRow]:
    if scope.backend is not None and scope.volume is not None:
        raise errors.UsageError(
            'name a backend or a volume, not both: a volume names its backend'
        )
    if scope.target is not None:
        # Before the rows: an unknown one has none, and no error either.
        session.target(scope.target)
    ref = None if scope.volume is None else model.VolumeRef.parse(scope.volume)
    return session.catalog.backups(
        backend=scope.backend if ref is None else ref.backend,
        volume_id=None if ref is None else ref.volume_id,
        target=scope.target,
        statuses=(model.BackupStatus.AVAILABLE,),
    )


def _refuse_emptying(verdicts: list[_Verdict]) -> None:
    left: dict[_Line, bool] = {}
    for verdict in verdicts:
        row = verdict.row
        line = (row.target, row.backend, row.volume_id)
        left[line] = left.get(line, False) or bool(verdict.reasons)
    emptied = [line for line, any_left in left.items() if not any_left]
    if emptied:
        target, backend, volume_id = emptied[0]
        others = f' (and {len(emptied) - 1} more)' if emptied[1:] else ''
        raise errors.UsageError(
            f'the rules would delete every backup of volume '
            f'{backend}:{volume_id} on target {target}{others}: nothing was '
            'deleted; to do it all the same, say --yes'
        )


def _delete(
    session: session_.Session, verdict: _Verdict, control: control_.Control
) -> results.PruneEntry:
    try:
        upkeep.delete(session, verdict.row.backup_id, control)
    except errors.Cancelled:
        raise
    except errors.NotFound:
        # Somebody else was quicker, and gc has forgotten it since.
        return _entry(verdict, 'removed')
    except errors.BackupkitError as exc:
        LOG.warning('backup %s is not pruned: %s', verdict.row.backup_id, exc)
        return dataclasses.replace(
            _entry(verdict, 'failed'),
            problem=str(exc),
            exit_code=exc.exit_code,
        )
    return _entry(verdict, 'removed')


def _entry(verdict: _Verdict, action: str) -> results.PruneEntry:
    row = verdict.row
    return results.PruneEntry(
        backup_id=row.backup_id,
        volume=str(model.VolumeRef(row.backend, row.volume_id)),
        target=row.target,
        created_at=row.created_at,
        action=action,
        reasons=verdict.reasons,
    )
