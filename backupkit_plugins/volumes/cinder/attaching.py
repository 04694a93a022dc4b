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


"""How a volume comes to this host, and goes again.

The order matters. A mark is made before Cinder is asked, and Cinder before
os-brick. Back again os-brick lets go first: storage that takes a volume
back from under its device may give the next one the same address. At last
the device is proved gone, and only then the mark.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import Any

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.volumes.cinder import api as api_
from backupkit_plugins.volumes.cinder import brick as brick_
from backupkit_plugins.volumes.cinder import device as device_
from backupkit_plugins.volumes.cinder import failures
from backupkit_plugins.volumes.cinder import marks as marks_
from backupkit_plugins.volumes.cinder import waiting

LOG = logging.getLogger(__name__)

READ = 'ro'
WRITE = 'rw'


@dataclasses.dataclass(frozen=True, slots=True)
class Attached:
    """A volume as it is reachable here."""

    attachment_id: str
    path: str
    format: str
    device: dict[str, Any]


class Attacher:
    """Attaches volumes of one Cinder to this host."""

    def __init__(
        self, section: contract.Section, api: api_.Api, brick: brick_.Brick
    ) -> None:
        self._section = section
        self._api = api
        self._brick = brick
        self._marks = marks_.Marks(section.lock_path)

    def attach(self, volume_id: str, size_bytes: int, mode: str) -> Attached:
        """Attach a volume; nothing is left of an attempt that fails.

        What a process left that died at it is removed first.

        :param volume_id: Cinder's own id
        :raises errors.InUse: somebody has it attached already, which does
            not go together with this
        :raises errors.SourceError: it cannot be attached
        """
        connector = self._brick.properties()
        with self._marks.locked(volume_id) as volume:
            self._sweep(volume_id, volume)
            others = self._others(volume_id, volume, mode)
            mark = volume.begin(mode, others)
            with contextlib.ExitStack() as failed:
                failed.callback(self._abandon, volume_id, volume, mark)
                attached = self._make(
                    volume_id, size_bytes, volume, mark, connector
                )
                failed.pop_all()
        return attached

    def detach(
        self, volume_id: str, attachment_id: str, device: dict[str, Any]
    ) -> None:
        """Undo an attachment; one that is gone is fine.

        :param device: as it was handed out, with its path
        :raises errors.SourceError: it cannot be removed, or its device is
            still here
        """
        with self._marks.locked(volume_id) as volume:
            found = [
                mark
                for mark in volume.all()
                if mark.attachment_id == attachment_id
            ]
            if not found:
                # The host was booted since, or it was detached before.
                fresh = marks_.Mark('', attachment_id, connecting=True)
                fresh.device = device
                fresh.path = str(device.get('path', ''))
                found = [fresh]
            for mark in found:
                self._remove(volume_id, volume, mark)

    def clear(self, volume_id: str) -> None:
        """Undo all attachments of a temporary volume of ours.

        :raises errors.SourceError: one cannot be removed from here
        """
        with self._marks.locked(volume_id) as volume:
            for mark in volume.all():
                self._remove(volume_id, volume, mark)
            for left in self._api.attachments(volume_id):
                if left['status'] != 'reserved':
                    raise errors.SourceError(
                        f'temporary volume {volume_id} is attached by '
                        f'{left["id"]}, which was not made on this host: '
                        'clear it there; or, if that host is lost, delete '
                        'the attachment'
                    )
                self._api.delete_attachment(left['id'])

    def writers(self, volume_id: str) -> bool:
        """Tell whether anybody may be writing to an attached volume."""
        for found in self._api.attachments(volume_id):
            with contextlib.suppress(failures.Gone):
                attached = self._api.attachment(found['id'])
                if attached['attach_mode'] != READ:
                    return True
        return False

    def _others(
        self, volume_id: str, volume: marks_.Volume, mode: str
    ) -> list[str]:
        """Return the attachments of a volume, all of them ours.

        A device that a server uses too must never be made here: to remove
        it again would take it from the server.
        """
        ours = {mark.attachment_id: mark for mark in volume.all()}
        found = [str(a['id']) for a in self._api.attachments(volume_id)]
        for attachment_id in found:
            if attachment_id not in ours:
                raise errors.InUse(
                    f'volume {volume_id} is attached elsewhere (attachment '
                    f'{attachment_id}): detach it there, or have it backed '
                    'up through a snapshot'
                )
            if mode == WRITE == ours[attachment_id].mode:
                raise errors.InUse(
                    f'volume {volume_id} is attached for writing by another '
                    'process of this host'
                )
        return found

    def _make(
        self,
        volume_id: str,
        size_bytes: int,
        volume: marks_.Volume,
        mark: marks_.Mark,
        connector: dict[str, Any],
    ) -> Attached:
        try:
            mark.attachment_id = self._api.reserve(volume_id, mark.mode)
        except failures.Conflicting as exc:
            if self._api.volume(volume_id)['status'] == 'available':
                raise
            raise errors.InUse(
                f'{exc}; a volume whose type is not multiattach is attached '
                'once at a time'
            ) from exc
        volume.save(mark)
        self._api.export(mark.attachment_id, {**connector, 'mode': mark.mode})
        connection = self._connection(mark.attachment_id)
        if connection.get('encrypted'):
            raise errors.NotSupported(f'volume {volume_id} is encrypted')
        mark.connecting = True
        volume.save(mark)
        told = self._brick.connect(connection)
        mark.path, mark.device = told['path'], told
        volume.save(mark)
        # Where the format is told, the volume is a file.
        form = str(connection.get('format') or 'raw')
        found = device_.prove(
            mark.path,
            size_bytes if form == 'raw' else 0,
            told,
            larger=self._section.allow_larger_devices or form != 'raw',
        )
        mark.device = {**told, **found}
        self._api.complete(mark.attachment_id)
        mark.made = True
        volume.save(mark)
        return Attached(
            mark.attachment_id,
            mark.path,
            form,
            dict(mark.device),
        )

    def _connection(self, attachment_id: str) -> dict[str, Any]:
        """Ask for the connection of an attachment, with its secrets."""
        found = self._api.attachment(attachment_id)
        return dict(found.get('connection_info') or {})

    def _sweep(self, volume_id: str, volume: marks_.Volume) -> None:
        """Remove what processes left that are dead now."""
        for mark in volume.all():
            if mark.forsaken:
                LOG.info(
                    'volume %s: removing the attachment of a process that '
                    'is no more',
                    volume_id,
                )
                self._remove(volume_id, volume, mark)

    def _abandon(
        self, volume_id: str, volume: marks_.Volume, mark: marks_.Mark
    ) -> None:
        """Undo what failed; if that fails too the next attempt does it."""
        try:
            self._remove(volume_id, volume, mark)
        except errors.BackupkitError as exc:
            LOG.warning(
                'volume %s: a failed attachment is left behind, until the '
                'next one: %s',
                volume_id,
                exc,
            )

    def _remove(
        self, volume_id: str, volume: marks_.Volume, mark: marks_.Mark
    ) -> None:
        if not mark.attachment_id:
            self._remove_unknown(volume_id, mark)
            volume.remove(mark)
            return
        shared = any(
            other.name != mark.name and other.connecting
            for other in volume.all()
        )
        try:
            connection = self._connection(mark.attachment_id)
        except failures.Gone:
            connection = None
        if connection is not None:
            if mark.connecting and connection and not shared:
                self._brick.disconnect(connection, mark.device)
            with contextlib.suppress(failures.Gone):
                self._api.delete_attachment(mark.attachment_id)
        if mark.path and not shared:
            self._prove_gone(volume_id, mark)
        volume.remove(mark)

    def _remove_unknown(self, volume_id: str, mark: marks_.Mark) -> None:
        """Remove the attachment of a request whose answer was lost.

        It is one that was not there before, of no server, and that nothing
        is connected to.
        """
        try:
            found = self._api.attachments(volume_id)
        except failures.Gone:
            return
        for left in found:
            if (
                left['id'] not in mark.others
                and left['status'] == 'reserved'
                and not left['instance']
            ):
                self._api.delete_attachment(left['id'])

    def _prove_gone(self, volume_id: str, mark: marks_.Mark) -> None:
        waiting.until(
            lambda: device_.is_gone(mark.path, mark.device),
            f'volume {volume_id} is detached, but its device {mark.path} is '
            'not gone',
            self._section.attach_timeout_seconds,
        )
