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

"""Makes one backup in a repository, up to but not including its commit."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import target as target_
from backupkit import model
from backupkit.repository import cache as cache_
from backupkit.repository import codec as codec_
from backupkit.repository import damage as damage_
from backupkit.repository import layout
from backupkit.repository import packer as packer_
from backupkit.repository import packset
from backupkit.repository import parent as parent_
from backupkit.repository import prepared
from backupkit.repository import repository as repository_
from backupkit.repository import reuse as reuse_
from backupkit.repository import tree
from backupkit.repository import writer as writer_

if TYPE_CHECKING:
    from backupkit.repository import journal as journal_
    from backupkit.repository import replica as replica_
    from backupkit.repository import resumed as resumed_


@dataclasses.dataclass(frozen=True, slots=True)
class Means:
    """What making a backup may use.

    ``buffers`` are packs in memory, at the most; ``threads`` are those with
    which a copy reads.
    """

    buffers: int
    threads: int


class Creation:
    """The steps of one backup, in the order that the protocol asks for.

    :param cache_directory: of the index cache, or None for a temporary one
    """

    def __init__(
        self,
        repository: repository_.Repository,
        request: model.BackupRequest,
        coordinator: target_.Coordinator,
        *,
        cache_directory: str | None,
        means: Means,
        encoder: codec_.Encoder,
    ) -> None:
        self._repository = repository
        self._request = request
        self._coordinator = coordinator
        self._cache_directory = cache_directory
        self._means = means
        self._encoder = encoder
        #: What an earlier attempt has left, where this one goes on with it.
        self._earlier: resumed_.ResumedReuse | None = None

    def run(
        self,
        open_reader: target_.OpenReader,
        move: pipeline.Move,
        control: control_.Control,
    ) -> target_.Prepared:
        """Write packs, map and index; return what remains to be put."""
        repository = self._repository
        repository_id = repository.repository_id
        # The run is registered. What is condemned is read before anything
        # that may be reused.
        condemned = frozenset(
            layout.pack_of(name)
            for name in self._coordinator.condemned(repository_id)
        )
        live = frozenset(self._coordinator.live(repository_id))
        damage = damage_.read_all(repository.store)
        cache = cache_.IndexCache(repository, self._cache_directory)
        try:
            reuse = self._reuse(cache, condemned, damage, live)
            parent = parent_.find(
                repository,
                self._request,
                self._coordinator,
                cache=cache,
                reuse=reuse,
                damage=damage,
            )
            cache.ensure_backups(self._coordinator.committed(repository_id))
            return self._write(open_reader, move, control, reuse, parent)
        finally:
            if self._earlier:
                self._earlier.close()
            cache.close()

    def _reuse(
        self,
        cache: cache_.IndexCache,
        condemned: frozenset[layout.PackId],
        damage: damage_.Damage,
        live: frozenset[str],
    ) -> reuse_.Reuse:
        if not self._request.resumed:
            return reuse_.Reuse(
                self._repository, cache, condemned, damage, live
            )
        # Imported here: few runs are resumed.
        from backupkit.repository import resumed

        self._earlier = resumed.ResumedReuse(
            self._repository,
            cache,
            condemned,
            damage,
            live,
            owner=self._request.backup_id,
            directory=self._cache_directory,
        )
        return self._earlier

    def _write(
        self,
        open_reader: target_.OpenReader,
        move: pipeline.Move,
        control: control_.Control,
        reuse: reuse_.Reuse,
        parent: parent_.Parent | None,
    ) -> target_.Prepared:
        request, repository = self._request, self._repository
        chunk_bytes = repository.settings.chunk_bytes
        geometry = tree.Geometry(request.volume.size_bytes, chunk_bytes)
        packer = packer_.Packer(
            repository,
            request.backup_id,
            buffers=self._means.buffers,
            stored=lambda count: control.advance(0, 0, count),
        )
        journal = self._journal(packer, geometry)
        writer = writer_.BackupWriter(
            repository,
            geometry,
            packer,
            reuse,
            self._encoder,
            parent=(
                writer_.Parent(parent.map, parent.packs or packset.PackSet())
                if parent
                else None
            ),
        )
        if journal:
            writer.noted, packer.kept = journal.note, journal.keep
        step = 'copy' if request.copy_of else 'backup'
        control.start(step, request.volume.size_bytes)
        written: prepared.Written = writer
        try:
            with contextlib.closing(
                parent_.open_volume(repository, request, open_reader, parent)
            ) as reader:
                replica = self._replica(reader, packer, reuse, parent)
                if replica:
                    replica.copy(control)
                    written = replica
                else:
                    if self._earlier and request.steady:
                        self._earlier.take_over(writer, repository, geometry)
                    move(reader, writer, control, chunk_bytes)
                    writer.finish()
            if self._earlier:
                self._earlier.index(packer)
        finally:
            packer.close()
        return prepared.prepare(
            repository,
            request,
            written,
            parent=parent,
            parts=self._parts(packer, written.packs, reuse),
            stored_bytes=packer.stored_bytes,
        )

    def _journal(
        self, packer: packer_.Packer, geometry: tree.Geometry
    ) -> journal_.Journal | None:
        """Return what keeps how far the copy has come, where that is of use.

        What may have changed since is read again in any case, and a copy of
        a backup of chunks knows them without reading.
        """
        if not self._request.steady or self._request.copy_of:
            return None
        from backupkit.repository import journal

        return journal.Journal(
            self._repository,
            self._request.backup_id,
            packer.attempt,
            geometry,
            pack_bytes=self._repository.settings.pack_bytes,
        )

    def _replica(
        self,
        reader: interface.Reader,
        packer: packer_.Packer,
        reuse: reuse_.Reuse,
        parent: parent_.Parent | None,
    ) -> replica_.Replica | None:
        """Return what copies the backup of a repository that is alike."""
        if not self._request.copy_of:
            return None
        # Imported here: few backups are copies.
        from backupkit.repository import replica

        source = replica.source_of(reader, self._repository)
        if source is None:
            return None
        return replica.Replica(
            source,
            packer,
            reuse,
            self._encoder,
            parent=parent.map if parent else None,
            threads=self._means.threads,
        )

    def _parts(
        self,
        packer: packer_.Packer,
        packs: packset.PackSet,
        reuse: reuse_.Reuse,
    ) -> dict[str, dict[str, int]]:
        """Return the index parts of every owner of a pack in use."""
        owner = self._request.backup_id
        parts: dict[str, dict[str, int]] = {}
        if packer.parts:
            parts[owner] = {packer.attempt: packer.parts}
        if self._earlier and self._earlier.parts:
            parts[owner] = {**parts.get(owner, {}), **self._earlier.parts}
        for other in packs.owners - {owner}:
            parts[other] = dict(reuse.parts_of(other))
        return parts
