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


"""Tasks of backups that exist: verify and delete."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import datetime
from typing import Any

from backupkit import catalog as catalog_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.flows import ending
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import plain
from backupkit.flows.tasks import step
from backupkit import model

Plain = Mapping[str, Any]


class Verify(step.TargetStep):
    """Check what is kept of a backup."""

    step_name = 'verify'
    gives = keys.REPORT

    def execute(
        self,
        backup_id: str,
        full: bool,  # noqa: FBT001 - arguments are named by their keys
        share: float | None,
    ) -> dict[str, Any]:
        """Return what was found; a backup that is gone is a finding."""
        asked = (
            backup_id,
            self._environment.catalog.coordinator(),
            self._environment.control,
        )
        try:
            with faults.attributed(self._target):
                if share is None:
                    report = self._target.verify(*asked, full=full)
                else:
                    report = self._target.verify_sample(*asked, share=share)
        except errors.NotFound as exc:
            gone = target_.Finding(backup_id, str(exc), (backup_id,))
            report = target_.Report(findings=(gone,))
        return plain.from_report(report)


class RecordVerify(step.Step):
    """Write into the catalog which backups are hurt."""

    step_name = 'record'

    def execute(
        self,
        run_id: str,
        backup_id: str,
        full: bool,  # noqa: FBT001 - arguments are named by their keys
        report: Plain,
    ) -> None:
        """Record the outcome; only a full verify makes a backup good again."""
        catalog = self._environment.catalog
        found = plain.to_report(report)
        if found.good:
            fields: dict[str, Any] = {'verified_at': _now()}
            if full:
                fields['status'] = model.BackupStatus.AVAILABLE
            catalog.update_backup(backup_id, **fields)
        else:
            ending.mark_damaged(catalog, found, backup_id)
        catalog.finish_run(run_id, catalog_.RunState.DONE)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')


class BeginDelete(step.TargetStep):
    """Note that the backup is going away, if its target can be reached.

    From here on the delete only goes forward, so the steps behind this one
    take no heed of being asked to stop.
    """

    step_name = 'begin'

    def execute(self, backup_id: str) -> str:
        """Record the backup as being deleted; return what it was."""
        with (
            faults.attributed(self._target),
            contextlib.suppress(errors.NotFound, errors.IntegrityError),
        ):
            self._target.show(backup_id)
        catalog = self._environment.catalog
        former = catalog.backup(backup_id).status
        catalog.update_backup(backup_id, status=model.BackupStatus.DELETING)
        return str(former)

    def revert(
        self, run_id: str, backup_id: str, result: Any, flow_failures: Any
    ) -> None:
        """Record it as it was, where the target refused to delete it."""
        if isinstance(result, str):
            ending.spare(
                self._environment.catalog,
                self._target,
                run_id,
                backup_id,
                former=model.BackupStatus(result),
                causes=[one.exception for one in flow_failures.values()],
            )


class Delete(step.TargetStep):
    """Make the backup not exist."""

    step_name = 'delete'
    stoppable = False

    def execute(self, backup_id: str) -> None:
        """Delete it at the target; absent is fine."""
        with faults.attributed(self._target):
            self._target.delete(backup_id)


class RecordDelete(step.Step):
    """Write into the catalog that the backup is gone."""

    step_name = 'record'
    stoppable = False

    def execute(self, run_id: str, backup_id: str) -> None:
        """Settle backup and run."""
        catalog = self._environment.catalog
        catalog.update_backup(backup_id, status=model.BackupStatus.DELETED)
        catalog.finish_run(run_id, catalog_.RunState.DONE)
