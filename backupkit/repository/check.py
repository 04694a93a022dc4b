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

"""Verify and check: what is damaged, and which backups it hurts.

Everything is read from the store itself, never from a local cache. *Quick*
looks at structure, sizes and presence: manifests, indexes, every node of
the maps, and that each chunk has a place. *Full* reads every byte, and
compares what the indexes tell of each pack with the pack's own table; it
may be asked for a selection of the packs only.

In memory is what is wrong; indexes lie in files while they are searched.
"""

from __future__ import annotations

import collections

from backupkit.copy import control as control_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import cache as cache_
from backupkit.repository import chunks as chunks_
from backupkit.repository import damage as damage_
from backupkit.repository.image import operations as images
from backupkit.repository import index
from backupkit.repository import inspection
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import packset
from backupkit.repository import repository as repository_
from backupkit.repository import selection
from backupkit.repository import tree


class Checker:
    """Checks backups of one repository, each pack only once.

    Used as a context manager. ``damage`` is what it found.

    :param threads: packs that are read at the same time
    :param reads: chooses the packs of which every byte is read
    :param directory: for files without names that hold the indexes; None
        keeps them in memory
    """

    def __init__(
        self,
        repository: repository_.Repository,
        control: control_.Control,
        *,
        threads: int,
        reads: selection.Selection,
        directory: str | None = None,
    ) -> None:
        self._repository = repository
        self._control = control
        self._reads = reads
        self._cache = cache_.IndexCache(repository, directory, lasting=False)
        self._packs = inspection.Inspection(
            repository,
            control,
            self._cache.size_of,
            threads=threads,
            reads=reads,
        )
        self._findings: dict[tuple[str, str], set[str]] = {}
        self._threads = threads
        self._chunks = self._bytes_read = 0
        self.objects = 0

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *exc: object) -> None:
        self._packs.close()
        self._cache.close()

    def found(
        self, name: str, problem: str, backup_id: str | None = None
    ) -> None:
        """Record one thing that is wrong, and whom it hurts."""
        hurt = self._findings.setdefault((name, problem), set())
        if backup_id:
            hurt.add(backup_id)

    def report(self) -> target_.Report:
        """Return what was looked at and found so far."""
        return target_.Report(
            objects=self.objects + len(self._packs.seen),
            chunks=self._chunks + self._packs.chunks,
            bytes_read=self._bytes_read + self._packs.bytes_read,
            findings=tuple(
                target_.Finding(name, problem, tuple(sorted(hurt)))
                for (name, problem), hurt in sorted(self._findings.items())
            ),
        )

    @property
    def damage(self) -> damage_.Damage:
        """The packs and chunks that must not be reused."""
        return self._packs.damage

    def backup(self, backup_id: str) -> manifest_.Manifest | None:
        """Check one backup that should be there; return its manifest."""
        self.objects += 1
        try:
            manifest = self._repository.any_manifest(backup_id)
        except (errors.NotFound, errors.IntegrityError) as exc:
            self.found(layout.manifest(backup_id), str(exc), backup_id)
            return None
        if not isinstance(manifest, manifest_.Manifest):
            self._image(backup_id)
            return None
        damaged = len(self._cache.damaged_parts)
        self._cache.ensure(manifest)
        for part in self._cache.damaged_parts[damaged:]:
            self.found(part.name, 'the index is damaged or gone', backup_id)
        self.objects += sum(
            count
            for attempts in manifest.parts.values()
            for count in attempts.values()
        )
        self._check_packs(manifest)
        for pack, state in self._packs.reached(manifest.packs):
            if problem := state.problem:
                self.found(pack.name, problem, backup_id)
        self._walk(manifest, backup_id)
        return manifest

    def _image(self, backup_id: str) -> None:
        """Check a backup that is an image."""
        report = images.verify(
            self._repository,
            backup_id,
            self._control,
            threads=self._threads,
            reads=self._reads,
        )
        self.objects += report.objects
        self._chunks += report.chunks
        self._bytes_read += report.bytes_read
        for finding in report.findings:
            self.found(finding.name, finding.problem, backup_id)

    def _check_packs(self, manifest: manifest_.Manifest) -> None:
        """Check the packs of a manifest that were not looked at yet."""
        packs = self._packs.new(manifest.packs)
        total = sum(self._packs.expected(pack) or 0 for pack in packs)
        self._control.start('verify', total)
        chosen = self._reads.of(packs)
        for owner in chosen.owners:
            for part in manifest.part_ids(owner):
                self._compare(part, chosen)
        self._packs.check(packs, chosen)

    def _compare(self, part: layout.PartId, packs: packset.PackSet) -> None:
        """Read packs of one index part, and compare it with them."""
        try:
            data = self._repository.part(part)
        except (errors.ObjectNotFound, errors.IntegrityError):
            # Told of already; what it says is taken from the packs.
            return
        self._read(part, index.Segment(data), packs)

    def _read(
        self,
        part: layout.PartId,
        segment: index.Segment,
        packs: packset.PackSet,
    ) -> None:
        if wrong := self._packs.compare(segment, packs):
            self.found(
                part.name,
                f'{wrong} chunks are not in their packs as the index says',
            )

    def know(self, part: layout.PartId, packs: packset.PackSet) -> None:
        """Check one index part, and those of the packs that it tells of.

        :raises errors.ObjectNotFound: it is gone
        :raises errors.FormatError: it is damaged
        """
        segment = index.Segment(self._repository.part(part))
        mine = packset.PackSet(one for one in segment.packs if one in packs)
        self._read(part, segment, self._reads.of(mine))

    def stray(self, packs: packset.PackSet) -> None:
        """Read packs that no manifest reaches, as far as was asked.

        Damage in any pack that hurts nobody is told of here too.
        """
        chosen = self._reads.of(packs)
        self._packs.check(chosen, chosen)
        told = {name for name, _ in self._findings}
        for pack, state in self._packs.states.items():
            if pack.name in told:
                continue
            if state.problem:
                self.found(pack.name, state.problem)
            elif count := len(state.broken - state.misplaced):
                self.found(pack.name, f'{count} damaged chunks that none uses')

    def _walk(self, manifest: manifest_.Manifest, backup_id: str) -> None:
        """Check that every node and chunk of the map has a good place."""
        chunks = chunks_.ChunkReader(
            self._repository,
            self._cache,
            self._packs.whole(manifest.packs),
            self._packs.moves,
        )
        map_ = tree.MapReader(manifest.geometry, manifest.root, chunks.node)
        lost: collections.Counter[str] = collections.Counter()
        name = layout.manifest(backup_id)
        for span in map_.walk():
            self._control.check()
            if span.error:
                problem = f'part of its map cannot be read: {span.error}'
                self.found(name, problem, backup_id)
            elif span.node is not None:
                self._count_lost(span.node, chunks, name, lost)
        for where, count in lost.items():
            self.found(
                where,
                f'{count} references to chunks without a good copy',
                backup_id,
            )

    def _count_lost(
        self,
        node: bytes,
        chunks: chunks_.ChunkReader,
        manifest: str,
        lost: collections.Counter[str],
    ) -> None:
        """Count references without a good copy, by the damaged object."""
        for kind, plain, key in tree.REF.iter_unpack(node):
            if kind == tree.ZERO:
                continue
            places = list(chunks.places(key))
            if not any(
                place.plain == plain and self._packs.is_good(key, place.pack)
                for place in places
            ):
                lost[places[0].pack.name if places else manifest] += 1
