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

import logging

from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import faults
from backupkit.flows import reserve
from backupkit import model

LOG = logging.getLogger(__name__)


def abandon(
    catalog: catalog_.Catalog,
    target: target_.Target,
    run_id: str,
    backup_id: str,
) -> bool:
    """Make sure that a backup can never exist, and remove what it wrote.

    First the catalog says that the run is aborted, so that it can never
    reach its commit; then the target takes the name of its commit object;
    and only then is anything deleted. Where the target finds it committed
    after all, it is recorded as such. May be called again.

    :returns: False where the backup turned out to be committed
    :raises errors.Conflict: the run is done, and so is its backup
    """
    catalog.abort_run(run_id)
    with faults.attributed(target):
        if reserve.retry(target, lambda: target.abort(backup_id)):
            return True
        summary = target.show(backup_id)
    LOG.warning('backup %s turned out to be committed', backup_id)
    catalog.finish_backup(run_id, summary)
    return False


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
