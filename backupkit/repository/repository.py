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

"""An opened repository: its settings, manifests, indexes and notes."""

from __future__ import annotations

from collections.abc import Iterator
import datetime
import secrets
import uuid

from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit.repository import digest
from backupkit.repository import fetch
from backupkit.repository import frame
from backupkit.repository.image import manifest as image_manifest
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import limits
from backupkit.repository import manifest as manifest_
from backupkit.repository import pack as pack_
from backupkit.repository import settings as settings_

AnyManifest = manifest_.Manifest | image_manifest.ImageManifest

#: Bytes kept aside so that a full target can be emptied.
RESERVE_BYTES = 1 << 20


class Repository:
    """A repository in an opened store.

    Knows where things are and reads them with suspicion; it decides
    nothing. May be used by several threads.
    """

    def __init__(
        self, store: store_.Store, settings: settings_.Settings
    ) -> None:
        self.store = store
        self.settings = settings
        self.digest = digest.by_name(settings.digest)

    @property
    def repository_id(self) -> str:
        """The identity of the repository."""
        return self.settings.repository_id

    def manifest(self, backup_id: str) -> manifest_.Manifest:
        """Return the manifest of a committed backup of chunks.

        :raises errors.NotFound: there is none, or only a tombstone, or the
            backup is an image
        :raises errors.IntegrityError: it is damaged
        """
        found = self.any_manifest(backup_id)
        if isinstance(found, manifest_.Manifest):
            return found
        raise errors.NotFound(f'backup {backup_id} is an image')

    def any_manifest(self, backup_id: str) -> AnyManifest:
        """Return the manifest of a committed backup, whatever its layout.

        :raises errors.NotFound: there is none, or only a tombstone
        :raises errors.IntegrityError: it is damaged
        """
        try:
            data = fetch.whole(self.store, layout.manifest(backup_id))
        except errors.ObjectNotFound:
            raise errors.NotFound(
                f'the target holds no backup {backup_id}'
            ) from None
        if is_tombstone(data, backup_id):
            raise errors.NotFound(f'backup {backup_id} was aborted')
        text = frame.unseal(
            frame.MANIFEST, data, f'the manifest of backup {backup_id}'
        )
        found: AnyManifest
        if image_manifest.is_image(text):
            found = image_manifest.load(text, backup_id)
        else:
            found = manifest_.load(text, backup_id)
        if found.summary.repository_id != self.repository_id:
            raise errors.FormatError(
                f'backup {backup_id} belongs to another repository'
            )
        return found

    def listed(self) -> Iterator[str]:
        """Yield the ids of which the store shows a manifest or tombstone."""
        for stat in self.store.list(layout.BACKUPS):
            found = layout.parse(stat.name)
            if isinstance(found, str):
                yield found

    def part(self, part: layout.PartId) -> bytes:
        """Return one part of a backup's index, framed and checked.

        :raises errors.ObjectNotFound: it is gone
        :raises errors.IntegrityError: it is damaged
        """
        data = fetch.whole(self.store, part.name)
        index.check_part(data, part)
        return data

    def table(self, pack: layout.PackId) -> list[pack_.Entry]:
        """Return the table of a pack, from its tail.

        :raises errors.ObjectNotFound: the pack is gone
        :raises errors.IntegrityError: the tail is damaged
        """
        size = self.store.stat(pack.name).size_bytes
        if not pack_.TRAILER.size <= size <= limits.PACK_LIMIT:
            raise errors.FormatError(f'pack {pack.name} has a wrong size')
        length = pack_.TRAILER.size
        trailer = self.store.get(pack.name, size - length, length)
        start, _ = pack_.read_trailer(trailer, size, pack)
        tail = self.store.get(pack.name, start, size - start)
        return pack_.read_table(tail, size, pack)

    def put_tombstone(self, backup_id: str) -> bool:
        """Make sure that a backup can never be committed.

        :returns: False where its manifest is there already
        """
        name = layout.manifest(backup_id)
        try:
            self.store.put(name, [tombstone(backup_id, self.settings.digest)])
        except errors.ObjectExists:
            return is_tombstone(fetch.whole(self.store, name), backup_id)
        return True

    def put_manifest(self, backup_id: str, text: str) -> None:
        """Commit a backup; repeated with the same text: fine.

        :raises errors.RunAborted: a tombstone is there
        """
        name = layout.manifest(backup_id)
        data = frame.seal(frame.MANIFEST, text.encode(), self.settings.digest)
        try:
            self.store.put(name, [data])
        except errors.ObjectExists:
            found = fetch.whole(self.store, name)
            if found == data:
                return
            if is_tombstone(found, backup_id):
                raise errors.RunAborted(
                    f'backup {backup_id} was aborted by somebody else'
                ) from None
            raise

    def keep_reserve(self) -> None:
        """Put the reserve object where it is missing and there is room."""
        body = bytes(RESERVE_BYTES - frame.OVERHEAD)
        data = frame.seal(frame.RESERVE, body, self.settings.digest)
        try:
            self.store.put(layout.RESERVE, [data])
        except (errors.ObjectExists, errors.TargetFull):
            return

    def release_reserve(self) -> None:
        """Give the reserve's space back to the store."""
        self.store.delete(layout.RESERVE)


def tombstone(backup_id: str, digest_name: str) -> bytes:
    """Return the object that stands where a manifest may never come."""
    return frame.seal(frame.TOMBSTONE, backup_id.encode(), digest_name)


def is_tombstone(data: bytes, backup_id: str) -> bool:
    """Tell whether an object is the tombstone of this backup.

    :raises errors.FormatError: it is a tombstone, but damaged
    """
    if frame.magic_of(data) != frame.TOMBSTONE:
        return False
    what = f'the tombstone of backup {backup_id}'
    if frame.unseal(frame.TOMBSTONE, data, what) != backup_id.encode():
        raise errors.FormatError(f'{what} is that of another backup')
    return True


def open_repository(store: store_.Store) -> Repository | None:
    """Return the repository in a store, or None where there is none.

    :raises errors.FormatTooNew: made by a newer release
    :raises errors.FormatError: its config is damaged
    """
    try:
        data = fetch.whole(store, layout.CONFIG)
    except errors.ObjectNotFound:
        return None
    return Repository(store, settings_.load(data))


def make_repository(
    store: store_.Store, settings: settings_.Settings
) -> Repository:
    """Make a repository, or open the one that somebody else just made."""
    repository = Repository(store, settings)
    repository.keep_reserve()
    try:
        store.put(layout.CONFIG, [settings.dump()])
    except errors.ObjectExists:
        pass
    opened = open_repository(store)
    if opened is None:
        raise errors.TargetError('the config that was put is not there')
    return opened


def writer_of(repository: Repository) -> tuple[str, int]:
    """Return the catalog that writes here, and how many adopted it."""
    owner, number = repository.settings.catalog_id, 0
    while True:
        name = f'{layout.ADOPTED}{number + 1:08d}'
        try:
            data = fetch.whole(repository.store, name)
        except errors.ObjectNotFound:
            return owner, number
        number += 1
        owner = settings_.load_adoption(data, number)


def adopt(repository: Repository, coordinator: target_.Coordinator) -> str:
    """Make the coordinator's catalog the one that writes here.

    :returns: the catalog that wrote here before
    :raises errors.Conflict: another catalog adopted it at the same time
    """
    owner, number = writer_of(repository)
    if owner == coordinator.catalog_id:
        return owner
    name = f'{layout.ADOPTED}{number + 1:08d}'
    data = settings_.dump_adoption(
        coordinator.catalog_id, number + 1, repository.settings.digest
    )
    try:
        repository.store.put(name, [data])
    except errors.ObjectExists:
        raise errors.Conflict(
            'another catalog adopted the repository just now'
        ) from None
    return owner


def check_writer(
    repository: Repository, coordinator: target_.Coordinator
) -> None:
    """Refuse to write where another catalog does.

    :raises errors.NotOwner: with the cure in its message
    """
    owner, _ = writer_of(repository)
    if owner != coordinator.catalog_id:
        raise errors.NotOwner(
            f'catalog {owner} writes to this repository; this one, '
            f'{coordinator.catalog_id}, may only read it. If the other is '
            'gone for good, take over with: backupkit repository adopt'
        )


def new_id() -> str:
    """Return a new random id in canonical form."""
    return str(uuid.uuid4())


def new_attempt() -> str:
    """Return the random name under which one process writes packs."""
    return secrets.token_hex(4)


def now() -> str:
    """Return the time in UTC, in ISO 8601 with seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
