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

"""What a collection leaves of backups that are gone, and removes too."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib

from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import damage as damage_
from backupkit.repository import fetch
from backupkit.repository.image import manifest as image_manifest
from backupkit.repository import layout
from backupkit.repository import listing as listing_
from backupkit.repository import repository as repository_


def clear(
    repository: repository_.Repository,
    coordinator: target_.Coordinator,
    seen: listing_.Listing,
    deleted: set[layout.PackId],
) -> None:
    """Remove indexes, tombstones and notes of which no pack is left.

    To be called where no run is waited for.

    :param seen: what was there before the collection
    :param deleted: packs that it has deleted
    """
    store, repository_id = repository.store, repository.repository_id
    # In this order: a run that registers in between is in neither.
    known = set(coordinator.known(repository_id))
    live = set(coordinator.live(repository_id))
    astray = set(coordinator.astray(repository_id))
    kept = {pack.owner for pack in seen.packs() if pack not in deleted}
    kept |= {pack.owner for pack in seen.moved if pack not in deleted}
    for owner in seen.journals.keys() - live:
        # Its run has ended: nobody goes on with it any more.
        store.delete_many([part.name for part in seen.journals[owner]])
    forgotten = []
    for owner in seen.owners - kept - live:
        manifest = _committed(repository, owner)
        if manifest is not None:
            _clear_attempts(store, manifest, seen.files.get(owner, ()))
            continue
        parts = seen.parts.get(owner, ())
        files = seen.files.get(owner, ())
        store.delete_many([one.name for one in (*parts, *files)])
        # After the packs, and only where no writer can still come.
        if owner not in astray:
            store.delete(layout.manifest(owner))
            forgotten.append(owner)
    if store.capabilities.list_complete:
        # Nothing is there but what was listed or is told by its name.
        forgotten += [
            owner
            for owner in known - seen.owners - live - astray
            if _is_free(store, layout.manifest(owner))
        ]
    coordinator.forget(repository_id, forgotten)
    if deleted:
        _clear_notes(store)


def _committed(
    repository: repository_.Repository, backup_id: str
) -> repository_.AnyManifest | None:
    with contextlib.suppress(errors.NotFound):
        return repository.any_manifest(backup_id)
    return None


def _clear_attempts(
    store: store_.Store,
    manifest: repository_.AnyManifest,
    files: Iterable[layout.FileId],
) -> None:
    """Remove the files of attempts of which a backup did not come to be."""
    attempt = (
        manifest.attempt
        if isinstance(manifest, image_manifest.ImageManifest)
        else ''
    )
    store.delete_many([one.name for one in files if one.attempt != attempt])


def _clear_notes(store: store_.Store) -> None:
    """Remove notes of damage all of whose packs are gone."""
    for stat in list(store.list(layout.DAMAGED)):
        try:
            note = damage_.read(fetch.whole(store, stat.name), stat.name)
        except (errors.IntegrityError, errors.ObjectNotFound):
            continue
        if all(_is_free(store, pack.name) for pack in note.all_packs):
            store.delete(stat.name)


def _is_free(store: store_.Store, name: str) -> bool:
    """Tell whether there is no object of this name."""
    try:
        store.stat(name)
    except errors.ObjectNotFound:
        return True
    return False
