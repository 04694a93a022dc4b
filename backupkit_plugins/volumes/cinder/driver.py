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


"""The driver itself: Cinder's volumes as the contract wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import functools
import logging
from typing import ClassVar

from oslo_config import cfg

from backupkit.drivers import capability
from backupkit.drivers import contract
from backupkit.drivers import volume
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.cinder import api as api_
from backupkit_plugins.volumes.cinder import attaching
from backupkit_plugins.volumes.cinder import brick
from backupkit_plugins.volumes.cinder import failures
from backupkit_plugins.volumes.cinder import keeping
from backupkit_plugins.volumes.cinder import marks
from backupkit_plugins.volumes.cinder import options
from backupkit_plugins.volumes.cinder import properties as properties_
from backupkit_plugins.volumes.cinder import snapshots as snapshots_

LOG = logging.getLogger(__name__)

_GIB = 1 << 30
#: Not listed: there are no bytes that could be read.
_UNREADABLE = frozenset({'creating', 'deleting', 'error', 'error_deleting'})


class CinderVolumeDriver(volume.VolumeDriver):
    """Reaches volumes of an OpenStack cloud, through os-brick.

    The id of a volume is Cinder's. One that is made here is known by the
    name that it was given, which is kept in its metadata.
    """

    contract_version = '1.0'
    capabilities: ClassVar[capability.VolumeCapabilities] = (
        capability.VolumeCapabilities(
            snapshots=True,
            online_snapshots=True,
            list_snapshots=True,
            from_snapshot=True,
            create=True,
            in_use=True,
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    def __init__(self, name: str, section: contract.Section) -> None:
        super().__init__(name, section)
        self._api = api_.Api(name, section)

    def check(self) -> capability.VolumeCapabilities:
        self._api.ping()
        marks.Marks(self.section.lock_path).check()
        return self.capabilities

    def remarks(self) -> Sequence[contract.Remark]:
        if self.section.auth_type != options.NOAUTH or self.section.cloud:
            return ()
        return (
            contract.Remark(
                'auth_type = noauth proves nothing to Cinder',
                'use it in a lab only',
            ),
        )

    def storage_identity(self) -> model.StorageIdentity:
        return model.StorageIdentity(
            f'cinder-{self._api.endpoint()}', self.section.storage_pool
        )

    def list(self) -> Iterator[model.Volume]:
        filters = {'all_tenants': '1'} if self.section.all_projects else {}
        for found in self._api.volumes(filters):
            metadata = found.get('metadata') or {}
            if (
                found['status'] not in _UNREADABLE
                and properties_.TEMPORARY not in metadata
            ):
                volume_id = metadata.get(properties_.ALIAS) or found['id']
                in_use = None if found['status'] == 'in-use' else False
                yield self._describe(volume_id, found, in_use=in_use)

    def show(self, volume_id: str) -> model.Volume:
        found = self._keeping.find(volume_id)
        in_use = found['status'] != 'available' and (
            self._attacher.writers(found['id'])
        )
        return self._describe(volume_id, found, in_use=in_use)

    def attach(
        self, volume_id: str, snapshot: model.Snapshot | None
    ) -> model.Attachment:
        found = self._keeping.find(volume_id)
        self._refuse_encrypted(found)
        if snapshot is None:
            try:
                return self._attach(found, attaching.READ)
            except errors.InUse as exc:
                raise errors.SourceError(str(exc)) from exc
        return self._attach_snapshot(found, snapshot)

    def attach_volume(self, volume_id: str) -> model.Attachment:
        found = self._keeping.find(volume_id)
        self._refuse_encrypted(found)
        return self._attach(found, attaching.WRITE)

    def detach(self, attachment: model.Attachment) -> None:
        handle = attachment.handle
        try:
            self._attacher.detach(
                handle['volume'], handle['attachment'], handle['device']
            )
        except failures.Gone:
            LOG.debug('volume %s is gone', handle['volume'])
        if handle['temporary']:
            self._keeping.delete(handle['volume'])

    def snapshot(self, volume_id: str, name: str) -> model.Snapshot:
        found = self._keeping.find(volume_id)
        self._refuse_encrypted(found)
        taken = self._snapshots.take(found['id'], name)
        return self._told(name, volume_id, taken)

    def delete_snapshot(self, snapshot: model.Snapshot) -> None:
        self._snapshots.delete(snapshot)

    def snapshots(self, volume_id: str) -> Sequence[model.Snapshot]:
        found = self._keeping.find(volume_id)
        return [
            self._told(name, volume_id, taken)
            for name, taken in self._snapshots.named(found['id']).items()
            if taken['status'] not in _UNREADABLE
        ]

    def create_from_snapshot(
        self, volume_id: str, snapshot: model.Snapshot
    ) -> model.Volume:
        source = self._keeping.find(snapshot.volume_id)
        taken = self._snapshots.get(source['id'], snapshot.name)
        self._keeping.refuse_taken(volume_id)
        # Type and zone are those of the snapshot: its storage makes it.
        wish = properties_.wish(volume_id, {}, {})
        made = self._keeping.make(
            volume_id,
            {**wish, 'size': taken['size'], 'snapshot_id': taken['id']},
            {},
        )
        return self._describe(volume_id, made, in_use=False)

    def create(self, volume_id: str, size_bytes: int) -> model.Volume:
        return self.create_like(volume_id, size_bytes, {})

    def create_like(
        self, volume_id: str, size_bytes: int, properties: Mapping[str, str]
    ) -> model.Volume:
        properties_.check(properties)
        if size_bytes <= 0 or size_bytes % _GIB:
            raise errors.UsageError(
                f'a volume of Cinder has whole GiB: {size_bytes} bytes are '
                f'none; the next size is {self.round_size(size_bytes)}'
            )
        self._keeping.refuse_taken(volume_id)
        defaults = {
            'volume_type': self.section.volume_type,
            'availability_zone': self.section.availability_zone,
        }
        wish = properties_.wish(volume_id, properties, defaults)
        made = self._keeping.make(
            volume_id, {**wish, 'size': size_bytes // _GIB}, properties
        )
        return self._describe(volume_id, made, in_use=False)

    def round_size(self, size_bytes: int) -> int:
        return max(1, -(-size_bytes // _GIB)) * _GIB

    def delete(self, volume_id: str) -> None:
        try:
            found = self._keeping.find(volume_id)
        except errors.VolumeNotFound:
            return
        if self._api.attachments(found['id']):
            raise errors.InUse(f'volume {volume_id} is attached')
        self._keeping.delete(found['id'])

    @functools.cached_property
    def _keeping(self) -> keeping.Keeping:
        return keeping.Keeping(
            self.name, self.section, self._api, self._attacher
        )

    @functools.cached_property
    def _attacher(self) -> attaching.Attacher:
        return attaching.Attacher(
            self.section, self._api, brick.Brick(self.section)
        )

    @functools.cached_property
    def _snapshots(self) -> snapshots_.Snapshots:
        return snapshots_.Snapshots(
            self.section, self._api, self._keeping, self._attacher
        )

    @staticmethod
    def _refuse_encrypted(found: api_.Fields) -> None:
        if found.get('encrypted'):
            raise errors.NotSupported(
                f'volume {found["id"]} is encrypted with key '
                f'{found.get("encryption_key_id") or "(not told)"}: what '
                'would be kept could be read only while that key exists, '
                'so it is not backed up, and not written'
            )

    def _describe(
        self, volume_id: str, found: api_.Fields, *, in_use: bool | None
    ) -> model.Volume:
        return model.Volume(
            volume_id,
            int(found['size']) * _GIB,
            in_use=in_use,
            generation=str(found['id']),
            properties=properties_.of(found),
        )

    @staticmethod
    def _told(name: str, volume_id: str, taken: api_.Fields) -> model.Snapshot:
        return model.Snapshot(name, volume_id, int(taken['size']) * _GIB)

    def _attach_snapshot(
        self, found: api_.Fields, snapshot: model.Snapshot
    ) -> model.Attachment:
        """Attach a volume that is made of the snapshot for this alone.

        Cinder attaches no snapshots for anybody but its own services.
        """
        taken = self._snapshots.get(found['id'], snapshot.name)
        made = self._api.create_volume(
            {
                'name': snapshot.name,
                'size': taken['size'],
                'snapshot_id': taken['id'],
                'metadata': {properties_.TEMPORARY: snapshot.name},
            }
        )
        with self._keeping.deleted_on_failure(made['id']):
            made = self._keeping.wait(snapshot.name, made['id'])
            return self._attach(made, attaching.READ, temporary=True)

    def _attach(
        self, found: api_.Fields, mode: str, *, temporary: bool = False
    ) -> model.Attachment:
        size_bytes = int(found['size']) * _GIB
        attached = self._attacher.attach(found['id'], size_bytes, mode)
        return model.Attachment(
            attached.path,
            size_bytes,
            attached.format,
            mode == attaching.READ,
            {
                'volume': found['id'],
                'attachment': attached.attachment_id,
                'device': attached.device,
                'temporary': temporary,
            },
        )
