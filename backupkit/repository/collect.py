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

"""Removes what no backup reaches, while others may be at work.

The order of the steps is what makes it safe; the page on the protocol
tells why. Nothing here looks at clocks, ages or host names.
"""

from __future__ import annotations

from collections.abc import Collection
import contextlib
import dataclasses
import logging

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import damage as damage_
from backupkit.repository import fetch
from backupkit.repository import layout
from backupkit.repository import moved as moved_
from backupkit.repository import packset
from backupkit.repository import repository as repository_

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class _Seen:
    """What a listing showed, by the backup that owns it."""

    packs: dict[layout.PackId, int] = dataclasses.field(default_factory=dict)
    moved: set[layout.PackId] = dataclasses.field(default_factory=set)
    parts: dict[str, list[layout.PartId]] = dataclasses.field(
        default_factory=dict
    )
    manifests: set[str] = dataclasses.field(default_factory=set)

    @property
    def owners(self) -> set[str]:
        """Every backup id of which anything is there."""
        return (
            {pack.owner for pack in self.packs.keys() | self.moved}
            | self.parts.keys()
            | self.manifests
        )


class Collector:
    """One collection; make a new one for each."""

    def __init__(
        self,
        repository: repository_.Repository,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> None:
        self._repository = repository
        self._id = repository.repository_id
        self._coordinator = coordinator
        self._control = control

    def run(self) -> target_.GcResult:
        """Condemn what is unreached, and delete what may go now.

        :raises errors.Damaged: a manifest cannot be read, so that what it
            reaches is not known: nothing is deleted
        """
        seen = self._list()
        # After the listing: what was listed and is live is not garbage.
        live = set(self._coordinator.live(self._id))
        reached = self._reached(seen.manifests, seen.moved)
        listed = self._coordinator.condemned(self._id)
        # A pack that has moved stays on the list while it is reached: so
        # the catalog knows whose ``.moved`` must be read, whatever a
        # listing shows.
        garbage = [
            pack.name
            for pack in sorted(seen.packs.keys() | seen.moved)
            if (pack not in reached or pack in seen.moved)
            and pack.owner not in live
            and pack.name not in listed
        ]
        if garbage:
            self._coordinator.condemn(self._id, garbage)
        # The barrier is read only when the list is committed: a run that
        # has a greater number has seen the list.
        self._coordinator.set_barrier(self._id, self._coordinator.last_run())
        result = self._sweep(seen)
        swept = self._repository.store.sweep()
        self._repository.keep_reserve()
        return dataclasses.replace(result, swept=swept)

    def _list(self) -> _Seen:
        seen = _Seen()
        for stat in self._repository.store.list(layout.BACKUPS):
            self._control.check()
            match layout.parse(stat.name):
                case layout.PackId() as pack:
                    seen.packs[pack] = stat.size_bytes
                case layout.MovedId() as moved:
                    seen.moved.add(moved.pack)
                case layout.PartId() as part:
                    seen.parts.setdefault(part.owner, []).append(part)
                case str(backup_id):
                    seen.manifests.add(backup_id)
                case _:
                    LOG.warning('%s is not ours and stays', stat.name)
        return seen

    def _reached(
        self, listed: Collection[str], moved: Collection[layout.PackId]
    ) -> packset.PackSet:
        """Return the packs that any committed manifest reaches.

        :param moved: packs of which the listing shows a ``.moved``
        """
        reached = packset.PackSet()
        for backup_id in {*listed, *self._coordinator.known(self._id)}:
            self._control.check()
            try:
                manifest = self._repository.manifest(backup_id)
            except errors.NotFound:
                continue
            except errors.IntegrityError as exc:
                raise errors.Damaged(
                    f'nothing is collected, because {exc}: delete that '
                    f'backup (backupkit backup delete {backup_id}) or put '
                    'its manifest back'
                ) from exc
            reached.update(manifest.packs)
        # After the manifests: whoever moves a pack condemns it first.
        condemned = self._coordinator.condemned(self._id)
        self._follow(reached, {*moved, *map(layout.pack_of, condemned)})
        return reached

    def _follow(
        self, reached: packset.PackSet, moved: set[layout.PackId]
    ) -> None:
        """Add the packs to which reached ones have moved."""
        todo = {pack for pack in moved if pack in reached}
        while todo:
            self._control.check()
            pack = todo.pop()
            try:
                left = moved_.load(self._repository.store, pack)
            except errors.IntegrityError as exc:
                raise errors.Damaged(
                    f'nothing is collected, because {exc}: put it back, or '
                    'delete the backups that a check says are hurt by it'
                ) from exc
            if left is not None:
                new = {pack for pack in left.packs if pack not in reached}
                reached.update(new)
                todo |= new & moved

    def _sweep(self, seen: _Seen) -> target_.GcResult:
        condemned = self._coordinator.condemned(self._id)
        barriers = {
            barrier for barrier in condemned.values() if barrier is not None
        }
        waiting: set[str] = set()
        free: set[int] = set()
        for barrier in barriers:
            runs = self._coordinator.live(self._id, barrier)
            waiting.update(runs)
            if not runs:
                free.add(barrier)
        ready = [
            layout.pack_of(name)
            for name, barrier in condemned.items()
            if barrier in free
        ]
        deleted = self._delete(ready) if ready else []
        if not waiting:
            self._clear(seen, set(deleted))
        return target_.GcResult(
            deleted_packs=len(deleted),
            deleted_bytes=sum(seen.packs.get(pack, 0) for pack in deleted),
            condemned_packs=len(condemned) - len(deleted),
            waiting_for=tuple(sorted(waiting)),
        )

    def _delete(self, ready: list[layout.PackId]) -> list[layout.PackId]:
        """Delete condemned packs that are still unreached.

        All manifests are read again: a run that was live at the first
        reading may have committed meanwhile.
        """
        store = self._repository.store
        manifests, moved = self._decisive()
        reached = self._reached(manifests, moved)
        gone = [pack for pack in ready if pack not in reached]
        for pack in gone:
            self._control.check()
            store.delete(pack.name)
            if pack in moved:
                store.delete(layout.MovedId(pack).name)
        # Only now, and never a pack that is reached.
        self._coordinator.absolve(self._id, [pack.name for pack in gone])
        return gone

    def _decisive(self) -> tuple[set[str], set[layout.PackId]]:
        """List what decides: manifests, and the packs that have moved."""
        manifests: set[str] = set()
        moved: set[layout.PackId] = set()
        for stat in self._repository.store.list(layout.BACKUPS):
            match layout.parse(stat.name):
                case str(backup_id):
                    manifests.add(backup_id)
                case layout.MovedId() as found:
                    moved.add(found.pack)
        return manifests, moved

    def _clear(self, seen: _Seen, deleted: set[layout.PackId]) -> None:
        """Remove indexes and tombstones of which no pack is left."""
        store = self._repository.store
        # In this order: a run that registers in between is in neither.
        known = set(self._coordinator.known(self._id))
        live = set(self._coordinator.live(self._id))
        astray = set(self._coordinator.astray(self._id))
        packs = seen.packs.keys() | seen.moved
        kept = {pack.owner for pack in packs - deleted}
        forgotten = []
        for owner in seen.owners - kept - live:
            if self._is_committed(owner):
                continue
            for part in seen.parts.get(owner, ()):
                store.delete(part.name)
            # After the packs, and only where no writer can still come.
            if owner not in astray:
                store.delete(layout.manifest(owner))
                forgotten.append(owner)
        if store.capabilities.list_complete:
            # Nothing is there but what was listed or is told by its name.
            forgotten += [
                owner
                for owner in known - seen.owners - live - astray
                if self._is_free(layout.manifest(owner))
            ]
        self._coordinator.forget(self._id, forgotten)
        self._clear_notes(deleted)

    def _is_committed(self, backup_id: str) -> bool:
        with contextlib.suppress(errors.NotFound):
            self._repository.manifest(backup_id)
            return True
        return False

    def _clear_notes(self, deleted: set[layout.PackId]) -> None:
        """Remove notes of damage all of whose packs are gone."""
        if not deleted:
            return
        store = self._repository.store
        for stat in list(store.list(layout.DAMAGED)):
            try:
                note = damage_.read(fetch.whole(store, stat.name), stat.name)
            except (errors.IntegrityError, errors.ObjectNotFound):
                continue
            if all(self._is_free(pack.name) for pack in note.all_packs):
                store.delete(stat.name)

    def _is_free(self, name: str) -> bool:
        """Tell whether there is no object of this name."""
        try:
            self._repository.store.stat(name)
        except errors.ObjectNotFound:
            return True
        return False


def collect(
    repository: repository_.Repository,
    coordinator: target_.Coordinator,
    control: control_.Control,
) -> target_.GcResult:
    """Run one collection; see :class:`Collector`."""
    return Collector(repository, coordinator, control).run()
