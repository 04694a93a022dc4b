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

"""A target that keeps its backups in a repository in a store.

A driver derives from :class:`RepositoryTarget`, writes ``open()`` for its
store and ``storage_identity()``, and is done.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import logging
import os

from oslo_config import cfg

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import contract
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
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import options
from backupkit.repository import reader as reader_
from backupkit.repository import repository as repository_
from backupkit.repository import settings as settings_

LOG = logging.getLogger(__name__)

GcResult = collect_.GcResult


class RepositoryTarget(target_.Target, abc.ABC):
    """Implements the target contract on top of a store."""

    def __init__(self, name: str, section: contract.Section) -> None:
        super().__init__(name, section)
        self.store_wrapper: Callable[..., store_.Store] = _unwrapped
        self._cache_directory: str | None = None
        self._threads = min(4, len(os.sched_getaffinity(0)))
        self._budget = 256 << 20

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @abc.abstractmethod
    def open(self) -> store_.Store:
        """Return the opened store.

        :raises errors.TargetMissing: the place is not there
        """

    def set_environment(
        self, cache_directory: str, threads: int, budget_bytes: int
    ) -> None:
        """Say where indexes are cached, and what a copy may use."""
        self._cache_directory = cache_directory
        self._threads = threads
        self._budget = budget_bytes

    @contextlib.contextmanager
    def opened(
        self, control: control_.Control | None = None
    ) -> Iterator[store_.Store]:
        """Open the store with the wrappers that the section asks for."""
        with self.open() as store:
            if control is None:
                yield self.store_wrapper(store)
            else:
                yield self.store_wrapper(store, control.check)

    # The target contract.

    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        with self.opened(control) as store:
            repository = self._prepare(store, coordinator)
            encoder = codec_.Encoder(
                self.section.codec or repository.settings.codec,
                self.section.compression_level,
            )
            creation = create.Creation(
                repository,
                request,
                coordinator,
                cache_directory=self._cache_directory,
                buffers=self._buffers(repository),
                encoder=encoder,
            )
            return creation.run(open_reader, self._move, control)

    def _buffers(self, repository: repository_.Repository) -> int:
        """Return how many packs may be in memory: at least three."""
        spare = self._budget - self._threads * 2 * pipeline.BATCH_BYTES
        return max(3, min(4, spare // repository.settings.pack_bytes))

    def _move(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
        block_bytes: int,
    ) -> None:
        if not self.transfer(reader, writer, control):
            pipeline.copy(
                reader,
                writer,
                control,
                block_bytes=block_bytes,
                threads=self._threads,
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
        with self.opened() as store:
            repository = self._existing(store)
            repository.put_manifest(
                prepared.summary.backup_id, prepared.document
            )

    def abort(self, backup_id: str) -> bool:
        with self.opened() as store:
            repository = repository_.open_repository(store)
            if repository is None:
                return True
            if not repository.put_tombstone(backup_id):
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
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> model.BackupSummary:
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
        with self.opened(control) as store:
            repository = self._existing(store)
            with check_.Checker(
                repository, control, threads=self._threads, full=full
            ) as checker:
                checker.backup(backup_id)
                report = checker.report()
                self._note(repository, coordinator, checker.damage)
            return report

    def delete(self, backup_id: str) -> None:
        name = layout.manifest(model.check_backup_id(backup_id))
        with self.opened() as store:
            repository = self._existing(store)
            try:
                data = repository.store.get(name)
            except errors.ObjectNotFound:
                return
            # A tombstone stays until gc has removed the packs.
            if data[:8] != frame.TOMBSTONE:
                store.delete(name)

    def show(self, backup_id: str) -> model.BackupSummary:
        with self.opened() as store:
            return self._existing(store).manifest(backup_id).summary

    def list(self) -> Iterator[model.BackupSummary | target_.Finding]:
        with self.opened() as store:
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
                    yield from _describe(repository, backup_id, there)

    # What a repository offers beyond it.

    def prepare_repository(self, coordinator: target_.Coordinator) -> str:
        """Open or make the repository, for writing; return its id.

        :raises errors.NotOwner: another catalog writes there
        :raises errors.TargetMissing: a repository was here and is gone
        """
        with self.opened() as store:
            return self._prepare(store, coordinator).repository_id

    def check_repository(
        self,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        read_data: bool = False,
    ) -> target_.Report:
        """Check every object of the repository."""
        with self.opened(control) as store:
            repository = self._existing(store)
            report, damage = audit.audit(
                repository,
                coordinator,
                control,
                threads=self._threads,
                read_data=read_data,
            )
            self._note(repository, coordinator, damage)
            return report

    def collect(
        self, coordinator: target_.Coordinator, control: control_.Control
    ) -> collect_.GcResult:
        """Remove what no backup reaches.

        :raises errors.NotOwner: another catalog writes there
        """
        with self.opened(control) as store:
            repository = self._existing(store)
            repository_.check_writer(repository, coordinator)
            return collect_.collect(repository, coordinator, control)

    def stats(self, coordinator: target_.Coordinator) -> dict[str, int]:
        """Tell how much is kept, in bytes and objects.

        ``logical_bytes`` is the size of all volumes at their backups,
        ``data_bytes`` what of it was not zero, ``changed_bytes`` what
        differed from the parents, ``unique_bytes`` the plain size of all
        chunks that backups reach, each once, and ``stored_bytes`` the size
        of all objects.
        """
        with self._reading(control_.Control()) as (repository, cache):
            return _stats(repository, cache)

    def adopt(self, coordinator: target_.Coordinator) -> str:
        """Take writing over from another catalog; return that one's id."""
        with self.opened() as store:
            repository = repository_.open_repository(store)
            if repository is None:
                repository = repository_.make_repository(
                    store, self._new_settings(coordinator)
                )
            before = repository_.adopt(repository, coordinator)
            coordinator.remember_repository(
                self.name, repository.repository_id
            )
            return before

    def release_reserve(self) -> None:
        """Free the reserve, so that a full target can be emptied."""
        with self.opened() as store:
            self._existing(store).release_reserve()

    def keep_reserve(self) -> None:
        """Put the reserve back where there is room."""
        with self.opened() as store:
            self._existing(store).keep_reserve()

    # Inside.

    def _new_settings(
        self, coordinator: target_.Coordinator
    ) -> settings_.Settings:
        section = self.section
        chunk, pack = section.chunk_size_bytes, section.pack_size_bytes
        if chunk * 2 > pack:
            raise errors.ConfigurationError(
                f'[target:{self.name}] pack_size_bytes ({pack}) must be at '
                f'least twice chunk_size_bytes ({chunk})'
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
        known = coordinator.known_repository(self.name)
        if repository is None:
            if known is not None:
                raise errors.TargetMissing(
                    f'target {self.name} held repository {known}, and holds '
                    'none now: is it mounted, and is its path right? To '
                    'begin anew there: backupkit repository adopt '
                    f'{self.name}'
                )
            repository = repository_.make_repository(
                store, self._new_settings(coordinator)
            )
        repository_.check_writer(repository, coordinator)
        if repository.repository_id != known:
            coordinator.remember_repository(
                self.name, repository.repository_id
            )
        return repository

    def _existing(self, store: store_.Store) -> repository_.Repository:
        repository = repository_.open_repository(store)
        if repository is None:
            raise errors.TargetMissing(
                f'target {self.name} holds no repository: is it mounted, '
                'and is its path right?'
            )
        return repository

    @contextlib.contextmanager
    def _reading(
        self, control: control_.Control
    ) -> Iterator[tuple[repository_.Repository, cache_.IndexCache]]:
        with self.opened(control) as store:
            repository = self._existing(store)
            cache = cache_.IndexCache(repository, self._cache_directory)
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


def _unwrapped(store: store_.Store, *unused: object) -> store_.Store:
    return store


def _describe(
    repository: repository_.Repository,
    backup_id: str,
    there: dict[str, int],
) -> Iterator[model.BackupSummary | target_.Finding]:
    """Yield a backup as good only if all its packs are there."""
    name = layout.manifest(backup_id)
    try:
        manifest = repository.manifest(backup_id)
    except errors.NotFound:
        return
    except errors.FormatError as exc:
        yield target_.Finding(name, str(exc), (backup_id,))
        return
    missing = [pack for pack in manifest.packs if pack.name not in there]
    lost = [pack for pack in missing if not _exists(repository, pack)]
    if lost:
        yield target_.Finding(
            name, f'{len(lost)} of its packs are gone', (backup_id,)
        )
    else:
        yield manifest.summary


def _exists(repository: repository_.Repository, pack: layout.PackId) -> bool:
    try:
        repository.store.stat(pack.name)
    except errors.ObjectNotFound:
        return False
    return True


def _stats(
    repository: repository_.Repository, cache: cache_.IndexCache
) -> dict[str, int]:
    totals = dict.fromkeys(
        ('backups', 'logical_bytes', 'data_bytes', 'changed_bytes'), 0
    )
    reached: set[layout.PackId] = set()
    for backup_id in set(repository.listed()):
        try:
            manifest = repository.manifest(backup_id)
        except (errors.NotFound, errors.FormatError):
            continue
        cache.ensure(manifest)
        summary = manifest.summary
        reached |= manifest.packs
        totals['backups'] += 1
        totals['logical_bytes'] += summary.size_bytes
        totals['data_bytes'] += summary.data_bytes
        totals['changed_bytes'] += summary.changed_bytes
    chunks, unique = cache.unique(reached)
    stored = sum(stat.size_bytes for stat in repository.store.list())
    return {
        **totals,
        'unique_bytes': unique,
        'stored_bytes': stored,
        'chunks': chunks,
        'packs': len(reached),
    }
