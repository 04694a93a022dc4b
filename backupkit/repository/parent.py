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

"""The parent of a backup: which one it is, and what may rest on it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging

from backupkit.copy import interface
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import cache as cache_
from backupkit.repository import chunks as chunks_
from backupkit.repository import damage as damage_
from backupkit.repository import manifest as manifest_
from backupkit.repository import packset
from backupkit.repository import reader as reader_
from backupkit.repository import repository as repository_
from backupkit.repository import reuse as reuse_
from backupkit.repository import sampling
from backupkit.repository import tree

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Parent:
    """The parent backup.

    ``packs`` hold all that its map refers to and may be reused, or are None
    where not all of it may.
    """

    manifest: manifest_.Manifest
    map: tree.MapReader
    packs: packset.PackSet | None

    @property
    def backup_id(self) -> str:
        """The id of the backup that it is."""
        return self.manifest.summary.backup_id

    @property
    def sound(self) -> bool:
        """Whether ``same`` extents may rest on it."""
        return self.packs is not None


def find(
    repository: repository_.Repository,
    request: model.BackupRequest,
    coordinator: target_.Coordinator,
    *,
    cache: cache_.IndexCache,
    reuse: reuse_.Reuse,
    damage: damage_.Damage,
) -> Parent | None:
    """Return the last backup of the volume, where it can be of use."""
    if request.full:
        return None
    parent_id = coordinator.latest(
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
    return Parent(manifest, map_, packs)


def open_volume(
    repository: repository_.Repository,
    request: model.BackupRequest,
    open_reader: target_.OpenReader,
    parent: Parent | None,
) -> interface.Reader:
    """Open the volume with what changed since the parent.

    Where a sample shows that to be wrong, all of it is read.
    """
    if parent is None or not parent.sound:
        return open_reader(None)
    reader = open_reader(parent.backup_id)
    if not reader.tells_changes:
        return reader
    with contextlib.closing(reader):
        wrong = sampling.disagreement(reader, parent.map, repository.digest)
    if wrong is None:
        return open_reader(parent.backup_id)
    LOG.warning(
        'reading all of volume %s:%s: at %d it differs from backup %s, '
        'though its driver says that it has not changed there',
        request.backend,
        request.volume.volume_id,
        wrong,
        parent.backup_id,
    )
    return open_reader(None)
