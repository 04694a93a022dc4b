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

"""Which packs the manifests reach, those included to which packs moved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import layout
from backupkit.repository import moved as moved_
from backupkit.repository import packset
from backupkit.repository import repository as repository_


class Reach:
    """What committed backups reach, read from the store itself.

    ``packs`` are the packs, ``committed`` the backups whose manifests were
    found, and ``hops`` tells of packs to which others have moved how often
    their chunks have moved.
    """

    def __init__(
        self,
        repository: repository_.Repository,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> None:
        self._repository = repository
        self._coordinator = coordinator
        self._control = control
        self.packs = packset.PackSet()
        self.committed: set[str] = set()
        self.hops: dict[layout.PackId, int] = {}

    def read(
        self, listed: Collection[str], moved: Iterable[layout.PackId]
    ) -> None:
        """Read all manifests, and where packs that they name have moved.

        :param listed: ids of which a listing shows anything; the manifest
            of each is asked for by name
        :param moved: packs of which it shows a ``.moved``
        :raises errors.Damaged: something cannot be read, so that what it
            reaches is not known
        """
        repository_id = self._repository.repository_id
        for manifest in self._manifests(
            {*listed, *self._coordinator.known(repository_id)}
        ):
            self.committed.add(manifest.summary.backup_id)
            self.packs.update(manifest.packs)
        # After the manifests: whoever moves a pack condemns it first.
        condemned = self._coordinator.condemned(repository_id)
        self._follow(packset.PackSet(moved), map(layout.pack_of, condemned))

    def _manifests(
        self, backup_ids: Iterable[str]
    ) -> Iterator[repository_.AnyManifest]:
        for backup_id in backup_ids:
            self._control.check()
            try:
                yield self._repository.any_manifest(backup_id)
            except errors.NotFound:
                continue
            except errors.IntegrityError as exc:
                raise errors.Damaged(
                    f'nothing is collected, because {exc}: delete that '
                    f'backup (backupkit backup delete {backup_id}) or put '
                    'its manifest back'
                ) from exc

    def _follow(
        self, moved: packset.PackSet, condemned: Iterable[layout.PackId]
    ) -> None:
        """Add the packs to which reached ones have moved."""
        moved.update(condemned)
        level = {pack for pack in moved if pack in self.packs}
        seen: set[layout.PackId] = set()
        while level:
            seen |= level
            further: set[layout.PackId] = set()
            for pack in level:
                self._control.check()
                further |= self._left(pack)
            self.packs.update(further)
            level = {pack for pack in further if pack in moved} - seen

    def _left(self, pack: layout.PackId) -> set[layout.PackId]:
        """Return the packs that hold now what was in this one."""
        try:
            left = moved_.load(self._repository.store, pack)
        except errors.IntegrityError as exc:
            raise errors.Damaged(
                f'nothing is collected, because {exc}: put it back, or '
                'delete the backups that a check says are hurt by it'
            ) from exc
        if left is None:
            return set()
        hops = self.hops.get(pack, 0) + 1
        for new in left.packs:
            self.hops[new] = max(hops, self.hops.get(new, 0))
        return set(left.packs)
