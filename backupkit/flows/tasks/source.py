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


"""Tasks at the volume's end of a backup: snapshot, attach, and back."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import socket
from typing import Any

from taskflow.types import failure

from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit.flows import environment as environment_
from backupkit.flows import faults
from backupkit.flows import keys
from backupkit.flows import ledger as ledger_
from backupkit.flows.tasks import step
from backupkit import model

Plain = Mapping[str, Any]


class SourceStep(step.VolumeStep):
    """A task that reads a volume."""

    def _delete_snapshot(self, run_id: str, snapshot: model.Snapshot) -> None:
        thing = ledger_.Thing(run_id, ledger_.SNAPSHOT, snapshot.name)

        def delete() -> None:
            self._environment.catalog.check_attempt(run_id)
            if self._ledger.find(thing) is not None:
                self._driver.delete_snapshot(snapshot)
                self._ledger.release(thing)

        self.undo(self._driver, f'delete snapshot {snapshot.name}', delete)

    def _detach(
        self, run_id: str, backup_id: str, attachment: Plain | None
    ) -> None:
        """Detach what is attached, if anything is.

        What is proved gone is not detached again: by now its path may
        belong to somebody else.
        """
        name = ledger_.derived_name(backup_id)

        def detach() -> None:
            self._environment.catalog.check_attempt(run_id)
            thing = self._attached(run_id, backup_id)
            if self._ledger.find(thing) is None:
                return
            if attachment is not None:
                self._driver.detach(model.Attachment.from_dict(attachment))
            self._ledger.release(thing)

        self.undo(self._driver, f'detach {name}', detach)

    def _attached(self, run_id: str, backup_id: str) -> ledger_.Thing:
        """Name what is attached, or will be, on this host.

        What the run had attached on another one is left to that host.
        """
        name = ledger_.derived_name(backup_id)
        thing = ledger_.Thing(run_id, ledger_.ATTACHMENT, name)
        host = socket.gethostname()
        entry = self._ledger.find(thing)
        if entry is None or entry.host == host:
            return thing
        return ledger_.Thing(run_id, ledger_.ATTACHMENT, f'{name}@{host}')


class Snapshot(SourceStep):
    """Take a point in time of the volume."""

    step_name = 'snapshot'
    gives = keys.SNAPSHOT

    def execute(
        self, run_id: str, backup_id: str, volume_id: str
    ) -> dict[str, Any]:
        """Make the snapshot, or find the one made before."""
        name = ledger_.derived_name(backup_id)
        self._ledger.claim(
            ledger_.Thing(run_id, ledger_.SNAPSHOT, name),
            {'backend': self._driver.name, 'volume_id': volume_id},
        )
        with faults.attributed(self._driver):
            return self._driver.snapshot(volume_id, name).to_dict()

    def revert(
        self,
        run_id: str,
        backup_id: str,
        volume_id: str,
        result: Any,
        flow_failures: Any,
    ) -> None:
        """Remove the snapshot; after a failure there may be half of one."""
        if isinstance(result, failure.Failure):
            name = ledger_.derived_name(backup_id)
            snapshot = model.Snapshot(name, volume_id, 0)
        else:
            snapshot = model.Snapshot.from_dict(result)
        self._delete_snapshot(run_id, snapshot)


class Attach(SourceStep):
    """Make the volume or its snapshot readable, or writable, here."""

    step_name = 'attach'
    gives = keys.ATTACHMENT

    def __init__(
        self,
        environment: environment_.Environment,
        driver: volume_.VolumeDriver,
        *,
        writable: bool = False,
    ) -> None:
        super().__init__(environment, driver)
        self._writable = writable

    def execute(
        self,
        run_id: str,
        backup_id: str,
        volume_id: str,
        snapshot: Plain | None = None,
    ) -> dict[str, Any]:
        """Attach; what an interrupted attempt had attached goes first."""
        entry = self._ledger.claim(
            self._attached(run_id, backup_id),
            {
                'backend': self._driver.name,
                'volume_id': volume_id,
                'snapshot': snapshot,
                'writable': self._writable,
                'attachment': None,
            },
        )
        with contextlib.ExitStack() as made, faults.attributed(self._driver):
            former = entry.details['attachment']
            if former is not None:
                self._driver.detach(model.Attachment.from_dict(former))
            attachment = attach(
                self._driver, volume_id, snapshot, writable=self._writable
            )
            made.callback(self._driver.detach, attachment)
            plain = attachment.to_dict()
            self._ledger.describe(entry, {'attachment': plain})
            made.pop_all()
        return plain

    def revert(
        self, run_id: str, backup_id: str, result: Any, flow_failures: Any
    ) -> None:
        """Detach; an attach that failed has left nothing attached."""
        failed = isinstance(result, failure.Failure)
        self._detach(run_id, backup_id, None if failed else result)


def attach(
    driver: volume_.VolumeDriver,
    volume_id: str,
    snapshot: Plain | None,
    *,
    writable: bool,
) -> model.Attachment:
    """Attach a volume for writing, or it or its snapshot for reading."""
    if writable:
        return driver.attach_volume(volume_id)
    return driver.attach(
        volume_id,
        None if snapshot is None else model.Snapshot.from_dict(snapshot),
    )


class Fingerprint(SourceStep):
    """Note what the volume's bytes are before they are read."""

    step_name = 'fingerprint'
    gives = keys.FINGERPRINT

    def execute(self, attachment: Plain) -> str:
        """Return the driver's fingerprint of the volume."""
        with faults.attributed(self._driver):
            return self._driver.fingerprint(
                model.Attachment.from_dict(attachment)
            )


class Compare(SourceStep):
    """Make sure that the volume stayed the same while it was read."""

    step_name = 'compare'
    gives = keys.CONSISTENT

    def execute(
        self,
        volume_id: str,
        attachment: Plain,
        fingerprint: str,
        prepared: Plain,
        force: bool,  # noqa: FBT001 - arguments are named by their keys
    ) -> bool:
        """Tell whether the copy is of one moment.

        ``prepared`` is asked for only to come after the copy.

        :raises errors.VolumeChanged: it is not, and must be
        """
        with faults.attributed(self._driver):
            now = self._driver.fingerprint(
                model.Attachment.from_dict(attachment)
            )
        if now == fingerprint:
            return True
        changed = (
            f'volume {self._driver.name}:{volume_id} changed while it was '
            'read without a snapshot'
        )
        if not force:
            raise errors.VolumeChanged(f'{changed}; --force keeps such a copy')
        step.LOG.warning('%s: the backup is not consistent', changed)
        return False


class Detach(SourceStep):
    """Let go of what was attached.

    A failure here does not spoil what was copied: it is told, and the
    ledger keeps the entry.
    """

    step_name = 'detach'

    def execute(self, run_id: str, backup_id: str, attachment: Plain) -> None:
        """Detach, unless that was done before."""
        self._detach(run_id, backup_id, attachment)


class DeleteSnapshot(SourceStep):
    """Remove the snapshot; a failure is told, as in :class:`Detach`."""

    step_name = 'delete-snapshot'

    def execute(self, run_id: str, snapshot: Plain) -> None:
        """Delete the snapshot, unless that was done before."""
        self._delete_snapshot(run_id, model.Snapshot.from_dict(snapshot))
