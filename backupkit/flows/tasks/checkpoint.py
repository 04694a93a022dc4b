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

"""Tasks of checkpoints: what tells the next backup what changed.

A checkpoint only saves reading. So a backup never fails for want of one,
and what is in doubt is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import Any

from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import checkpoints
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import ledger as ledger_
from backupkit.flows import recovery
from backupkit.flows.tasks import source
from backupkit.flows.tasks import step
from backupkit import model

Plain = Mapping[str, Any]


class CheckpointStep(source.SourceStep):
    """A task that keeps or settles the checkpoint of a backup."""

    def __init__(
        self,
        environment: environment_.Environment,
        driver: volume_.VolumeDriver,
        target: target_.Target,
    ) -> None:
        super().__init__(environment, driver)
        self._target = target

    def _thing(self, run_id: str, backup_id: str) -> ledger_.Thing:
        name = ledger_.derived_name(backup_id)
        return ledger_.Thing(run_id, ledger_.CHECKPOINT, name)

    def _drop(self, run_id: str, backup_id: str, volume_id: str) -> None:
        thing = self._thing(run_id, backup_id)

        def drop() -> None:
            self._environment.catalog.check_attempt(run_id)
            if self._ledger.find(thing) is not None:
                self._driver.drop_checkpoint(volume_id, thing.name)
                self._ledger.release(thing)

        self.undo(self._driver, f'drop checkpoint {thing.name}', drop)


class KeepCheckpoint(CheckpointStep):
    """Keep what tells later what changed since this backup.

    It takes the place of the snapshot that was read. Without a snapshot it
    comes before the reading.
    """

    step_name = 'keep-checkpoint'
    gives = keys.CHECKPOINT

    def execute(
        self,
        run_id: str,
        backup_id: str,
        volume_id: str,
        snapshot: Plain | None = None,
    ) -> bool:
        """Tell whether there is a checkpoint; the snapshot is gone."""
        kept = self._keep(run_id, backup_id, volume_id)
        if snapshot is None:
            return kept
        taken = model.Snapshot.from_dict(snapshot)
        if kept:
            self._ledger.release(
                ledger_.Thing(run_id, ledger_.SNAPSHOT, taken.name)
            )
        else:
            self._delete_snapshot(run_id, taken)
        return kept

    def _keep(self, run_id: str, backup_id: str, volume_id: str) -> bool:
        thing = self._thing(run_id, backup_id)
        self._ledger.claim(
            thing,
            {
                'backend': self._driver.name,
                'volume_id': volume_id,
                'target': self._target.name,
            },
        )
        try:
            with faults.attributed(self._driver):
                self._driver.keep_checkpoint(volume_id, thing.name)
        except errors.NotSupported as exc:
            step.LOG.debug('no checkpoint is kept: %s', exc)
        except errors.BackupkitError as exc:
            step.LOG.warning(
                'the next backup of %s:%s reads all of it, because no '
                'checkpoint could be kept: %s',
                self._driver.name,
                volume_id,
                exc,
            )
        else:
            return True
        self._drop(run_id, backup_id, volume_id)
        return False

    def revert(
        self,
        run_id: str,
        backup_id: str,
        volume_id: str,
        result: Any,
        flow_failures: Any,
    ) -> None:
        """Drop it: nothing rests on it without the backup."""
        self._drop(run_id, backup_id, volume_id)


class SettleCheckpoint(CheckpointStep):
    """Retain the checkpoint of a backup that exists now.

    The one before it, of the same volume and target, has done its duty.
    Nothing here can fail the run, which is over.
    """

    step_name = 'settle-checkpoint'
    stoppable = False

    def execute(
        self,
        run_id: str,
        backup_id: str,
        volume_id: str,
        checkpoint: bool,  # noqa: FBT001 - arguments are named by their keys
        summary: Plain,
    ) -> None:
        """Retain it and drop the older ones.

        ``summary`` is asked for only to come after the commit.
        """
        thing = self._thing(run_id, backup_id)
        entry = self._ledger.find(thing)
        if not checkpoint or entry is None:
            return
        self._ledger.retain(entry)
        for older in checkpoints.retained(
            self._environment.catalog,
            model.VolumeRef(self._driver.name, volume_id),
            self._target.name,
        ):
            if older.name != thing.name:
                self.undo(
                    self._driver,
                    f'drop checkpoint {older.name}',
                    functools.partial(
                        recovery.remove, self._environment, older
                    ),
                )
