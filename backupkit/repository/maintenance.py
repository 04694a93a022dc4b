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

"""What is done to a repository as a whole, and to check what it keeps."""

from __future__ import annotations

import logging

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import audit
from backupkit.repository import check as check_
from backupkit.repository import collect as collect_
from backupkit.repository import damage as damage_
from backupkit.repository.image import operations as images
from backupkit.repository import opening
from backupkit.repository import overview
from backupkit.repository import repack
from backupkit.repository import repository as repository_
from backupkit.repository import selection

LOG = logging.getLogger(__name__)


class Maintenance(opening.Opening):
    """Checks, collects, adopts; see :class:`.target.RepositoryTarget`."""

    def prepare(self, coordinator: target_.Coordinator) -> str:
        """Open or make the repository, for writing; return its id.

        :raises errors.NotOwner: another catalog writes there
        :raises errors.TargetMissing: a repository was here and is gone
        """
        with self._target.opened() as store:
            return self._prepare(store, coordinator).repository_id

    def verify(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        reads: selection.Selection,
    ) -> target_.Report:
        """Check one backup.

        :param reads: chooses the packs of which every byte is read
        """
        with self._target.opened(control) as store:
            repository = self._existing(store)
            first = images.first_verify(
                repository, backup_id, control, self._target.threads
            )
            if first is not None:
                return first
            with check_.Checker(
                repository,
                control,
                threads=self._target.threads,
                reads=reads,
                directory=self._target.cache_directory,
            ) as checker:
                checker.backup(backup_id)
                report = checker.report()
                self._note(repository, coordinator, checker.damage)
            return report

    def check(
        self,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        reads: selection.Selection,
    ) -> target_.Report:
        """Check every object of the repository.

        :param reads: chooses the packs of which every byte is read
        """
        with self._target.opened(control) as store:
            repository = self._existing(store)
            report, damage = audit.audit(
                repository,
                coordinator,
                control,
                threads=self._target.threads,
                reads=reads,
                directory=self._target.cache_directory,
            )
            self._note(repository, coordinator, damage)
            return report

    def collect(
        self,
        coordinator: target_.Coordinator,
        control: control_.Control,
        wish: repack.Wish | None,
    ) -> target_.GcResult:
        """Remove what no backup reaches.

        :param wish: asks to move packs that are mostly dead
        :raises errors.NotOwner: another catalog writes there
        """
        with self._target.opened(control) as store:
            repository = self._existing(store)
            repository_.check_writer(repository, coordinator)
            return collect_.collect(
                repository,
                coordinator,
                control,
                wish=wish,
                cache_directory=self._target.cache_directory,
            )

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
