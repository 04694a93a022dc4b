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

"""Moves what is in use out of packs, and deletes those.

What is needed of some packs is copied into packs of the collection's own.
When these and their indexes are durable, ``.moved`` is put for each pack,
and only then, if what it names stays, is the pack deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
import dataclasses
import itertools
import logging

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import copier as copier_
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved as moved_
from backupkit.repository import pack as pack_
from backupkit.repository import packer as packer_
from backupkit.repository import repository as repository_
from backupkit.repository import usage as usage_

LOG = logging.getLogger(__name__)

#: Packs that are moved together: so many are there twice for a while.
_TOGETHER = 8

_BUFFERS = 3


@dataclasses.dataclass(slots=True)
class Moved:
    """What was moved: packs that are gone, and bytes that were copied."""

    packs: list[layout.PackId] = dataclasses.field(default_factory=list)
    copied_bytes: int = 0


class Mover:
    """Moves condemned packs for which nobody is waited any more.

    ``moved`` tells what was done; also where it broke off.

    :param owner: of the packs that are made
    """

    def __init__(
        self,
        repository: repository_.Repository,
        coordinator: target_.Coordinator,
        control: control_.Control,
        owner: str,
    ) -> None:
        self._repository = repository
        self._store = repository.store
        self._coordinator = coordinator
        self._control = control
        self._owner = owner
        self.moved = Moved()

    def move(
        self, packs: Iterable[layout.PackId], usage: usage_.Usage
    ) -> None:
        """Move what backups need out of packs, and delete those.

        Where the target is full it stops: what was begun is removed.

        :param usage: knows all manifests that there can be
        """
        todo = iter(packs)
        made = _Made()
        # One attempt for all, and its index counted from 0: whoever comes
        # upon one of the new packs so finds the whole index of the owner.
        packer = packer_.Packer(
            self._repository,
            self._owner,
            buffers=_BUFFERS,
            stored=lambda count: self._control.advance(0, 0, count),
            entered=made.enter,
        )
        try:
            while batch := list(itertools.islice(todo, _TOGETHER)):
                made.clear(packer.parts)
                self._move(batch, usage, packer, made)
        except errors.TargetFull as exc:
            LOG.warning('no more packs are moved: %s', exc)
            packer.close()
            self._drop(packer, made)
        finally:
            packer.close()

    def _move(
        self,
        batch: list[layout.PackId],
        usage: usage_.Usage,
        packer: packer_.Packer,
        made: _Made,
    ) -> None:
        tables = dict(self._tables(batch))
        wanted = {one.digest for table in tables.values() for one in table}
        used = usage.used(wanted, tables)
        copier = copier_.Copier(
            self._repository, self._control, packer, usage.nodes
        )
        whole = [
            pack
            for pack, table in tables.items()
            if pack not in usage.unknown and copier.copy(pack, table, used)
        ]
        packer.finish()
        self.moved.copied_bytes += copier.copied_bytes
        # What the packs leave names only what is durable by now.
        for pack in whole:
            needed = [one for one in tables[pack] if one.digest in used]
            self._replace(pack, needed, made)

    def _tables(
        self, packs: Iterable[layout.PackId]
    ) -> Iterator[tuple[layout.PackId, list[pack_.Entry]]]:
        for pack in packs:
            self._control.check()
            try:
                table = self._repository.table(pack)
            except (errors.ObjectNotFound, errors.IntegrityError) as exc:
                LOG.warning('a pack is not moved: %s', exc)
                continue
            if not any(entry.cipher for entry in table):
                yield pack, table

    def _replace(
        self,
        pack: layout.PackId,
        needed: Iterable[pack_.Entry],
        made: _Made,
    ) -> None:
        """Put what a pack leaves, and delete it."""
        records = {entry.digest: made.places[entry.digest] for entry in needed}
        sizes = {
            place.pack: made.sizes[place.pack] for place in records.values()
        }
        data = moved_.dump(
            pack, records.items(), sizes, self._repository.settings.digest
        )
        made.left = True
        try:
            self._store.put(layout.MovedId(pack).name, [data])
        except errors.ObjectExists:
            # Of another collection: a later one finds out what it is worth.
            return
        self._finish(pack, sizes)

    def resume(self, pack: layout.PackId) -> None:
        """Finish moving a pack that has left a ``.moved``.

        Nothing where that is done. Where a pack is lost that it names,
        whoever put it was overtaken before it could delete anything: then
        it goes, and the pack can be moved anew.
        """
        if not self._is_there(pack):
            return
        left = moved_.load(self._store, pack)
        if left is None:
            return
        if any(moved_.lost(self._store, new) for new in left.packs):
            self._store.delete(layout.MovedId(pack).name)
        else:
            self._finish(pack, left.packs)

    def _finish(
        self, pack: layout.PackId, new: Collection[layout.PackId]
    ) -> None:
        """Delete a pack, if what took its place stays.

        ``.moved`` is there, so the new packs are reached. But whoever read
        the manifests before it came may have found them unreached, and
        delete them yet: it has condemned them before.
        """
        listed = self._coordinator.condemned(self._repository.repository_id)
        if any(one.name in listed for one in new):
            LOG.warning('pack %s stays: its new packs may go', pack.name)
            return
        # In this order: what is off the list may be gone.
        if all(self._is_there(one) for one in new):
            self._store.delete(pack.name)
            self.moved.packs.append(pack)

    def _is_there(self, pack: layout.PackId) -> bool:
        try:
            self._store.stat(pack.name)
        except errors.ObjectNotFound:
            return False
        return True

    def _drop(self, packer: packer_.Packer, made: _Made) -> None:
        """Remove what was made of a batch, unless anything names it."""
        if made.left:
            return
        for pack in made.sizes:
            self._store.delete(pack.name)
        for number in range(made.parts, packer.parts + 1):
            part = layout.PartId(self._owner, packer.attempt, number)
            self._store.delete(part.name)


class _Made:
    """What was made for one batch of packs.

    ``parts`` is how many index parts there were before; ``left`` says that
    a ``.moved`` may name what was made.
    """

    def __init__(self) -> None:
        self.places: dict[bytes, index.Place] = {}
        self.sizes: dict[layout.PackId, int] = {}
        self.parts = 0
        self.left = False

    def clear(self, parts: int) -> None:
        """Make ready for the next batch."""
        self.places.clear()
        self.sizes.clear()
        self.parts = parts
        self.left = False

    def enter(
        self, pack: layout.PackId, size: int, records: list[index.Record]
    ) -> None:
        """Note where the chunks of a new pack are."""
        self.sizes[pack] = size
        self.places.update(records)
