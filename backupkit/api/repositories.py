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


"""Repositories as a whole: statistics, check, gc, adopt, rebuild."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING
import uuid

from backupkit.api import aftermath
from backupkit.api import results
from backupkit.api import runs
from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import ending
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import reserve
from backupkit import model
from backupkit.repository import repack

if TYPE_CHECKING:
    from backupkit.repository import target as repository_target

LOG = logging.getLogger(__name__)


def stats(session: session_.Session, name: str | None) -> dict[str, int]:
    """Tell how much a repository keeps."""
    repository = session.repository(name)
    with faults.attributed(repository):
        return repository.stats(session.catalog.coordinator())


def check(
    session: session_.Session,
    name: str | None,
    control: control_.Control,
    *,
    read_data: bool,
    part: tuple[int, int] | None = None,
) -> target_.Report:
    """Check every object of a repository, and record who is hurt.

    :raises errors.UsageError: there is no such part
    """
    repository = session.repository(name)
    environment = session.environment(control)
    job = _job(session, catalog_.RunKind.CHECK, repository)
    with runs.registered(session, environment, job):
        control.start('check')
        with faults.attributed(repository):
            report = repository.check_repository(
                session.catalog.coordinator(),
                control,
                read_data=read_data,
                part=part,
            )
        ending.mark_damaged(session.catalog, report)
    return report


def collect(
    session: session_.Session,
    name: str | None,
    control: control_.Control,
    *,
    max_unused: float,
) -> target_.GcResult:
    """Remove what no backup reaches; runs that died are ended first.

    :raises errors.UsageError: ``max_unused`` is no share
    """
    if not 0 <= max_unused <= 1:
        raise errors.UsageError(
            f'the share that may stay unused is from 0 to 1: {max_unused}'
        )
    repository = session.repository(name)
    environment = session.environment(control)

    def once() -> target_.GcResult:
        aftermath.clear_dead(session, environment)
        aftermath.sweep(session)
        if max_unused < 1:
            wish = repack.Wish(str(uuid.uuid4()), max_unused)
            try:
                return _collect(session, environment, repository, wish)
            except errors.Conflict as exc:
                LOG.warning('no packs are moved: %s', exc)
        return _collect(session, environment, repository, None)

    try:
        return reserve.retry(repository, once)
    finally:
        reserve.keep(repository)


def _collect(
    session: session_.Session,
    environment: environment_.Environment,
    repository: repository_target.RepositoryTarget,
    wish: repack.Wish | None,
) -> target_.GcResult:
    """Run one collection, as the owner of the packs that it makes."""
    job = dataclasses.replace(
        _job(session, catalog_.RunKind.GC, repository),
        backup_id=wish.owner if wish else None,
    )
    with runs.registered(session, environment, job):
        environment.control.start('gc')
        with faults.attributed(repository):
            return repository.collect(
                session.catalog.coordinator(), environment.control, wish
            )


def adopt(session: session_.Session, name: str | None) -> dict[str, str]:
    """Take a repository over from another catalog, for writing."""
    repository = session.repository(name)
    coordinator = session.catalog.coordinator()
    with faults.attributed(repository):
        former = repository.adopt(coordinator)
    return {
        'target': repository.name,
        'repository_id': coordinator.known_repository(repository.name) or '',
        'catalog_id': coordinator.catalog_id,
        'former_catalog_id': former,
        'warning': 'nothing that uses the former catalog may run on this '
        'repository from now on: no backup, delete or gc',
    }


def rebuild(
    session: session_.Session, name: str | None
) -> results.RebuildResult:
    """Fill the catalog from what a target tells of its backups."""
    target = session.target(session.target_name(name))
    catalog = session.catalog
    before = {
        row.backup_id
        for row in catalog.backups(target=target.name)
        if row.status
        in (model.BackupStatus.AVAILABLE, model.BackupStatus.DAMAGED)
    }
    summaries: list[model.BackupSummary] = []
    damaged: list[target_.Finding] = []
    with faults.attributed(target):
        for item in target.list():
            if isinstance(item, target_.Finding):
                damaged.append(item)
            else:
                summaries.append(item)
    known = {row.backup_id for row in catalog.backups(target=target.name)}
    catalog.import_backups(summaries, target.name)
    ending.mark_damaged(catalog, target_.Report(findings=tuple(damaged)))
    listed = {summary.backup_id for summary in summaries}
    hurt = {one for finding in damaged for one in finding.backup_ids}
    missing = _missing(session, target, before - listed - hurt)
    return results.RebuildResult(
        target=target.name,
        found=len(summaries),
        added=len(listed - known),
        missing=missing,
        damaged=tuple(damaged),
    )


def _missing(
    session: session_.Session, target: target_.Target, doubtful: set[str]
) -> tuple[str, ...]:
    """Record backups that are gone; a listing may just have left one out."""
    gone = []
    for backup_id in sorted(doubtful):
        with contextlib.suppress(errors.IntegrityError):
            try:
                with faults.attributed(target):
                    target.show(backup_id)
            except errors.NotFound:
                session.catalog.update_backup(
                    backup_id,
                    status=model.BackupStatus.DAMAGED,
                    fail_reason=f'not found at target {target.name}',
                )
                gone.append(backup_id)
    return tuple(gone)


def _job(
    session: session_.Session,
    kind: catalog_.RunKind,
    repository: repository_target.RepositoryTarget,
) -> runs.Job:
    coordinator = session.catalog.coordinator()
    return runs.Job(
        kind,
        target=repository.name,
        repository_id=coordinator.known_repository(repository.name) or '',
    )
