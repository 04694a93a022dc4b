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
import logging
from typing import TYPE_CHECKING

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import audit
from backupkit.repository import cache as cache_
from backupkit.repository import check as check_
from backupkit.repository import chunks as chunks_
from backupkit.repository import codec as codec_
from backupkit.repository import collect as collect_
from backupkit.repository import create
from backupkit.repository import damage as damage_
from backupkit.repository import fetch
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import overview
from backupkit.repository import reader as reader_
from backupkit.repository import repository as repository_
from backupkit.repository import settings as settings_

if TYPE_CHECKING:
    from backupkit.repository import target as front

LOG = logging.getLogger(__name__)


class Operations:
    """Does what :class:`.target.RepositoryTarget` offers."""

    def __init__(self, target: front.RepositoryTarget) -> None:
        self._target = target

    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        with self._target.opened(control) as store:
            repository = self._prepare(store, coordinator)
            encoder = codec_.Encoder(
                self._target.section.codec or repository.settings.codec,
                self._target.section.compression_level,
            )
            creation = create.Creation(
                repository,
                request,
                coordinator,
                cache_directory=self._target.cache_directory,
                buffers=self._buffers(repository),
                encoder=encoder,
            )
            return creation.run(open_reader, self._move, control)

    def _buffers(self, repository: repository_.Repository) -> int:
        """Return how many packs may be in memory: at least three."""
        spare = (
            self._target.budget_bytes
            - self._target.threads * 2 * pipeline.BATCH_BYTES
        )
        return max(3, min(4, spare // repository.settings.pack_bytes))

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
        manifest = manifest_.load(prepared.document.encode(), backup_id)
        summary = dataclasses.replace(manifest.summary, consistent=consistent)
        manifest = dataclasses.replace(manifest, summary=summary)
        return target_.Prepared(summary, manifest_.dump(manifest))

    def commit(self, prepared: target_.Prepared) -> None:
        with self._target.opened() as store:
            repository = self._existing(store)
            repository.put_manifest(
                prepared.summary.backup_id, prepared.document
            )

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
            for stat in list(store.list(layout.base(backup_id))):
                if stat.name != tombstone:
                    store.delete(stat.name)
            return True

    def restore(
        self,
        backup_id: str,
        writer: interface.Writer,
        control: control_.Control,
    ) -> model.BackupSummary:
        """See :meth:`.target.RepositoryTarget.restore`."""
        with self._reading(control) as (repository, cache):
            manifest = repository.manifest(backup_id)
            cache.ensure(manifest)
            chunks = chunks_.ChunkReader(repository, cache, manifest.packs)
            reader = reader_.BackupReader(manifest, chunks)
            control.start('restore', reader.size_bytes)
            self._move(reader, writer, control, manifest.chunk_bytes)
            writer.finish()
            return manifest.summary

    def verify(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        full: bool = False,
    ) -> target_.Report:
        with self._target.opened(control) as store:
            repository = self._existing(store)
            with check_.Checker(
                repository, control, threads=self._target.threads, full=full
            ) as checker:
                checker.backup(backup_id)
                report = checker.report()
                self._note(repository, coordinator, checker.damage)
            return report

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
                store.delete(name)

    def show(self, backup_id: str) -> model.BackupSummary:
        with self._target.opened() as store:
            return self._existing(store).manifest(backup_id).summary

    def list(self) -> Iterator[model.BackupSummary | target_.Finding]:
        with self._target.opened() as store:
            repository = repository_.open_repository(store)
            if repository is None:
                return
            there = {
                stat.name: stat.size_bytes
                for stat in store.list(layout.BACKUPS)
            }
            for name in sorted(there):
                backup_id = layout.parse(name)
                if isinstance(backup_id, str):
                    yield from overview.describe(repository, backup_id, there)

    def prepare(self, coordinator: target_.Coordinator) -> str:
        """Open or make the repository, for writing; return its id.

        :raises errors.NotOwner: another catalog writes there
        :raises errors.TargetMissing: a repository was here and is gone
        """
        with self._target.opened() as store:
            return self._prepare(store, coordinator).repository_id

    def check(
        self,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        read_data: bool = False,
    ) -> target_.Report:
        """Check every object of the repository."""
        with self._target.opened(control) as store:
            repository = self._existing(store)
            report, damage = audit.audit(
                repository,
                coordinator,
                control,
                threads=self._target.threads,
                read_data=read_data,
            )
            self._note(repository, coordinator, damage)
            return report

    def collect(
        self, coordinator: target_.Coordinator, control: control_.Control
    ) -> target_.GcResult:
        """Remove what no backup reaches.

        :raises errors.NotOwner: another catalog writes there
        """
        with self._target.opened(control) as store:
            repository = self._existing(store)
            repository_.check_writer(repository, coordinator)
            return collect_.collect(repository, coordinator, control)

    def stats(self) -> dict[str, int]:
        """Tell how much is kept, in bytes and objects.

        ``logical_bytes`` is the size of all volumes at their backups,
        ``data_bytes`` what of it was not zero, ``changed_bytes`` what
        differed from the parents, ``unique_bytes`` the plain size of all
        chunks that backups reach, each once, and ``stored_bytes`` the size
        of all objects.
        """
        with self._reading(control_.Control()) as (repository, cache):
            return overview.stats(repository, cache)

    def adopt(self, coordinator: target_.Coordinator) -> str:
        """Take writing over from another catalog; return that one's id."""
        with self._target.opened() as store:
            repository = repository_.open_repository(store)
            if repository is None:
                repository = repository_.make_repository(
                    store, self._new_settings(coordinator)
                )
            before = repository_.adopt(repository, coordinator)
            coordinator.remember_repository(
                self._target.name, repository.repository_id
            )
            return before

    def release_reserve(self) -> None:
        """Free the reserve, so that a full target can be emptied."""
        with self._target.opened() as store:
            self._existing(store).release_reserve()

    def keep_reserve(self) -> None:
        """Put the reserve back where there is room."""
        with self._target.opened() as store:
            self._existing(store).keep_reserve()

    def _new_settings(
        self, coordinator: target_.Coordinator
    ) -> settings_.Settings:
        section = self._target.section
        chunk, pack = section.chunk_size_bytes, section.pack_size_bytes
        if chunk * 2 > pack:
            raise errors.ConfigurationError(
                f'[target:{self._target.name}] pack_size_bytes ({pack}) must '
                f'be at least twice chunk_size_bytes ({chunk})'
            )
        return settings_.Settings(
            repository_id=repository_.new_id(),
            catalog_id=coordinator.catalog_id,
            chunk_bytes=chunk,
            pack_bytes=pack,
            digest=section.digest,
            codec=section.codec or 'zstd',
            created_at=repository_.now(),
        )

    def _prepare(
        self, store: store_.Store, coordinator: target_.Coordinator
    ) -> repository_.Repository:
        repository = repository_.open_repository(store)
        known = coordinator.known_repository(self._target.name)
        if repository is None:
            if known is not None:
                raise errors.TargetMissing(
                    f'target {self._target.name} held repository {known}, '
                    'and holds none now: is it mounted, and is its path '
                    'right? To begin anew there: backupkit repository adopt '
                    f'{self._target.name}'
                )
            repository = repository_.make_repository(
                store, self._new_settings(coordinator)
            )
        repository_.check_writer(repository, coordinator)
        if repository.repository_id != known:
            coordinator.remember_repository(
                self._target.name, repository.repository_id
            )
        return repository

    def _existing(self, store: store_.Store) -> repository_.Repository:
        repository = repository_.open_repository(store)
        if repository is None:
            raise errors.TargetMissing(
                f'target {self._target.name} holds no repository: is it '
                'mounted, and is its path right?'
            )
        return repository

    @contextlib.contextmanager
    def _reading(
        self, control: control_.Control
    ) -> Iterator[tuple[repository_.Repository, cache_.IndexCache]]:
        with self._target.opened(control) as store:
            repository = self._existing(store)
            cache = cache_.IndexCache(repository, self._target.cache_directory)
            try:
                yield repository, cache
            finally:
                cache.close()

    def _note(
        self,
        repository: repository_.Repository,
        coordinator: target_.Coordinator,
        damage: damage_.Damage,
    ) -> None:
        """Note new damage, so that no later backup rests on it."""
        try:
            new = damage - damage_.read_all(repository.store)
            if new:
                repository_.check_writer(repository, coordinator)
                damage_.write(
                    repository.store, new, repository.settings.digest
                )
        except (errors.NotOwner, errors.TargetError) as exc:
            LOG.warning('the damage is not noted in the target: %s', exc)
