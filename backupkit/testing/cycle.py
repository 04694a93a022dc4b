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


"""What flows do with a target, in a few lines and without a catalog."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import uuid

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import opened as opened_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import target as repository_target
from backupkit.testing.memory import catalog
from backupkit.testing import plain

#: A collection comes to its end in fewer calls than this.
COLLECTIONS = 4


@dataclasses.dataclass(slots=True)
class Run:
    """A run that was registered, and what it has prepared so far."""

    backup_id: str
    number: int
    prepared: target_.Prepared | None = None


class Cycle:
    """The life of backups on one target, in the order that is prescribed.

    :param coordinator: the catalog that writes to the target
    """

    def __init__(
        self,
        target: target_.Target,
        coordinator: catalog.MemoryCoordinator | None = None,
    ) -> None:
        self.target = target
        self.coordinator = coordinator or catalog.MemoryCoordinator()

    def begin(self) -> Run:
        """Register the run of a new backup."""
        backup_id = str(uuid.uuid4())
        return Run(backup_id, self.coordinator.begin(backup_id))

    def prepare(
        self,
        run: Run,
        volume: model.Volume,
        open_reader: target_.OpenReader,
        *,
        full: bool = False,
        control: control_.Control | None = None,
    ) -> target_.Prepared:
        """Let the target write all but what makes the backup exist."""
        request = model.BackupRequest(
            backup_id=run.backup_id,
            run_number=run.number,
            backend='suite',
            volume=volume,
            name='made by a suite',
            full=full,
            created_at='2026-01-02T03:04:05+00:00',
        )
        run.prepared = self.target.backup(
            request,
            open_reader,
            self.coordinator,
            control or control_.Control(),
        )
        return run.prepared

    def commit(self, run: Run) -> model.BackupSummary:
        """Commit what was prepared, and record it."""
        if run.prepared is None:
            raise AssertionError('nothing is prepared')
        self.target.commit(run.prepared)
        self.coordinator.record(run.number, run.prepared.summary)
        return run.prepared.summary

    def abort(self, run: Run) -> bool:
        """Abort a run; return whether it is undone, or was committed."""
        undone = self.target.abort(run.backup_id)
        if undone:
            self.coordinator.end(run.number)
        elif run.prepared:
            self.coordinator.record(run.number, run.prepared.summary)
        return undone

    def backup(
        self,
        volume: plain.PlainVolume,
        *,
        full: bool = False,
        control: control_.Control | None = None,
    ) -> model.BackupSummary:
        """Back up a volume; a failure is undone.

        What fails behind its commit is there all the same.
        """
        run = self.begin()
        try:
            self.prepare(
                run,
                volume.describe(),
                volume.open,
                full=full,
                control=control,
            )
            summary = self.commit(run)
        except errors.BackupkitError:
            if not self.abort(run):
                volume.history[run.backup_id] = bytes(volume.data)
            raise
        volume.history[run.backup_id] = bytes(volume.data)
        return summary

    def restore(
        self,
        backup_id: str,
        writer: interface.Writer,
        control: control_.Control | None = None,
    ) -> model.BackupSummary:
        """Restore a backup, as a registered run."""
        number = self.coordinator.begin(backup_id)
        try:
            return self.target.restore(
                backup_id,
                writer,
                self.coordinator,
                control or control_.Control(),
            )
        finally:
            self.coordinator.end(number)

    @contextlib.contextmanager
    def open_backup(self, backup_id: str) -> Iterator[opened_.OpenedBackup]:
        """Open a backup to be read, as a registered run."""
        number = self.coordinator.begin(backup_id)
        try:
            with self.target.open_backup(
                backup_id, self.coordinator, control_.Control()
            ) as opened:
                yield opened
        finally:
            self.coordinator.end(number)

    def verify(self, backup_id: str, *, full: bool = True) -> target_.Report:
        """Verify a backup, as a registered run."""
        number = self.coordinator.begin(backup_id)
        try:
            return self.target.verify(
                backup_id, self.coordinator, control_.Control(), full=full
            )
        finally:
            self.coordinator.end(number)

    def verify_sample(self, backup_id: str, share: float) -> target_.Report:
        """Verify a share of a backup, as a registered run."""
        number = self.coordinator.begin(backup_id)
        try:
            return self.target.verify_sample(
                backup_id, self.coordinator, control_.Control(), share=share
            )
        finally:
            self.coordinator.end(number)

    def delete(self, backup_id: str) -> None:
        """Delete a backup, and its record."""
        self.target.delete(backup_id)
        self.coordinator.remove(backup_id)

    def collect(self) -> None:
        """Collect, until nothing is left to be waited for."""
        repository = self.target
        if not isinstance(repository, repository_target.RepositoryTarget):
            return
        for _ in range(COLLECTIONS):
            result = repository.collect(self.coordinator, control_.Control())
            if not result.waiting_for:
                return
        raise AssertionError(
            f'no end after {COLLECTIONS} collections: {result}'
        )

    def listed(self) -> dict[str, model.BackupSummary]:
        """Return the backups that the target lists, by their ids."""
        found = {}
        for backup in self.target.list():
            if isinstance(backup, target_.Finding):
                raise AssertionError(f'{backup.name}: {backup.problem}')
            found[backup.backup_id] = backup
        return found
