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

from collections.abc import Callable
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Protocol

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import cache as cache_
from backupkit.repository import chunks as chunks_
from backupkit.repository import codec as codec_
from backupkit.repository import damage as damage_
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import packer as packer_
from backupkit.repository import packset
from backupkit.repository import reader as reader_
from backupkit.repository import repository as repository_
from backupkit.repository import reuse as reuse_
from backupkit.repository import sampling
from backupkit.repository import tree
from backupkit.repository import writer as writer_

if TYPE_CHECKING:
    from backupkit.repository import journal as journal_
    from backupkit.repository import replica as replica_
    from backupkit.repository import resumed as resumed_

LOG = logging.getLogger(__name__)

#: Moves the bytes from a reader to a writer, in blocks of so many bytes.
Move = Callable[
    [interface.Reader, interface.Writer, control_.Control, int], None
]


@dataclasses.dataclass(frozen=True, slots=True)
class Means:
    """What making a backup may use.

    ``buffers`` are packs in memory, at the most; ``threads`` are those with
    which a copy reads.
    """

    buffers: int
    threads: int


class _Written(Protocol):
    """What has been written, however that was done."""

    counts: writer_.Counts
    exact: bool
    root: bytes

    @property
    def packs(self) -> packset.PackSet:
        """All packs that the map refers to."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Parent:
    """The parent backup.

    ``packs`` hold all that its map refers to and may be reused, or are None
    where not all of it may.
    """

    manifest: manifest_.Manifest
    map: tree.MapReader
    packs: packset.PackSet | None

    @property
    def sound(self) -> bool:
        """Whether ``same`` extents may rest on it."""
        return self.packs is not None


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
        move: Move,
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
            parent = self._parent(cache, reuse, damage)
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

    def _parent(
        self,
        cache: cache_.IndexCache,
        reuse: reuse_.Reuse,
        damage: damage_.Damage,
    ) -> _Parent | None:
        request = self._request
        if request.full:
            return None
        repository = self._repository
        parent_id = self._coordinator.latest(
            repository.repository_id,
            request.backend,
            request.volume.volume_id,
        )
        if parent_id is None:
            return None
        try:
            manifest = repository.manifest(parent_id)
        except (errors.NotFound, errors.IntegrityError) as exc:
            LOG.warning('no parent is used: %s', exc)
            return None
        if manifest.chunk_bytes != repository.settings.chunk_bytes:
            return None
        cache.ensure(manifest)
        chunks = chunks_.ChunkReader(repository, cache, manifest.packs)
        map_ = reader_.BackupReader(manifest, chunks).map
        packs = None
        if manifest.summary.size_bytes == request.volume.size_bytes:
            packs = reuse.stand_ins(manifest.packs)
        if packs is not None and not packs.isdisjoint(damage.all_packs):
            packs = None
        return _Parent(manifest, map_, packs)

    def _write(
        self,
        open_reader: target_.OpenReader,
        move: Move,
        control: control_.Control,
        reuse: reuse_.Reuse,
        parent: _Parent | None,
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
        written: _Written = writer
        try:
            with contextlib.closing(self._open(open_reader, parent)) as reader:
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
        return self._prepared(written, packer, reuse, parent)

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

    def _open(
        self, open_reader: target_.OpenReader, parent: _Parent | None
    ) -> interface.Reader:
        """Open the volume with what changed since the parent.

        Where a sample shows that to be wrong, all of it is read.
        """
        if parent is None or not parent.sound:
            return open_reader(None)
        since = parent.manifest.summary.backup_id
        reader = open_reader(since)
        if not reader.tells_changes:
            return reader
        with contextlib.closing(reader):
            wrong = sampling.disagreement(
                reader, parent.map, self._repository.digest
            )
        if wrong is None:
            return open_reader(since)
        LOG.warning(
            'reading all of volume %s:%s: at %d it differs from backup %s, '
            'though its driver says that it has not changed there',
            self._request.backend,
            self._request.volume.volume_id,
            wrong,
            since,
        )
        return open_reader(None)

    def _replica(
        self,
        reader: interface.Reader,
        packer: packer_.Packer,
        reuse: reuse_.Reuse,
        parent: _Parent | None,
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

    def _prepared(
        self,
        writer: _Written,
        packer: packer_.Packer,
        reuse: reuse_.Reuse,
        parent: _Parent | None,
    ) -> target_.Prepared:
        request, owner = self._request, self._request.backup_id
        counts = writer.counts
        summary = model.BackupSummary(
            backup_id=owner,
            backend=request.backend,
            volume_id=request.volume.volume_id,
            size_bytes=request.volume.size_bytes,
            kind=(
                model.BackupKind.INCREMENTAL
                if parent
                else model.BackupKind.FULL
            ),
            name=request.name,
            parent_id=parent.manifest.summary.backup_id if parent else None,
            created_at=request.created_at or repository_.now(),
            volume_generation=request.volume.generation,
            data_bytes=_data_bytes(writer, parent),
            read_bytes=counts.read,
            changed_bytes=counts.changed,
            stored_bytes=packer.stored_bytes,
            consistent=request.consistent,
            content=request.content,
            sequence=request.run_number,
            service_metadata=layout.base(owner),
            repository_id=self._repository.repository_id,
            copy_of=request.copy_of,
        )
        manifest = manifest_.Manifest(
            summary=summary,
            volume_format=request.volume.format,
            volume_properties=dict(request.volume.properties),
            chunk_bytes=self._repository.settings.chunk_bytes,
            root=writer.root,
            packs=writer.packs,
            parts=self._parts(writer, packer, reuse),
            exact=writer.exact,
        )
        return target_.Prepared(summary, manifest_.dump(manifest))

    def _parts(
        self,
        writer: _Written,
        packer: packer_.Packer,
        reuse: reuse_.Reuse,
    ) -> dict[str, dict[str, int]]:
        """Return the index parts of every owner of a pack in use."""
        owner = self._request.backup_id
        parts: dict[str, dict[str, int]] = {}
        if packer.parts:
            parts[owner] = {packer.attempt: packer.parts}
        if self._earlier and self._earlier.parts:
            parts[owner] = {**parts.get(owner, {}), **self._earlier.parts}
        for other in writer.packs.owners - {owner}:
            parts[other] = dict(reuse.parts_of(other))
        return parts


def _data_bytes(writer: _Written, parent: _Parent | None) -> int:
    """Return how much of the volume is not zero."""
    counts = writer.counts
    if writer.exact or parent is None:
        return counts.data
    return parent.manifest.summary.data_bytes + counts.data - counts.replaced
