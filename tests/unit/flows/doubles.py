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


"""Drivers whose volumes and objects outlive a process: plain files.

What a killed process leaves is seen by the next one. They promise nothing
about power cuts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import os
import pathlib
import shutil
import uuid

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit.repository import target


class FilesDriver(volume.VolumeDriver):
    """Volumes, snapshots and attachments are files of three directories."""

    contract_version = '1.0'
    capabilities = capability.VolumeCapabilities(
        snapshots=True, create=True, new_reads_zero=True
    )
    tells_allocation = False

    def __init__(self, name: str, root: pathlib.Path) -> None:
        super().__init__(name, None)
        self.volumes = root / 'volumes'
        self.taken = root / 'snapshots'
        self.attachments = root / 'attachments'
        for path in (self.volumes, self.taken, self.attachments):
            path.mkdir(parents=True, exist_ok=True)

    def storage_identity(self) -> model.StorageIdentity:
        return model.StorageIdentity('files', 'volumes')

    def list(self) -> Iterator[model.Volume]:
        for path in self.volumes.iterdir():
            yield self.show(path.name)

    def show(self, volume_id: str) -> model.Volume:
        path = self.volumes / volume_id
        if not path.exists():
            raise errors.VolumeNotFound(f'there is no volume {volume_id}')
        status = path.stat()
        allocated = status.st_blocks * 512
        return model.Volume(
            volume_id,
            status.st_size,
            generation=str(status.st_ino),
            allocated_bytes=allocated if self.tells_allocation else None,
        )

    def _attached(
        self, path: pathlib.Path, *, read_only: bool
    ) -> model.Attachment:
        if not path.exists():
            raise errors.VolumeNotFound(f'there is no {path}')
        key = uuid.uuid4().hex
        (self.attachments / key).symlink_to(path)
        return model.Attachment(
            str(path),
            path.stat().st_size,
            read_only=read_only,
            handle={'key': key},
        )

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        path = self.volumes / volume_id
        if snapshot is not None:
            path = self.taken / snapshot.name
        return self._attached(path, read_only=True)

    def attach_volume(self, volume_id: str) -> model.Attachment:
        return self._attached(self.volumes / volume_id, read_only=False)

    def detach(self, attachment: model.Attachment) -> None:
        path = self.attachments / attachment.handle['key']
        path.unlink(missing_ok=True)

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        size_bytes = self.show(volume_id).size_bytes
        made = self.taken / name
        if not made.exists():
            shutil.copyfile(self.volumes / volume_id, made)
        return model.Snapshot(name, volume_id, size_bytes)

    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        (self.taken / snapshot.name).unlink(missing_ok=True)

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        try:
            (self.volumes / volume_id).touch(exist_ok=False)
        except FileExistsError:
            raise errors.VolumeExists(f'{volume_id} exists') from None
        os.truncate(self.volumes / volume_id, size_bytes)
        return self.show(volume_id)

    def delete(self, volume_id: str) -> None:
        (self.volumes / volume_id).unlink(missing_ok=True)

    def left(self) -> Sequence[str]:
        """Return what is attached and which snapshots there are."""
        return [
            path.name
            for directory in (self.taken, self.attachments)
            for path in directory.iterdir()
        ]


class FilesStore(store.Store):
    """A store whose objects are files below a directory."""

    capabilities = capability.StoreCapabilities(
        list_complete=True, put_if_absent=True
    )

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        path = self._root / store.check_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f'.{uuid.uuid4().hex}')
        draft.write_bytes(b''.join(parts))
        try:
            os.link(draft, path)
        except FileExistsError:
            raise errors.ObjectExists(f'{name} is there') from None
        finally:
            draft.unlink()

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        path = self._root / store.check_name(name)
        if not path.exists():
            raise errors.ObjectNotFound(f'there is no {name}')
        data = path.read_bytes()
        end = len(data) if length is None else offset + length
        if end > len(data):
            raise errors.Damaged(f'{name} is short')
        return data[offset:end]

    def stat(self, name: str) -> store.ObjectStat:
        path = self._root / store.check_name(name)
        if not path.exists():
            raise errors.ObjectNotFound(f'there is no {name}')
        return store.ObjectStat(name, path.stat().st_size)

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        root = self._root / store.check_prefix(prefix)
        for path in root.rglob('*'):
            if path.is_file() and not path.name.startswith('.'):
                name = path.relative_to(self._root).as_posix()
                yield store.ObjectStat(name, path.stat().st_size)

    def delete(self, name: str) -> None:
        (self._root / store.check_name(name)).unlink(missing_ok=True)


class FilesTarget(target.RepositoryTarget):
    """A repository in a :class:`FilesStore`."""

    contract_version = '1.0'
    capabilities = capability.TargetCapabilities(
        repository=True, store=FilesStore.capabilities
    )
    #: Where the objects are.
    root: pathlib.Path

    def open(self) -> store.Store:
        self.root.mkdir(parents=True, exist_ok=True)
        return FilesStore(self.root)

    def storage_identity(self) -> model.StorageIdentity:
        return model.StorageIdentity('files', 'objects')

    def packs(self) -> Sequence[str]:
        """Return the names of all packs."""
        return [
            stat.name for stat in self.open().list() if '/packs/' in stat.name
        ]
