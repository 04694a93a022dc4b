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

"""How a repository target opens the repository in its store."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import TYPE_CHECKING

from backupkit.copy import control as control_
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import cache as cache_
from backupkit.repository import repository as repository_
from backupkit.repository import settings as settings_

if TYPE_CHECKING:
    from backupkit.repository import target as front


class Opening:
    """Opens or makes the repository of a target."""

    def __init__(self, target: front.RepositoryTarget) -> None:
        self._target = target

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
        # Asked first: another process may make it in between.
        known = coordinator.known_repository(self._target.name)
        repository = repository_.open_repository(store)
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
                f'target {self._target.name} holds no repository: the first '
                'backup makes one. If it held backups before: is it mounted, '
                'and is its path right?'
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
