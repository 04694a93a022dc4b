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

"""Makes one backup as a volume, up to but not including its commit."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import datetime
import logging

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import raw
from backupkit.drivers import contract
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import area
from backupkit.repository.image import block
from backupkit.repository.image import failures
from backupkit.repository.image import manifest as manifest_
from backupkit.repository.image import offload
from backupkit.repository.image import writer as writer_
from backupkit.repository import limits
from backupkit.repository import tree
from backupkit_plugins.targets.volume import place as place_

LOG = logging.getLogger(__name__)

CHUNK_BYTES = limits.DEFAULT_CHUNK_BYTES

Move = Callable[
    [interface.Reader, interface.Writer, control_.Control, int], None
]


class Creation:
    """The steps of one backup, in their order.

    :param section: the options of the target
    """

    def __init__(
        self,
        place: place_.Place,
        request: model.BackupRequest,
        section: contract.Section,
    ) -> None:
        self._place = place
        self._request = request
        self._digest: str = section.digest
        self._offload: bool = section.offload != 'none'
        self._geometry = tree.Geometry(request.volume.size_bytes, CHUNK_BYTES)

    def run(
        self,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        move: Move,
        control: control_.Control,
    ) -> target_.Prepared:
        """Write data and digests; return the manifest that remains."""
        request = self._request
        live = coordinator.live(self._place.repository_id)
        if request.backup_id not in live:
            raise errors.RunAborted(f'the run of {request.backup_id} is over')
        with contextlib.ExitStack() as stack:
            parent = self._parent(stack, coordinator)
            sound = (
                parent is not None
                and parent.summary.size_bytes == request.volume.size_bytes
            )
            parent_id = parent.summary.backup_id if parent else None
            reader = stack.enter_context(
                contextlib.closing(open_reader(parent_id if sound else None))
            )
            # Refused before a byte moves, and not after the last one.
            self._prepared(writer_.Counts(), tree.ZERO_REF, parent_id)
            cloned = self._make(parent if sound else None, reader)
            writer = self._write(
                reader,
                writer_.Parent(parent.reader, cloned) if parent else None,
                move,
                control,
            )
        return self._prepared(writer.counts, writer.root, parent_id)

    def _parent(
        self, stack: contextlib.ExitStack, coordinator: target_.Coordinator
    ) -> place_.Kept | None:
        """Attach the last backup of the volume, where it can be of use."""
        request = self._request
        if request.full:
            return None
        parent_id = coordinator.latest(
            self._place.repository_id,
            request.backend,
            request.volume.volume_id,
        )
        if parent_id is None:
            return None
        try:
            kept = stack.enter_context(self._place.read(parent_id))
        except (errors.NotFound, errors.IntegrityError) as exc:
            LOG.warning('no parent is used: %s', exc)
            return None
        if (kept.manifest.chunk_bytes, kept.manifest.digest) != (
            CHUNK_BYTES,
            self._digest,
        ):
            return None
        return kept

    def _make(
        self, parent: place_.Kept | None, reader: interface.Reader
    ) -> bool:
        """Make the volume; tell whether it is a clone of the parent's.

        :param parent: None where there is none of this size
        """
        backup_id = self._request.backup_id
        if (
            parent is not None
            and self._place.check().clone
            and not self._shares(parent, reader)
        ):
            self._place.clone(backup_id, parent.summary.backup_id)
            return True
        size = area.Area(self._geometry).volume_bytes
        self._place.create(backup_id, size)
        return False

    def _shares(self, parent: place_.Kept, reader: interface.Reader) -> bool:
        """Tell whether blocks of the source itself may be shared."""
        source = reader.descriptor() if self._offload else None
        return source is not None and offload.near(source, parent.volume.fd)

    def _write(
        self,
        reader: interface.Reader,
        parent: writer_.Parent | None,
        move: Move,
        control: control_.Control,
    ) -> writer_.ImageWriter:
        """Attach the new volume, write it, make it durable, detach it."""
        backup_id, geometry = self._request.backup_id, self._geometry
        cloned = parent is not None and parent.cloned
        reads_zero = self._place.check().new_reads_zero and not cloned
        with contextlib.ExitStack() as stack:
            volume = stack.enter_context(self._place.attached(backup_id))
            volume.require(area.Area(geometry).volume_bytes)
            with failures.at_target(volume.path):
                data = stack.enter_context(
                    raw.RawWriter(
                        volume.path, geometry.size_bytes, reads_zero=reads_zero
                    )
                )
            file = volume.tree(geometry, self._digest)
            writer = writer_.ImageWriter(data, file, reader, parent)
            control.start('backup', geometry.size_bytes)
            move(reader, writer, control, CHUNK_BYTES)
            writer.finish()
            with failures.at_target(volume.path):
                if writer.root is not None:
                    file.put_head(block.Head(backup_id, geometry, writer.root))
                volume.flush()
        return writer

    def _prepared(
        self,
        counts: writer_.Counts,
        root: bytes | None,
        parent_id: str | None,
    ) -> target_.Prepared:
        request = self._request
        incremental = parent_id is not None
        summary = model.BackupSummary(
            backup_id=request.backup_id,
            backend=request.backend,
            volume_id=request.volume.volume_id,
            size_bytes=request.volume.size_bytes,
            kind=(
                model.BackupKind.INCREMENTAL
                if incremental
                else model.BackupKind.FULL
            ),
            name=request.name,
            parent_id=parent_id,
            created_at=request.created_at or _now(),
            volume_generation=request.volume.generation,
            data_bytes=counts.data,
            read_bytes=counts.read,
            changed_bytes=counts.changed,
            stored_bytes=counts.stored,
            consistent=request.consistent,
            content=request.content,
            sequence=request.run_number,
            repository_id=self._place.repository_id,
        )
        manifest = manifest_.ImageManifest(
            summary=summary,
            volume_format=request.volume.format,
            volume_properties=dict(request.volume.properties),
            chunk_bytes=CHUNK_BYTES,
            digest=self._digest,
            root=root,
        )
        text = manifest_.dump(manifest)
        return target_.Prepared(self._place.placed(manifest), text)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
