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

"""Finds chunks in the indexes of many backups.

The indexes are fetched from the repository once and kept on this host;
see :mod:`backupkit.repository.shelf`. That copy is disposable.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
import heapq
import logging
import pathlib

from backupkit import errors
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import private
from backupkit.repository import repository as repository_
from backupkit.repository import salvage
from backupkit.repository import shelf

LOG = logging.getLogger(__name__)

#: Damaged parts of one owner that are told of, at the most.
_DAMAGED_LIMIT = 100


class IndexCache:
    """The places of chunks, from the indexes that were asked for.

    :param directory: where indexes are kept; None keeps them in memory
    :param lasting: keep them from run to run, not only until :meth:`close`
    """

    def __init__(
        self,
        repository: repository_.Repository,
        directory: str | None,
        *,
        lasting: bool = True,
    ) -> None:
        self._repository = repository
        path = pathlib.Path(directory) if directory else None
        self._shelf = _open_shelf(repository, path, lasting=lasting)
        # Made from the tails of packs, because an index is damaged: good
        # for this run only.
        self._tails = private.PrivateShelf(path, repository.settings.digest)
        self.damaged_parts: list[layout.PartId] = []

    def close(self) -> None:
        """Let go of memory and files."""
        self._shelf.close()
        self._tails.close()

    def _segments(self) -> Iterator[index.Segment]:
        yield from self._shelf.segments
        yield from self._tails.segments

    def lookup(self, key: bytes) -> Iterator[index.Place]:
        """Yield every known place of a digest."""
        for segment in self._shelf.segments:
            yield from segment.lookup(key)
        for segment in self._tails.segments:
            yield from segment.lookup(key)

    def size_of(self, pack: layout.PackId) -> int | None:
        """Return the size of a pack's object as indexed."""
        for segment in self._segments():
            if pack in segment.packs:
                return segment.packs[pack]
        return None

    def parts_of(self, owner: str) -> shelf.Parts:
        """Return the index parts of an owner whose index is searched."""
        return self._tails.owners.get(owner) or self._shelf.owners[owner]

    def unique(self, packs: Container[layout.PackId]) -> tuple[int, int]:
        """Count the chunks in these packs, each once, and their bytes."""
        streams = [_lengths(segment, packs) for segment in self._segments()]
        count = total = 0
        last = b''
        for key, plain in heapq.merge(*streams):
            if key != last:
                count += 1
                total += plain
                last = key
        return count, total

    def ensure(self, manifest: manifest_.Manifest) -> None:
        """Make the indexes of all packs of a manifest searchable."""
        for owner in manifest.parts:
            self._fetch(owner, manifest)
        self._shelf.save()

    def ensure_backups(self, backup_ids: Iterable[str]) -> None:
        """Make what committed backups wrote searchable.

        A backup whose manifest is gone or damaged is passed over: what it
        wrote is then not reused through this call.
        """
        for backup_id in backup_ids:
            if backup_id in self._shelf.owners:
                continue
            try:
                manifest = self._repository.manifest(backup_id)
            except (errors.NotFound, errors.IntegrityError) as exc:
                LOG.debug('backup %s is not reused: %s', backup_id, exc)
                continue
            self._fetch(backup_id, manifest)
        self._shelf.save()

    def _fetch(self, owner: str, manifest: manifest_.Manifest) -> None:
        """Fetch an owner's index; from the packs where it is damaged."""
        if owner in self._shelf.owners or owner in self._tails.owners:
            return
        parts = manifest.parts.get(owner, {})
        try:
            self._shelf.add(
                owner,
                parts,
                map(self._repository.part, manifest.part_ids(owner)),
            )
        except (errors.ObjectNotFound, errors.IntegrityError) as exc:
            LOG.warning('%s; reading the packs themselves', exc)
        else:
            return
        self.damaged_parts += self._damaged(manifest.part_ids(owner))
        self._tails.add(
            owner,
            parts,
            salvage.segments(self._repository, manifest.packs.of(owner)),
        )

    def _damaged(
        self, parts: Iterable[layout.PartId]
    ) -> Iterator[layout.PartId]:
        """Yield the parts that are damaged or gone: the first of them."""
        left = _DAMAGED_LIMIT
        for part in parts:
            try:
                self._repository.part(part)
            except (errors.ObjectNotFound, errors.IntegrityError):
                yield part
                left -= 1
                if not left:
                    return


def _open_shelf(
    repository: repository_.Repository,
    path: pathlib.Path | None,
    *,
    lasting: bool,
) -> shelf.DiskShelf | private.PrivateShelf:
    digest = repository.settings.digest
    if path is not None and lasting:
        path /= repository.repository_id
        try:
            return shelf.DiskShelf(path, digest)
        except OSError as exc:
            LOG.warning('indexes are not kept in %s: %s', path, exc)
            path = None
    return private.PrivateShelf(path, digest)


def _lengths(
    segment: index.Segment, packs: Container[layout.PackId]
) -> Iterator[tuple[bytes, int]]:
    for key, place in segment.records():
        if place.pack in packs:
            yield key, place.plain
