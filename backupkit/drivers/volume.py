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

"""The contract of a volume driver.

A volume driver reaches volumes. One driver serves as the source of a
backup, as the destination of a restore, and as a place where the
``volume`` target keeps backups.

The rules of every method:

1. Undo methods (``detach``, ``delete_snapshot``, ``drop_checkpoint``,
   ``delete``) succeed when there is nothing to undo.
2. Names handed in are derived from the backup id. A method that finds its
   own work under that name returns it instead of doing it again.
3. Only errors of :mod:`backupkit.errors` leave a driver.
4. No method retries by itself: the loader wraps the driver.
5. The format of a volume is what the driver's records say. It is never
   guessed from the volume's bytes, which belong to its user.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
import contextlib
from typing import ClassVar

from backupkit.copy import opening
from backupkit.drivers import capability
from backupkit.drivers import contract
from backupkit import errors
from backupkit import model


class VolumeDriver(contract.Driver, abc.ABC):
    """Base class of volume drivers; see the module's rules."""

    capabilities: ClassVar[capability.VolumeCapabilities] = (
        capability.VolumeCapabilities()
    )

    def check(self) -> capability.VolumeCapabilities:
        """Return the effective capabilities, after a quick look.

        Quick, repeatable, and without side effects on volumes.

        :raises errors.ConfigurationError: an option cannot work here
        :raises errors.SourceError: the storage cannot be reached
        """
        return self.capabilities

    @abc.abstractmethod
    def storage_identity(self) -> model.StorageIdentity:
        """Tell which storage the volumes lie on.

        Two drivers whose volumes would be lost together return the same
        identity.
        """

    @abc.abstractmethod
    def list(self) -> Iterator[model.Volume]:
        """Yield every volume that can be backed up, in no given order.

        ``in_use`` may be None here; :meth:`show` tells it.
        """

    @abc.abstractmethod
    def show(self, volume_id: str) -> model.Volume:
        """Describe one volume as it is now.

        :raises errors.VolumeNotFound: there is none, or its id is not one
            that this driver allows
        """

    @abc.abstractmethod
    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        """Make a snapshot, or the volume itself, readable on this host.

        On return the path can be opened for reading by this process and
        shows ``size_bytes`` bytes in ``format``. Without a snapshot the
        volume is read as it is. Attaching twice gives an attachment twice,
        each with its own :meth:`detach`.

        :raises errors.VolumeNotFound: the volume or snapshot is gone
        :raises errors.SourceError: it cannot be attached or read
        """

    @abc.abstractmethod
    def attach_volume(self, volume_id: str) -> model.Attachment:
        """Make a volume writable on this host, for a restore.

        :raises errors.VolumeNotFound: there is none
        :raises errors.InUse: somebody else has it open
        """

    @abc.abstractmethod
    def detach(self, attachment: model.Attachment) -> None:
        """Undo an attach; on return the path must not be used."""

    def extents(self, attachment: model.Attachment) -> Iterator[model.Extent]:
        """Yield what is known of the attachment's bytes, in order.

        The extents tile ``[0, size_bytes)`` without gap or overlap and are
        ``data`` or ``zero``. The default calls all of a raw volume data,
        and asks an image of another format itself. A backup calls this for
        raw volumes only.
        """
        if attachment.format != 'raw':
            with contextlib.closing(opening.open_reader(attachment)) as image:
                yield from image.extents()
            return
        if attachment.size_bytes:
            yield model.Extent(0, attachment.size_bytes, model.ExtentKind.DATA)

    def changed_extents(
        self, attachment: model.Attachment, since: model.Checkpoint
    ) -> Iterator[model.Extent]:
        """Yield extents where ``same`` means: as in the parent backup.

        By capability ``changed_extents``. ``since`` must be the checkpoint
        of the very parent in use: backup, volume generation and size.

        :raises errors.CheckpointLost: it is not, or it is in doubt; the
            caller then reads everything
        """
        raise errors.NotSupported(
            f'backend {self.name} cannot tell what changed since a backup'
        )

    def fingerprint(self, attachment: model.Attachment) -> str:
        """Return a text that differs once the volume's bytes have changed.

        By capability ``fingerprint``. Compared before and after a volume
        is read without a snapshot.
        """
        raise errors.NotSupported(
            f'backend {self.name} cannot tell whether a volume changed'
        )

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        """Take a point in time of a volume, named ``name``.

        By capability ``snapshots``. A snapshot of that name that exists
        already is returned.

        :raises errors.VolumeNotFound: there is no such volume
        :raises errors.InUse: the volume is open for writing and the driver
            has no ``online_snapshots``
        """
        raise errors.NotSupported(f'backend {self.name} cannot make snapshots')

    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        """Remove a snapshot; absent is fine. By capability."""
        raise errors.NotSupported(f'backend {self.name} cannot make snapshots')

    def snapshots(self, volume_id: str) -> Sequence[model.Snapshot]:
        """Return the snapshots of a volume, oldest first.

        By capability ``list_snapshots``. Those are among them that others
        have made, and that are kept as checkpoints.

        :raises errors.VolumeNotFound: there is no such volume
        """
        raise errors.NotSupported(f'backend {self.name} lists no snapshots')

    def create_from_snapshot(
        self, volume_id: str, snapshot: model.Snapshot
    ) -> model.Volume:
        """Make a volume that is as another one was at its snapshot.

        By capability ``from_snapshot``. Neither depends on the other.

        :raises errors.VolumeExists: the name is taken
        :raises errors.VolumeNotFound: there is no such snapshot
        """
        raise errors.NotSupported(
            f'backend {self.name} makes no volumes from snapshots'
        )

    def chain(self, volume_id: str) -> Sequence[model.Link]:
        """Return the image files of a volume, the one that is written first.

        The default is to tell none: the volume is not in layers.

        :raises errors.VolumeNotFound: there is no such volume
        """
        return ()

    def keep_checkpoint(self, volume_id: str, name: str) -> None:
        """Keep what it takes to tell later what changed since a snapshot.

        By capability ``changed_extents``. Called for the snapshot ``name``
        that a backup has read, instead of :meth:`delete_snapshot`: on
        return it need not be there any more. Where a volume is read without
        a snapshot it is called before the reading: since that moment, then.
        May be called again for the same name.

        :raises errors.NotSupported: not of this volume
        :raises errors.InUse: not while the volume is open for writing
        :raises errors.VolumeNotFound: there is no such volume
        """
        raise errors.NotSupported(
            f'backend {self.name} cannot tell what changed since a backup'
        )

    def drop_checkpoint(self, volume_id: str, name: str) -> None:
        """Give up what is kept under this name; absent is fine.

        By capability ``changed_extents``.

        :raises errors.InUse: not while the volume is open for writing
        """
        raise errors.NotSupported(
            f'backend {self.name} cannot tell what changed since a backup'
        )

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        """Make a volume of exactly this size. By capability ``create``.

        :raises errors.VolumeExists: the name is taken
        """
        raise errors.NotSupported(f'backend {self.name} cannot create volumes')

    def create_like(
        self, volume_id: str, size_bytes: int, properties: Mapping[str, str]
    ) -> model.Volume:
        """Make a volume that is also otherwise like one of a backup.

        By capability ``create``, of which it keeps all promises. The
        default makes a volume and heeds no property.

        :param properties: of :class:`backupkit.model.Volume`, as this or
            another driver told them; the operator may have changed some
        """
        return self.create(volume_id, size_bytes)

    def round_size(self, size_bytes: int) -> int:
        """Return the least size, from this one on, that ``create`` makes.

        The default makes volumes of any size.
        """
        return size_bytes

    def clone(self, volume_id: str, source_id: str) -> model.Volume:
        """Make a volume that is now as another one, and shares its space.

        By capability ``clone``. Both can be written, and deleted in any
        order, without a change of the other.

        :raises errors.VolumeExists: the name is taken
        :raises errors.VolumeNotFound: there is nothing to be cloned
        """
        raise errors.NotSupported(f'backend {self.name} cannot clone volumes')

    def delete(self, volume_id: str) -> None:
        """Remove a volume; absent is fine. By capability ``create``.

        :raises errors.InUse: somebody has it open
        """
        raise errors.NotSupported(f'backend {self.name} cannot delete volumes')
