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


"""Tasks of a restore: a volume to write to, and its bytes."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import functools
from typing import Any

from taskflow.types import failure

from backupkit import catalog as catalog_
from backupkit.copy import opening
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import ledger as ledger_
from backupkit.flows import progress
from backupkit.flows.tasks import step
from backupkit import model

Plain = Mapping[str, Any]


class DestinationStep(step.VolumeStep):
    """A task that prepares or settles the volume that is written."""

    def _thing(self, run_id: str, volume_id: str) -> ledger_.Thing:
        name = str(model.VolumeRef(self._driver.name, volume_id))
        return ledger_.Thing(run_id, ledger_.VOLUME, name)


class CreateVolume(DestinationStep):
    """Make the new volume that is asked for.

    Its name is the operator's, not derived: somebody else may make one of
    that name at the same moment. So only a volume that is known to be made
    here, by its ledger entry, is ever deleted.
    """

    step_name = 'create-volume'

    def execute(
        self, run_id: str, volume_id: str, size_bytes: int, properties: Plain
    ) -> None:
        """Create the volume, or find the one made before.

        It is of the least size that the driver makes from this one on.

        :raises errors.VolumeExists: there is one that is not ours
        :raises errors.Conflict: likewise, or it cannot be told
        """
        thing = self._thing(run_id, volume_id)
        claimed = self._ledger.find(thing)
        entry = claimed or self._ledger.claim(
            thing,
            {
                'backend': self._driver.name,
                'volume_id': volume_id,
                'made': False,
                'generation': '',
            },
        )
        if entry.details['made']:
            return
        try:
            with faults.attributed(self._driver):
                if claimed:
                    # An attempt that died may have made it already.
                    delete_volume(self._driver, claimed)
                volume = self._driver.create_like(
                    volume_id, self._driver.round_size(size_bytes), properties
                )
        except errors.VolumeExists:
            self._ledger.release(thing)
            raise
        self._ledger.describe(
            entry, {'made': True, 'generation': volume.generation}
        )

    def revert(
        self, run_id: str, volume_id: str, result: Any, flow_failures: Any
    ) -> None:
        """Delete the volume, if it was made here."""
        thing = self._thing(run_id, volume_id)
        failed = isinstance(result, failure.Failure)

        def delete() -> None:
            self._environment.catalog.check_attempt(run_id)
            entry = self._ledger.find(thing)
            if entry is None:
                return
            # A create that failed has left nothing.
            if entry.details['made'] or not failed:
                self._driver.delete(volume_id)
                self._environment.catalog.destination_done(
                    self._driver.name, volume_id
                )
            self._ledger.release(thing)

        self.undo(self._driver, f'delete volume {thing.name}', delete)


class BeginDestination(DestinationStep):
    """Note that the volume is going to be overwritten.

    There is no inverse: from here on the volume is neither what it was nor
    yet the backup, until a restore to it ends well.
    """

    step_name = 'begin'

    def execute(
        self,
        run_id: str,
        backup_id: str,
        volume_id: str,
        attachment: Plain,
        size_bytes: int,
    ) -> None:
        """Record the volume as incomplete, if the backup fits into it.

        :raises errors.DestinationTooSmall: it does not
        :raises errors.NotSupported: its format cannot be written
        """
        name = model.VolumeRef(self._driver.name, volume_id)
        attached = model.Attachment.from_dict(attachment)
        opening.check_format(attached)
        if attached.size_bytes < size_bytes:
            raise errors.DestinationTooSmall(
                f'volume {name} has {attached.size_bytes} bytes, '
                f'but the backup has {size_bytes}'
            )
        self._environment.catalog.destination_begin(
            self._driver.name, volume_id, run_id, backup_id
        )


class Write(step.Step):
    """Write the backup's bytes to the volume."""

    step_name = 'write'
    gives = keys.SUMMARY

    def __init__(
        self,
        environment: environment_.Environment,
        target: target_.Target,
        *,
        reads_zero: bool,
    ) -> None:
        super().__init__(environment)
        self._target = target
        self._reads_zero = reads_zero

    def execute(
        self, run_id: str, backup_id: str, attachment: Plain, size_bytes: int
    ) -> dict[str, Any]:
        """Write every byte, each checked before, and make it durable.

        What an earlier attempt has written is not written again.
        """
        catalog = self._environment.catalog
        resumed = self._environment.resumed
        attached = model.Attachment.from_dict(attachment)
        with (
            faults.suspending(self._target),
            faults.attributed(self._target),
            contextlib.closing(
                opening.open_writer(
                    attached, size_bytes, reads_zero=self._reads_zero
                )
            ) as opened,
            contextlib.closing(
                progress.Progressing(
                    opened,
                    size_bytes,
                    functools.partial(catalog.keep_journal, run_id),
                    catalog.journal(run_id) if resumed else '',
                    free_zeros=self._reads_zero,
                )
            ) as writer,
        ):
            summary = self._target.restore(
                backup_id,
                writer,
                catalog.coordinator(),
                self._environment.control,
            )
            writer.finish()
        return summary.to_dict()


class RecordRestore(DestinationStep):
    """Write into the catalog that the volume is whole."""

    step_name = 'record'

    def execute(self, run_id: str, volume_id: str, summary: Plain) -> None:
        """Settle destination, ledger and run.

        ``summary`` is asked for only to come after the writing.

        :raises errors.RunAborted: the run was aborted meanwhile
        """
        catalog = self._environment.catalog
        if catalog.run(run_id).state == catalog_.RunState.ABORTED:
            raise errors.RunAborted(f'run {run_id} was aborted meanwhile')
        catalog.destination_done(self._driver.name, volume_id)
        self._ledger.release(self._thing(run_id, volume_id))
        catalog.finish_run(run_id, catalog_.RunState.DONE)


def delete_volume(
    driver: volume_.VolumeDriver, entry: catalog_.LedgerEntry
) -> None:
    """Delete a volume that was made for a restore, and no other one.

    Where only the intent is known, somebody else may have made it: then it
    goes only if it holds nothing at all.
    """
    volume_id = entry.details['volume_id']
    try:
        volume = driver.show(volume_id)
    except errors.VolumeNotFound:
        return
    if entry.details['made']:
        ours = volume.generation == entry.details['generation']
    elif volume.allocated_bytes == 0 and not volume.in_use:
        ours = True
    else:
        raise errors.Conflict(
            f'whether volume {entry.name} was made by the run is not known; '
            f'if it is of no use: backupkit volume delete {entry.name}'
        )
    if ours:
        driver.delete(volume_id)
