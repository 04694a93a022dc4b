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


"""Tasks at the target's end of a backup: copy, and make it exist."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

from backupkit import catalog as catalog_
from backupkit.copy import reblock
from backupkit.drivers import opened as opened_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import ending
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import plain
from backupkit.flows import reading
from backupkit.flows.tasks import step
from backupkit import model

Plain = Mapping[str, Any]


class Writing(step.TargetStep):
    """A task that writes everything of a backup but its commit."""

    step_name = 'copy'
    gives = keys.PREPARED

    def revert(
        self, run_id: str, backup_id: str, result: Any, flow_failures: Any
    ) -> None:
        """Remove what was written, in the order that commits demand."""
        self.undo(
            self._target,
            f'remove what backup {backup_id} wrote to '
            f'target {self._target.name}',
            functools.partial(self._abandon, run_id, backup_id),
        )

    def _abandon(self, run_id: str, backup_id: str) -> None:
        ending.abandon(
            self._environment.catalog, self._target, run_id, backup_id
        )


class Copy(Writing):
    """Bring the volume's bytes to the target."""

    def __init__(
        self,
        environment: environment_.Environment,
        driver: volume_.VolumeDriver,
        target: target_.Target,
        *,
        steady: bool = False,
    ) -> None:
        super().__init__(environment, target)
        self._driver = driver
        self._steady = steady

    def execute(self, request: Plain, attachment: Plain) -> dict[str, Any]:
        """Write everything of the backup but what makes it exist."""
        attached = model.Attachment.from_dict(attachment)
        asked = plain.to_request(request)
        # The size is that of what is read: the volume may have grown since.
        volume = dataclasses.replace(
            asked.volume, size_bytes=attached.size_bytes
        )
        catalog = self._environment.catalog
        with (
            faults.suspending(self._target),
            faults.attributed(self._target),
            reading.Source(self._driver, attached, catalog) as source,
        ):
            prepared = self._target.backup(
                dataclasses.replace(
                    asked,
                    volume=volume,
                    steady=self._steady,
                    resumed=self._environment.resumed,
                ),
                source.open,
                catalog.coordinator(),
                self._environment.control,
            )
        return prepared.to_dict()


class Replicate(Writing):
    """Bring a backup of another target to this one."""

    def __init__(
        self,
        environment: environment_.Environment,
        source: target_.Target,
        target: target_.Target,
    ) -> None:
        super().__init__(environment, target)
        self._source = source

    def execute(self, request: Plain, source_id: str) -> dict[str, Any]:
        """Write everything of the copy but what makes it exist.

        :raises errors.Suspended: one of the targets stays away
        """
        asked = plain.to_request(request)
        environment = self._environment
        try:
            with (
                faults.attributed(self._source),
                self._source.open_backup(
                    source_id,
                    environment.catalog.coordinator(),
                    environment.control,
                ) as opened,
                faults.attributed(self._target),
            ):
                prepared = self._write(asked, opened)
        except errors.TargetUnavailable as exc:
            raise errors.Suspended(
                f'target {self._source.name} or {self._target.name} stayed '
                f'away: {exc}'
            ) from exc
        return prepared.to_dict()

    def _write(
        self, asked: model.BackupRequest, opened: opened_.OpenedBackup
    ) -> target_.Prepared:
        volume = dataclasses.replace(
            asked.volume,
            size_bytes=opened.summary.size_bytes,
            format=opened.volume_format,
            generation=opened.summary.volume_generation,
            properties=dict(opened.volume_properties),
        )
        reader = reblock.Reblocked(opened.reader, opened.block_bytes)
        return self._target.backup(
            dataclasses.replace(
                asked,
                volume=volume,
                # A backup never changes.
                steady=True,
                resumed=self._environment.resumed,
            ),
            lambda _: reader,
            self._environment.catalog.coordinator(),
            self._environment.control,
        )


class Record(step.TargetStep):
    """Make the backup exist, and write it into the catalog.

    Has no ``revert``: whether it came to exist is settled by that of
    :class:`Copy`.
    """

    step_name = 'record'
    gives = keys.SUMMARY

    def execute(
        self,
        run_id: str,
        prepared: Plain,
        consistent: bool = True,  # noqa: FBT001, FBT002 - named by its key
    ) -> dict[str, Any]:
        """Commit, unless the run was aborted meanwhile.

        :raises errors.RunAborted: it was
        """
        backup = target_.Prepared.from_dict(prepared)
        catalog = self._environment.catalog
        if catalog.run(run_id).state != catalog_.RunState.DONE:
            if not consistent:
                backup = self._target.revise(backup, consistent=False)
            catalog.begin_commit(run_id)
            with (
                faults.suspending(
                    self._target, always=ending.is_racy(self._target)
                ),
                faults.attributed(self._target),
            ):
                self._target.commit(backup)
            catalog.finish_backup(run_id, backup.summary)
        return backup.summary.to_dict()
