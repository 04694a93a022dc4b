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

"""Tells what a repository holds: its backups, and the sums."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import cache as cache_
from backupkit.repository.image import operations as images
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import moved
from backupkit.repository import packset
from backupkit.repository import repository as repository_


def describe(
    repository: repository_.Repository,
    backup_id: str,
    there: dict[str, int],
) -> Iterator[model.BackupSummary | target_.Finding]:
    """Yield a backup as good only if all its packs are there."""
    name = layout.manifest(backup_id)
    try:
        manifest = repository.any_manifest(backup_id)
    except errors.NotFound:
        return
    except errors.IntegrityError as exc:
        yield target_.Finding(name, str(exc), (backup_id,))
        return
    if not isinstance(manifest, manifest_.Manifest):
        if problem := images.missing(manifest, there):
            yield target_.Finding(name, problem, (backup_id,))
        else:
            yield manifest.summary
        return
    missing = [pack for pack in manifest.packs if pack.name not in there]
    lost = [pack for pack in missing if moved.lost(repository.store, pack)]
    if lost:
        yield target_.Finding(
            name, f'{len(lost)} of its packs are gone', (backup_id,)
        )
    else:
        yield manifest.summary


def stats(
    repository: repository_.Repository, cache: cache_.IndexCache
) -> dict[str, int]:
    """Return the sums of all backups, and what they take."""
    totals = dict.fromkeys(
        ('backups', 'logical_bytes', 'data_bytes', 'changed_bytes'), 0
    )
    reached = packset.PackSet()
    alone = stored = 0
    for backup_id in set(repository.listed()):
        try:
            manifest = repository.any_manifest(backup_id)
        except (errors.NotFound, errors.IntegrityError):
            continue
        summary = manifest.summary
        if isinstance(manifest, manifest_.Manifest):
            cache.ensure(manifest)
            reached.update(manifest.packs)
        else:
            alone += summary.data_bytes
            stored += summary.stored_bytes
        totals['backups'] += 1
        totals['logical_bytes'] += summary.size_bytes
        totals['data_bytes'] += summary.data_bytes
        totals['changed_bytes'] += summary.changed_bytes
    chunks, unique = cache.unique(reached)
    stored += sum(
        stat.size_bytes
        for stat in repository.store.list()
        if not isinstance(layout.parse(stat.name), layout.FileId)
    )
    return {
        **totals,
        'unique_bytes': unique + alone,
        'stored_bytes': stored,
        'chunks': chunks,
        'packs': len(reached),
    }
