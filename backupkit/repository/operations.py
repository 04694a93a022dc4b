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

"""What a repository target does, behind its thin front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import opened as opened_
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import chunks as chunks_
from backupkit.repository import codec as codec_
from backupkit.repository import create
from backupkit.repository import fetch
from backupkit.repository import frame
from backupkit.repository.image import operations as images
from backupkit.repository import layout
from backupkit.repository import maintenance
from backupkit.repository import manifest as manifest_
from backupkit.repository import overview
from backupkit.repository import reader as reader_
from backupkit.repository import repository as repository_


class Operations(maintenance.Maintenance):
    """Does what :class:`.target.RepositoryTarget` offers."""

    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        with self._target.opened(control) as store:
            repository = self._prepare(store, coordinator)
            if self._target.layout == images.LAYOUT:
                return images.backup(
                    self._target,
                    repository,
                    request,
                    open_reader,
                    coordinator,
                    control=control,
                )
            encoder = codec_.Encoder(
                self._target.section.codec or repository.settings.codec,
                self._target.section.compression_level,
            )
            creation = create.Creation(
                repository,
                request,
                coordinator,
                cache_directory=self._target.cache_directory,
                means=create.Means(
                    self._buffers(repository), self._target.threads
                ),
                encoder=encoder,
            )
            return creation.run(open_reader, self._move, control)

    def _buffers(self, repository: repository_.Repository) -> int:
        """Return how many packs may be in memory: at least three."""
        spare = (
            self._target.budget_bytes
            - self._target.threads * 2 * pipeline.BATCH_BYTES
        )
        wanted = self._target.put_threads + 2
        return max(3, min(wanted, spare // repository.settings.pack_bytes))

    def _move(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
        block_bytes: int,
    ) -> None:
        if not self._target.transfer(reader, writer, control):
            pipeline.copy(
                reader,
                writer,
                control,
                block_bytes=block_bytes,
                threads=self._target.threads,
            )

    def revise(
        self, prepared: target_.Prepared, *, consistent: bool
    ) -> target_.Prepared:
        backup_id = prepared.summary.backup_id
        if images.is_image(prepared.document.encode()):
            return images.revise(prepared, consistent=consistent)
        manifest = manifest_.load(prepared.document.encode(), backup_id)
        summary = dataclasses.replace(manifest.summary, consistent=consistent)
        manifest = dataclasses.replace(manifest, summary=summary)
        return target_.Prepared(summary, manifest_.dump(manifest))

    def commit(self, prepared: target_.Prepared) -> None:
        with self._target.opened() as store:
            repository = self._existing(store)
            backup_id = prepared.summary.backup_id
            repository.put_manifest(backup_id, prepared.document)
            self._remove_journal(store, backup_id)
            if images.is_image(prepared.document.encode()):
                images.clear_attempts(repository, prepared)

    def _remove_journal(self, store: store_.Store, backup_id: str) -> None:
        """Remove what only whoever resumes the copy would need.

        What is left of it is removed by gc.
        """
        with contextlib.suppress(errors.TargetError):
            journal = layout.journal(backup_id)
            if names := [stat.name for stat in store.list(journal)]:
                store.delete_many(names)

    def abort(
        self, backup_id: str, confirm: Callable[[], bool] | None
    ) -> bool:
        with self._target.opened() as store:
            repository = repository_.open_repository(store)
            if repository is None:
                return True
            if not repository.put_tombstone(backup_id):
                return False
            if confirm is not None and not confirm():
                return False
            tombstone = layout.manifest(backup_id)
            store.delete_many(
                [
                    stat.name
                    for stat in store.list(layout.base(backup_id))
                    if stat.name != tombstone
                ]
            )
            return True

    def restore(
        self,
        backup_id: str,
        writer: interface.Writer,
        control: control_.Control,
    ) -> model.BackupSummary:
        """See :meth:`.target.RepositoryTarget.restore`."""
        with self.open_backup(backup_id, control) as opened:
            control.start('restore', opened.reader.size_bytes)
            move = images.mover(self._target, opened.reader) or self._move
            move(opened.reader, writer, control, opened.block_bytes)
            writer.finish()
            return opened.summary

    @contextlib.contextmanager
    def open_backup(
        self, backup_id: str, control: control_.Control
    ) -> Iterator[opened_.OpenedBackup]:
        """Lend a backup, to be read."""
        with self._reading(control) as (repository, cache):
            manifest = repository.any_manifest(backup_id)
            if not isinstance(manifest, manifest_.Manifest):
                with images.opened(repository, backup_id) as opened:
                    yield opened
                return
            cache.ensure(manifest)
            chunks = chunks_.ChunkReader(repository, cache, manifest.packs)
            yield opened_.OpenedBackup(
                manifest.summary,
                reader_.BackupReader(manifest, chunks),
                manifest.chunk_bytes,
                manifest.volume_format,
                manifest.volume_properties,
            )

    def delete(self, backup_id: str) -> None:
        name = layout.manifest(model.check_backup_id(backup_id))
        with self._target.opened() as store:
            repository = self._existing(store)
            try:
                data = fetch.whole(repository.store, name)
            except errors.ObjectNotFound:
                return
            # A tombstone stays until gc has removed the packs.
            if data[:8] != frame.TOMBSTONE:
                files = images.files_of(repository, backup_id)
                store.delete(name)
                store.delete_many(files)

    def show(self, backup_id: str) -> model.BackupSummary:
        with self._target.opened() as store:
            return self._existing(store).any_manifest(backup_id).summary

    def list(self) -> Iterator[model.BackupSummary | target_.Finding]:
        with self._target.opened() as store:
            repository = repository_.open_repository(store)
            if repository is None:
                return
            there = {
                stat.name: stat.size_bytes
                for stat in store.list(layout.BACKUPS)
            }
            # Whose packs are listed is asked for by name: on a store whose
            # listings lag, one may show them and not their manifest.
            owners = {layout.owner_of(name) or '' for name in there}
            for backup_id in sorted(owners - {''}):
                yield from overview.describe(repository, backup_id, there)
