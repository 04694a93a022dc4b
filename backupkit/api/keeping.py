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


"""What a program calls for backups that exist, to keep and to use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit.copy import control as control_
from backupkit import model

if TYPE_CHECKING:
    from backupkit.api import results
    from backupkit.api import retention
    from backupkit.drivers import target as target_


_HIDDEN = frozenset({model.BackupStatus.DELETED, model.BackupStatus.ERROR})


class Keeping(session_.Part):
    """The part of the API for backups that exist."""

    def list_backups(
        self,
        *,
        volume: str | None = None,
        target: str | None = None,
        everything: bool = False,
    ) -> list[catalog_.BackupRow]:
        """List the recorded backups, oldest first.

        :param everything: also those that failed or were deleted
        """
        ref = model.VolumeRef.parse(volume) if volume else None
        rows = self._session.catalog.backups(
            backend=None if ref is None else ref.backend,
            volume_id=None if ref is None else ref.volume_id,
            target=target,
        )
        return [row for row in rows if everything or row.status not in _HIDDEN]

    def show_backup(self, backup_id: str) -> catalog_.BackupRow:
        """Return the record of one backup."""
        return self._session.catalog.backup(backup_id)

    def verify_backup(
        self,
        backup_id: str,
        *,
        full: bool = False,
        share: float | None = None,
        control: control_.Control | None = None,
    ) -> target_.Report:
        """Check what is kept of a backup, and record what is found.

        :param full: read every byte, instead of structure and sizes
        :param share: read this share of the bytes, others each time; more
            than 0 and at most 1
        """
        from backupkit.api import upkeep

        return upkeep.verify(
            self._session,
            backup_id,
            control or control_.Control(),
            full=full,
            share=share,
        )

    def delete_backup(
        self, backup_id: str, *, control: control_.Control | None = None
    ) -> catalog_.BackupRow:
        """Make a backup not exist, and return what is recorded of it.

        Others stay whole, whatever they share with it. Space comes back
        with :meth:`collect_garbage`.
        """
        from backupkit.api import upkeep

        return upkeep.delete(
            self._session, backup_id, control or control_.Control()
        )

    def restore_backup(
        self,
        backup_id: str,
        *,
        to: str | None = None,
        new: str | None = None,
        overwrite: bool = False,
        properties: Mapping[str, str] | None = None,
        control: control_.Control | None = None,
    ) -> results.RestoreResult:
        """Write a backup to a volume; each byte is checked before.

        :param to: a volume that exists, of the backup's size or larger
        :param new: a volume to create, deleted again where that fails
        :param overwrite: what ``to`` holds may be lost
        :param properties: for ``new``, in place of those of the backup
        :raises errors.DestinationTooSmall: the backup does not fit
        :raises errors.IntegrityError: what is kept is damaged
        """
        from backupkit.api import restores

        wish = restores.Wish(to, new, overwrite, properties)
        return restores.restore(
            self._session, backup_id, wish, control or control_.Control()
        )

    def copy_backup(
        self,
        backup_id: str,
        *,
        to: str,
        control: control_.Control | None = None,
    ) -> catalog_.BackupRow:
        """Copy a backup to another target, and return the copy's record.

        Its volume is not needed. What the target holds already is not
        moved again, and every byte that moves is checked on the way.

        :param to: the target
        :raises errors.Conflict: the target holds it already
        :raises errors.IntegrityError: what is kept is damaged
        :raises errors.Cancelled: it was, and everything was undone
        """
        from backupkit.api import copies

        return copies.copy(
            self._session, backup_id, to, control or control_.Control()
        )

    def protect_backup(self, backup_id: str) -> catalog_.BackupRow:
        """Keep a backup from being pruned or deleted; return its record.

        :raises errors.Conflict: it is not there, or is just being deleted
        """
        from backupkit.api import prunes

        return prunes.protect(self._session, backup_id, protected=True)

    def unprotect_backup(self, backup_id: str) -> catalog_.BackupRow:
        """Let a backup be pruned and deleted again; return its record."""
        from backupkit.api import prunes

        return prunes.protect(self._session, backup_id, protected=False)

    def prune_backups(
        self,
        rules: retention.Rules,
        *,
        backend: str | None = None,
        volume: str | None = None,
        target: str | None = None,
        empty: bool = False,
        control: control_.Control | None = None,
    ) -> list[results.PruneEntry]:
        """Delete the backups that no rule keeps; tell of all in the scope.

        The rules are applied to each volume on each target by itself, to
        its good backups. What is protected is never deleted.

        :param empty: a volume may lose all of its backups on a target
        :raises errors.UsageError: one would, and may not; nothing was
            deleted
        """
        from backupkit.api import prunes

        scope = prunes.Scope(backend, volume, target)
        return prunes.prune(
            self._session,
            rules,
            scope,
            control or control_.Control(),
            empty=empty,
        )

    def plan_prune(
        self,
        rules: retention.Rules,
        *,
        backend: str | None = None,
        volume: str | None = None,
        target: str | None = None,
    ) -> list[results.PruneEntry]:
        """Tell what :meth:`prune_backups` would do, and do nothing."""
        from backupkit.api import prunes

        scope = prunes.Scope(backend, volume, target)
        return prunes.plan(self._session, rules, scope)

    def export_backups(self, backup_ids: Sequence[str]) -> str:
        """Return the records of backups as one JSON document."""
        from backupkit.api import records

        return records.export(self._session, backup_ids)

    def import_backups(
        self, document: bytes, *, target: str | None = None
    ) -> results.ImportResult:
        """Record the backups of which a document of records tells.

        Nothing in it is believed: each is looked up at its target, and all
        are recorded, or none.

        :param target: where they are; each where its record says by default
        :raises errors.FormatError: the document is none of ours, or tells
            other things than the target
        :raises errors.NotFound: the target holds no such backup
        """
        from backupkit.api import records

        return records.take(self._session, document, target)
