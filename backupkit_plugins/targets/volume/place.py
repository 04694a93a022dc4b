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

"""A backend as a place for backups: volumes by name, attached and left."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import logging
import uuid

from backupkit.copy import raw
from backupkit.drivers import capability
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import area
from backupkit.repository.image import block
from backupkit.repository.image import digests
from backupkit.repository.image import failures
from backupkit.repository.image import place as place_
from backupkit.repository.image import reader as reader_
from backupkit.repository.image import source
from backupkit.repository.image import volume as image_volume
from backupkit.repository import tree

LOG = logging.getLogger(__name__)

_PREFIX = 'backupkit-'

_NAMESPACE = uuid.UUID('6f0c0d52-6a2c-4a63-9d0b-6d1c2a1f7b3e')


class Place(place_.Place):
    """Makes, attaches and deletes backup volumes on one backend.

    :param target: the name of the target, for messages
    :param driver: of the backend
    """

    def __init__(self, target: str, driver: volume_.VolumeDriver) -> None:
        self._target = target
        self.driver = driver
        self.repository_id = str(uuid.uuid5(_NAMESPACE, driver.name))

    def volume_id(self, backup_id: str) -> str:
        """Return the id of the volume that keeps a backup."""
        return f'{_PREFIX}{model.check_backup_id(backup_id)}'

    def check(self) -> capability.VolumeCapabilities:
        """Return what the backend can do."""
        with self._at('backend'):
            return self.driver.check()

    def storage_identity(self) -> model.StorageIdentity:
        """Tell which storage the backend's volumes lie on."""
        with self._at('backend'):
            return self.driver.storage_identity()

    def backup_ids(self) -> Iterator[str]:
        """Yield the backups, committed or not, of which there is a volume."""
        with self._at('volumes'):
            names = sorted(volume.volume_id for volume in self.driver.list())
        for name in names:
            backup_id = name.removeprefix(_PREFIX)
            with contextlib.suppress(errors.UsageError):
                if name == self.volume_id(backup_id):
                    yield backup_id

    @contextlib.contextmanager
    def make(
        self,
        backup_id: str,
        geometry: tree.Geometry,
        digest_name: str,
        clone_of: place_.Kept | None,
    ) -> Iterator[place_.Made]:
        size_bytes = area.Area(geometry).volume_bytes
        can = self.check()
        cloned = clone_of is not None and can.clone
        if clone_of is not None and can.clone:
            self.clone(backup_id, clone_of.summary.backup_id)
        else:
            self.create(backup_id, size_bytes)
        with contextlib.ExitStack() as stack:
            volume = stack.enter_context(self.attached(backup_id))
            volume.require(size_bytes)
            with failures.at_target(volume.path):
                data = stack.enter_context(
                    raw.RawWriter(
                        volume.path,
                        geometry.size_bytes,
                        reads_zero=can.new_reads_zero and not cloned,
                    )
                )
            file = volume.tree(geometry, digest_name)
            yield place_.Made(data, file, cloned, volume.flush)

    def create(self, backup_id: str, size_bytes: int) -> None:
        """Make a volume for a new backup.

        What an interrupted attempt of the same run had made goes first.
        """
        volume_id = self.volume_id(backup_id)
        with self._at(volume_id):
            size_bytes = self.driver.round_size(size_bytes)
            try:
                self.driver.create(volume_id, size_bytes)
            except errors.VolumeExists:
                self._begin_again(backup_id)
                self.driver.create(volume_id, size_bytes)

    def clone(self, backup_id: str, parent_id: str) -> None:
        """Make the volume of a new backup out of another backup's."""
        volume_id = self.volume_id(backup_id)
        source_id = self.volume_id(parent_id)
        with self._at(volume_id):
            try:
                self.driver.clone(volume_id, source_id)
            except errors.VolumeExists:
                self._begin_again(backup_id)
                self.driver.clone(volume_id, source_id)

    def _begin_again(self, backup_id: str) -> None:
        with self.written(backup_id) as volume:
            if volume.locator() is not None:
                raise errors.RunAborted(
                    f'backup {backup_id} was committed or aborted before'
                )
        self.driver.delete(self.volume_id(backup_id))

    def delete(self, backup_id: str) -> None:
        """Delete the volume of a backup; absent is fine."""
        volume_id = self.volume_id(backup_id)
        with self._at(volume_id):
            self.driver.delete(volume_id)

    def is_committed(self, backup_id: str) -> bool:
        """Tell whether a backup of which there is a volume is committed.

        :raises errors.NotFound: there is no such volume
        :raises errors.IntegrityError: that cannot be told
        """
        with (
            self.attached(backup_id, writable=False) as volume,
            self._at(self.volume_id(backup_id)),
        ):
            locator = volume.locator()
        if locator is None:
            return False
        return locator.state is block.State.COMMITTED

    @contextlib.contextmanager
    def read(self, backup_id: str) -> Iterator[place_.Kept]:
        with self.attached(backup_id, writable=False) as volume:
            with self._at(self.volume_id(backup_id)):
                manifest = volume.manifest()
                file = volume.tree(manifest.geometry, manifest.digest)
                root = manifest.root
                if root is None:
                    head = file.head(backup_id)
                    root = head.root if head else None
            map_ = None if root is None else digests.TreeReader(file, root)
            with contextlib.closing(
                reader_.ImageReader(
                    source.FileSource(
                        volume.path, manifest.summary.size_bytes
                    ),
                    manifest.geometry,
                    manifest.digest,
                    map_,
                )
            ) as reader:
                yield place_.Kept(
                    manifest, self.placed(manifest.summary), reader
                )

    def placed(self, summary: model.BackupSummary) -> model.BackupSummary:
        return dataclasses.replace(
            summary, service_metadata=self.volume_id(summary.backup_id)
        )

    @contextlib.contextmanager
    def written(self, backup_id: str) -> Iterator[image_volume.BackupVolume]:
        """Lend the volume of a backup, to be written.

        What goes wrong within is told as an error of the target.

        :raises errors.NotFound: there is no such volume
        """
        with (
            self.attached(backup_id) as volume,
            self._at(self.volume_id(backup_id)),
        ):
            yield volume

    @contextlib.contextmanager
    def attached(
        self, backup_id: str, *, writable: bool = True
    ) -> Iterator[image_volume.BackupVolume]:
        """Lend the volume of a backup; errors within leave as they are.

        :raises errors.NotFound: there is no such volume
        """
        volume_id = self.volume_id(backup_id)
        with contextlib.ExitStack() as stack:
            with self._at(volume_id):
                attachment = self._attach(volume_id, writable=writable)
                stack.push(_Detaching(self, attachment))
                if attachment.format != 'raw':
                    raise errors.TargetError(
                        f'volume {volume_id} of backend {self.driver.name} '
                        f'has the format {attachment.format}: only raw ones '
                        'can keep backups'
                    )
                volume = stack.enter_context(
                    image_volume.BackupVolume(
                        attachment.path,
                        attachment.size_bytes,
                        backup_id,
                        writable=writable,
                    )
                )
            yield volume

    def _attach(self, volume_id: str, *, writable: bool) -> model.Attachment:
        try:
            if writable:
                return self.driver.attach_volume(volume_id)
            return self.driver.attach(volume_id, None)
        except errors.VolumeNotFound as exc:
            raise errors.NotFound(
                f'target {self._target} holds no backup '
                f'{volume_id.removeprefix(_PREFIX)}'
            ) from exc

    def detach(self, attachment: model.Attachment) -> None:
        """Undo an attach."""
        with self._at(attachment.path):
            self.driver.detach(attachment)

    def _at(self, what: str) -> contextlib.AbstractContextManager[None]:
        return failures.at_target(
            f'target {self._target}, backend {self.driver.name}, {what}'
        )


class _Detaching:
    """Detaches; a failure of that hides no other one."""

    def __init__(self, place: Place, attachment: model.Attachment) -> None:
        self._place = place
        self._attachment = attachment

    def __enter__(self) -> None:
        return

    def __exit__(
        self, exc_type: object, exc: BaseException | None, traceback: object
    ) -> None:
        try:
            self._place.detach(self._attachment)
        except errors.BackupkitError as error:
            if exc is None:
                raise
            LOG.warning('%s', error)
