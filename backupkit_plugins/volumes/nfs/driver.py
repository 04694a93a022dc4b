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

"""Volumes on an NFS share, in the form of Cinder's remotefs drivers.

The driver puts its parts together: which share (:mod:`.sharing`), how the
files of a volume lie (:mod:`.chains`), what was left half done
(:mod:`.settling`), and what is done to them (:mod:`.volumes`,
:mod:`.taking`, :mod:`.merging`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import os
from typing import ClassVar

from oslo_config import cfg

from backupkit.copy import qemu
from backupkit.drivers import capability
from backupkit.drivers import contract
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit import mounts
from backupkit_plugins.volumes.nfs import advice
from backupkit_plugins.volumes.nfs import attachments
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import describing
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import images
from backupkit_plugins.volumes.nfs import locks
from backupkit_plugins.volumes.nfs import merging
from backupkit_plugins.volumes.nfs import names
from backupkit_plugins.volumes.nfs import options
from backupkit_plugins.volumes.nfs import place as place_
from backupkit_plugins.volumes.nfs import qemulocks
from backupkit_plugins.volumes.nfs import reading
from backupkit_plugins.volumes.nfs import settling
from backupkit_plugins.volumes.nfs import sharing
from backupkit_plugins.volumes.nfs import taking
from backupkit_plugins.volumes.nfs import volumes


class NfsVolumeDriver(volume.VolumeDriver):
    """Reaches raw and qcow2 volumes on a share, which it mounts."""

    contract_version = '1.0'
    capabilities: ClassVar[capability.VolumeCapabilities] = (
        capability.VolumeCapabilities(
            snapshots=True,
            online_snapshots=True,
            list_snapshots=True,
            from_snapshot=True,
            allocation_map=True,
            changed_extents=True,
            create=True,
            new_reads_zero=True,
            in_use=True,
            fingerprint=True,
            clone=True,
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return [*mounts.get_options(), *options.OPTIONS]

    def check(self) -> capability.VolumeCapabilities:
        qemu.find('qemu-img')
        for volume_id, format_ in self.section.volume_formats.items():
            if format_ not in ('raw', 'qcow2'):
                raise errors.ConfigurationError(
                    f'[backend:{self.name}] volume_formats: {volume_id} has '
                    f'the format {format_!r}; raw and qcow2 are known'
                )
        with self._place():
            pass
        return dataclasses.replace(
            self.capabilities,
            online_snapshots=bool(self.section.qmp_sockets),
        )

    def remarks(self) -> Sequence[contract.Remark]:
        return advice.remarks(self.section)

    def storage_identity(self) -> model.StorageIdentity:
        with self._place() as place:
            return sharing.identity(place, self.section)

    @contextlib.contextmanager
    def _place(self, volume_id: str = '') -> Iterator[place_.Place]:
        """Lend the open share, for work on a volume or on all of it."""
        section = f'backend:{self.name}'
        if volume_id:
            names.file_of(volume_id)
        what = f'volume {volume_id}' if volume_id else f'[{section}]'
        with (
            files_.translated(what),
            sharing.opened(section, self.section) as place,
        ):
            yield place

    @contextlib.contextmanager
    def _settled(
        self, volume_id: str, *, reading: bool = False
    ) -> Iterator[tuple[place_.Place, chains.State]]:
        """Lend a volume, locked, with nothing half done on it.

        :param reading: a merge that has to wait does not matter
        """
        settle = settling.settle_for_reading if reading else settling.settle
        with self._place(volume_id) as place:
            if not describing.exists(place, volume_id):
                # No lock's file where there is no volume.
                raise errors.VolumeNotFound(f'there is no volume {volume_id}')
            with place.locked(volume_id):
                try:
                    state = settle(place, volume_id)
                except errors.VolumeNotFound:
                    if not describing.exists(place, volume_id, lock=False):
                        locks.forget(place.files, volume_id)
                    raise
                yield place, state

    def list(self) -> Iterator[model.Volume]:
        with self._place() as place:
            found = describing.all_of(place)
        yield from found

    def show(self, volume_id: str) -> model.Volume:
        with self._place(volume_id) as place:
            state = describing.read(place, volume_id)
            return describing.describe(place, state)

    def chain(self, volume_id: str) -> Sequence[model.Link]:
        with self._place(volume_id) as place:
            return describing.read(place, volume_id).links

    def snapshots(self, volume_id: str) -> Sequence[model.Snapshot]:
        with self._place(volume_id) as place:
            state = describing.read(place, volume_id)
        return [
            model.Snapshot(name, volume_id, state.sizes[state.below(name)])
            for name in state.snapshots
        ]

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        with (
            contextlib.ExitStack() as needs,
            self._settled(volume_id, reading=True) as (place, state),
        ):
            # Behind the place: the mount must stay when that is left.
            self._hold(needs)
            at = state.below(snapshot.name) if snapshot else 0
            return reading.attachment(
                place, state, at, attachments.keep(needs)
            )

    def attach_volume(self, volume_id: str) -> model.Attachment:
        with (
            contextlib.ExitStack() as needs,
            self._settled(volume_id) as (place, state),
        ):
            self._hold(needs)
            active = state.active
            place.check_changeable(active.name)
            opened = place.files.opened(active.name, os.O_RDWR)
            if active.format == 'raw':
                # QEMU, which writes to the others, takes them itself.
                free = qemulocks.take(needs.enter_context(opened))
            else:
                free = not qemulocks.is_open(place.files, active.name)
            if not free:
                raise place.in_use(volume_id)
            handle = attachments.keep(needs)
            return reading.attachment(place, state, 0, handle, read_only=False)

    def _hold(self, needs: contextlib.ExitStack) -> None:
        section = f'backend:{self.name}'
        needs.enter_context(mounts.mounted(section, self.section))

    def detach(self, attachment: model.Attachment) -> None:
        attachments.let_go(attachment)

    def extents(self, attachment: model.Attachment) -> Iterator[model.Extent]:
        return reading.extents(attachment)

    def fingerprint(self, attachment: model.Attachment) -> str:
        return reading.fingerprint(attachment)

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        names.check_snapshot(name)
        with self._settled(volume_id) as (place, found):
            if name not in found.snapshots:
                sharing.sign(place)
                taking.take(place, found, name)
            state = place.read(volume_id)
            size = state.sizes[state.below(name)]
            return model.Snapshot(name, volume_id, size)

    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        with (
            contextlib.suppress(errors.VolumeNotFound),
            self._settled(snapshot.volume_id) as (place, state),
        ):
            merging.drop(place, state, snapshot.name)

    def keep_checkpoint(self, volume_id: str, name: str) -> None:
        with self._settled(volume_id) as (_, state):
            if name not in state.snapshots:
                raise errors.NotSupported(
                    f'volume {volume_id} has no snapshot {name}, and only '
                    'since a snapshot can be told what changed'
                )

    def drop_checkpoint(self, volume_id: str, name: str) -> None:
        self.delete_snapshot(model.Snapshot(name, volume_id, 0))

    def changed_extents(
        self, attachment: model.Attachment, since: model.Checkpoint
    ) -> Iterator[model.Extent]:
        with self._place(since.volume_id) as place:
            state = describing.read(place, since.volume_id)
        yield from reading.changes_since(attachment, state, since)

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        if size_bytes <= 0 or size_bytes != self.round_size(size_bytes):
            raise errors.UsageError(
                f'a volume of {size_bytes} bytes cannot be: its size is a '
                f'multiple of {images.SECTOR_BYTES}, of which qcow2 overlays '
                'are made'
            )

        def make(place: place_.Place) -> None:
            def fill(image: model.Link) -> None:
                images.create(
                    place.files, image, size_bytes, sparse=place.sparse
                )

            volumes.make(place, volume_id, fill)

        return self._make(volume_id, make)

    def _make(
        self, volume_id: str, make: Callable[[place_.Place], None]
    ) -> model.Volume:
        with self._place(volume_id) as place:
            sharing.sign(place)
            with place.locked(volume_id):
                settling.check_free(place, volume_id)
                make(place)
                state = place.read(volume_id)
                return describing.describe(place, state)

    def round_size(self, size_bytes: int) -> int:
        sectors = -(-size_bytes // images.SECTOR_BYTES)
        return sectors * images.SECTOR_BYTES

    def clone(self, volume_id: str, source_id: str) -> model.Volume:
        with self._settled(source_id) as (place, state):
            used = qemulocks.is_written(place.files, state.active.name)
        if not used:
            return self._copy(volume_id, source_id, '')
        name = f'clone-{volume_id}'
        taken = self.snapshot(source_id, name)
        try:
            return self._copy(volume_id, source_id, name)
        finally:
            self.delete_snapshot(taken)

    def create_from_snapshot(
        self, volume_id: str, snapshot: model.Snapshot
    ) -> model.Volume:
        return self._copy(volume_id, snapshot.volume_id, snapshot.name)

    def _copy(
        self, volume_id: str, source_id: str, snapshot: str
    ) -> model.Volume:
        """Make a volume of another one, or of its snapshot."""
        with self._settled(source_id) as (_, state):
            at = state.below(snapshot) if snapshot else 0
        return self._make(
            volume_id, lambda place: volumes.copy(place, volume_id, state, at)
        )

    def delete(self, volume_id: str) -> None:
        with (
            contextlib.suppress(errors.VolumeNotFound),
            self._settled(volume_id) as (place, state),
        ):
            volumes.delete(place, state)
