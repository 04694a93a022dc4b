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


"""How a backup ends that did not become one, or is one no more."""

from __future__ import annotations

from collections.abc import Callable, Collection
import logging

from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import faults
from backupkit.flows import kept
from backupkit.flows import reserve
from backupkit import model

LOG = logging.getLogger(__name__)


def abandon(
    catalog: catalog_.Catalog,
    target: target_.Target,
    run_id: str,
    backup_id: str,
    *,
    gone: bool = False,
) -> bool:
    """Make sure that a backup can never exist, and remove what it wrote.

    First the catalog says that the run is aborted, so that it can never
    reach its commit; then the target takes the name of its commit object;
    and only then is anything deleted. Where the target finds it committed
    after all, it is recorded as such. May be called again. A target that
    cannot be written to holds up only a run that had begun to commit.

    Where two puts of one name can both succeed, a commit that is under way
    cannot be stopped: there the beginning of the commit decides. Nobody but
    its process may end such a run while that may be alive; after that it is
    committed here, from what its flow keeps. A put of the dead that comes
    through late then changes nothing.

    :param gone: that process is proved dead, or the operator says so
    :returns: False where the backup turned out to be committed
    :raises errors.Conflict: the run is done, and so is its backup; or it
        may be just about to be
    """
    racy = is_racy(target)
    if racy and gone and _complete(catalog, target, run_id):
        return False
    aborted = catalog.abort_run(run_id, committing=gone or not racy)

    def undecided() -> bool:
        """Tell whether the run is still being aborted, and by us."""
        run = catalog.run(run_id)
        return run.live and run.state == catalog_.RunState.ABORTED

    try:
        return _remove(catalog, target, run_id, backup_id, undecided)
    except errors.TargetError as exc:
        if aborted.committing_at:
            raise
        # It never began to commit and never can: what it wrote is nobody's.
        LOG.warning('what run %s wrote stays until gc: %s', run_id, exc)
        return True


def is_racy(target: target_.Target) -> bool:
    """Tell whether a commit and an abort may both come through."""
    able = target.capabilities
    return able.repository and not able.store.put_if_absent


def _complete(
    catalog: catalog_.Catalog, target: target_.Target, run_id: str
) -> bool:
    """Commit what a run had begun to commit; False where it had not.

    Who else may do the same at the same time puts the same bytes.

    :raises errors.TargetError: it cannot be written now; call it again
    """
    run = catalog.run(run_id)
    if not run.committing_at or run.state == catalog_.RunState.ABORTED:
        return False
    prepared = kept.prepared(catalog, target, run_id)
    if prepared is None:
        return False
    try:
        with faults.attributed(target):
            target.commit(prepared)
    except errors.RunAborted as exc:
        LOG.debug('run %s is not committed: %s', run_id, exc)
        return False
    catalog.finish_backup(run_id, prepared.summary)
    LOG.warning(
        'run %s had begun to commit: backup %s is committed',
        run_id,
        prepared.summary.backup_id,
    )
    return True


def _remove(
    catalog: catalog_.Catalog,
    target: target_.Target,
    run_id: str,
    backup_id: str,
    undecided: Callable[[], bool],
) -> bool:
    """Remove what a run wrote, or record that it has committed."""
    with faults.attributed(target):
        if reserve.retry(target, lambda: target.abort(backup_id, undecided)):
            return True
        if not undecided():
            return False
        summary = target.show(backup_id)
    LOG.warning('backup %s turned out to be committed', backup_id)
    catalog.finish_backup(run_id, summary)
    return False


def spare(
    catalog: catalog_.Catalog,
    target: target_.Target,
    run_id: str,
    backup_id: str,
    *,
    former: model.BackupStatus,
    causes: Collection[BaseException | None],
) -> None:
    """Record a backup as it was before a delete that its target refused.

    Only where the target is sure to have done nothing, and nobody else may
    still be deleting it: the backup is there, no call of this delete can
    come through late, and it was not being deleted before.
    """
    refused = all(
        isinstance(cause, (errors.TargetError, errors.IntegrityError))
        and not isinstance(cause, errors.TargetUnavailable)
        for cause in causes
    )
    if former == model.BackupStatus.DELETING or not refused:
        return
    try:
        with faults.attributed(target):
            target.show(backup_id)
    except errors.IntegrityError:
        # Damaged, and there.
        pass
    except errors.BackupkitError as exc:
        LOG.debug('backup %s stays in its delete: %s', backup_id, exc)
        return
    try:
        catalog.spare_backup(run_id, backup_id, former)
    except errors.BackupkitError as exc:
        LOG.warning('backup %s is recorded as deleting: %s', backup_id, exc)


def mark_damaged(
    catalog: catalog_.Catalog, report: target_.Report, *backup_ids: str
) -> None:
    """Write into the catalog which backups a report says are hurt."""
    hurt = {name for finding in report.findings for name in finding.backup_ids}
    for backup_id in hurt.union(backup_ids):
        try:
            row = catalog.backup(backup_id)
        except errors.NotFound:
            # Another catalog wrote it, or it is forgotten here.
            continue
        if row.status == model.BackupStatus.AVAILABLE:
            catalog.update_backup(backup_id, status=model.BackupStatus.DAMAGED)
