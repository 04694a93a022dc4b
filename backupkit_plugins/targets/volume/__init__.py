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

"""Target driver ``volume``: each backup is a volume of some backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
from typing import ClassVar, TYPE_CHECKING

from oslo_config import cfg

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import capability
from backupkit.drivers import contract
from backupkit.drivers import opened as opened_
from backupkit.drivers import target as target_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import moving
from backupkit.repository.image import options
from backupkit.repository import limits
from backupkit.repository import selection

if TYPE_CHECKING:
    from backupkit_plugins.targets.volume import place as place_

OPTIONS = [
    cfg.StrOpt(
        'backend',
        required=True,
        help='Name of the backend on which backups are kept, each as a '
        'volume: there must be a section [backend:NAME], and its driver must '
        'be able to create volumes. The backend need not be enabled. There '
        'is no default.',
    ),
    cfg.StrOpt(
        'digest',
        choices=('blake3', 'sha256'),
        default='blake3',
        help='Digest of what new backups hold: blake3 is the quickest, '
        'sha256 is for hosts that must follow FIPS 140. By default blake3.',
    ),
    options.OFFLOAD,
]


class VolumeTarget(target_.Target):
    """Keeps each backup as a volume of another backend."""

    contract_version = '1.0'
    capabilities: ClassVar[capability.TargetCapabilities] = (
        capability.TargetCapabilities(transfer=True, separate_storage=True)
    )

    def __init__(self, name: str, section: contract.Section) -> None:
        super().__init__(name, section)
        self._load: Callable[[str], volume_.VolumeDriver] | None = None
        self.threads = 4

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return OPTIONS

    def use_backends(
        self, load: Callable[[str], volume_.VolumeDriver]
    ) -> None:
        self._load = load

    @property
    def kept_on(self) -> str | None:
        return str(self.section.backend)

    def set_environment(
        self, cache_directory: str, threads: int, budget_bytes: int
    ) -> None:
        self.threads = moving.threads(threads, budget_bytes)

    @functools.cached_property
    def place(self) -> place_.Place:
        """The backend, as a place for backups."""
        if self._load is None:
            raise errors.ConfigurationError(
                f'[target:{self.name}] has not been told where its backend is'
            )
        from backupkit_plugins.targets.volume import place

        return place.Place(self.name, self._load(self.section.backend))

    def check(self) -> capability.TargetCapabilities:
        if not self.place.check().create:
            raise errors.ConfigurationError(
                f'[target:{self.name}] backend {self.section.backend} cannot '
                'create volumes, so it cannot keep backups'
            )
        return self.capabilities

    def storage_identity(self) -> model.StorageIdentity | None:
        return self.place.storage_identity()

    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        from backupkit.repository.image import create

        if request.backend == self.section.backend:
            raise errors.ConfigurationError(
                f'volume {request.backend}:{request.volume.volume_id} lies '
                f'on the very backend on which target {self.name} keeps its '
                'backups: what destroys the one destroys the others'
            )
        form = create.Form(
            limits.DEFAULT_CHUNK_BYTES,
            self.section.digest,
            self.section.offload != 'none',
        )
        making = create.Creation(self.place, request, form)
        return making.run(open_reader, coordinator, self._move, control)

    def _move(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
        block_bytes: int,
    ) -> None:
        moving.move(
            self,
            reader,
            writer,
            control,
            block_bytes=block_bytes,
            threads=self.threads,
        )

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        """Let the file system share or copy blocks, as the section allows.

        Declined for all but the image of a new backup.
        """
        return moving.transfer(self.section.offload, reader, writer, control)

    def revise(
        self, prepared: target_.Prepared, *, consistent: bool
    ) -> target_.Prepared:
        from backupkit.repository.image import create

        return create.revise(prepared, consistent=consistent)

    def commit(self, prepared: target_.Prepared) -> None:
        backup_id = prepared.summary.backup_id
        try:
            with self.place.written(backup_id) as volume:
                volume.commit(prepared.document)
        except errors.NotFound as exc:
            # Whoever aborts a run deletes its volume.
            raise errors.RunAborted(f'backup {backup_id} is gone') from exc

    def abort(
        self, backup_id: str, confirm: Callable[[], bool] | None = None
    ) -> bool:
        try:
            with self.place.written(backup_id) as volume:
                if not volume.abort():
                    return False
        except errors.NotFound:
            return True
        if confirm is not None and not confirm():
            return False
        self.place.delete(backup_id)
        return True

    def restore(
        self,
        backup_id: str,
        writer: interface.Writer,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> model.BackupSummary:
        with self.open_backup(backup_id, coordinator, control) as opened:
            control.start('restore', opened.reader.size_bytes)
            self._move(opened.reader, writer, control, opened.block_bytes)
            writer.finish()
            return opened.summary

    def open_backup(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> contextlib.AbstractContextManager[opened_.OpenedBackup]:
        return self.place.open_backup(backup_id)

    def verify(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        full: bool = False,
    ) -> target_.Report:
        reads = selection.All() if full else selection.Nothing()
        return self._verify(backup_id, control, reads)

    def verify_sample(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        share: float,
    ) -> target_.Report:
        return self._verify(backup_id, control, selection.Sample(share))

    def _verify(
        self,
        backup_id: str,
        control: control_.Control,
        reads: selection.Selection,
    ) -> target_.Report:
        from backupkit.repository.image import check

        name = self.place.volume_id(backup_id)
        try:
            with self.place.read(backup_id) as kept:
                if kept.reader.map is not None:
                    return check.check(
                        kept.reader,
                        name,
                        backup_id,
                        control,
                        threads=self.threads,
                        reads=reads,
                    )
            return self._first_verify(backup_id, control)
        except errors.IntegrityError as exc:
            finding = target_.Finding(name, str(exc), (backup_id,))
            return target_.Report(objects=1, findings=(finding,))

    def _first_verify(
        self, backup_id: str, control: control_.Control
    ) -> target_.Report:
        """Put the digest tree of a backup of which no byte was read."""
        from backupkit.repository.image import check

        with self.place.written(backup_id) as volume:
            return check.complete(volume, control, threads=self.threads)

    def delete(self, backup_id: str) -> None:
        self.place.delete(model.check_backup_id(backup_id))

    def show(self, backup_id: str) -> model.BackupSummary:
        with self.place.read(backup_id) as kept:
            return kept.summary

    def list(self) -> Iterator[model.BackupSummary | target_.Finding]:
        for backup_id in self.place.backup_ids():
            try:
                yield self.show(backup_id)
            except errors.NotFound:
                continue
            except errors.IntegrityError as exc:
                name = self.place.volume_id(backup_id)
                yield target_.Finding(name, str(exc), (backup_id,))

    def leftovers(self) -> Iterator[str]:
        for backup_id in self.place.backup_ids():
            # What is damaged may have been committed: it is no leftover.
            with contextlib.suppress(errors.NotFound, errors.IntegrityError):
                if not self.place.is_committed(backup_id):
                    yield backup_id
