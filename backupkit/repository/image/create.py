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

"""Makes one backup as an image, up to but not including its commit."""

from __future__ import annotations

import contextlib
import dataclasses
import logging

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import block
from backupkit.repository.image import failures
from backupkit.repository.image import manifest as manifest_
from backupkit.repository.image import offload
from backupkit.repository.image import place as place_
from backupkit.repository.image import writer as writer_
from backupkit.repository import summary as summary_
from backupkit.repository import tree

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """How new images are made.

    ``offload`` says that the storage may bring the bytes by itself.
    """

    chunk_bytes: int
    digest: str
    offload: bool


class Creation:
    """The steps of one backup, in their order."""

    def __init__(
        self, place: place_.Place, request: model.BackupRequest, form: Form
    ) -> None:
        self._place = place
        self._request = request
        self._form = form
        self._geometry = tree.Geometry(
            request.volume.size_bytes, form.chunk_bytes
        )

    def run(
        self,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        move: pipeline.Move,
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
            clone_of = parent if sound else None
            if parent is not None and self._shares(parent, reader):
                clone_of = None
            made = stack.enter_context(
                self._place.make(
                    request.backup_id,
                    self._geometry,
                    self._form.digest,
                    clone_of,
                )
            )
            writer = writer_.ImageWriter(
                made.data,
                made.file,
                reader,
                writer_.Parent(parent.reader, made.cloned) if parent else None,
            )
            self._write(made, writer, reader, move, control)
        return self._prepared(writer.counts, writer.root, parent_id)

    def _parent(
        self, stack: contextlib.ExitStack, coordinator: target_.Coordinator
    ) -> place_.Kept | None:
        """Open the last backup of the volume, where it can be of use."""
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
            self._form.chunk_bytes,
            self._form.digest,
        ):
            return None
        return kept

    def _shares(self, parent: place_.Kept, reader: interface.Reader) -> bool:
        """Tell whether blocks of the source itself may be shared."""
        source = reader.descriptor() if self._form.offload else None
        image = parent.reader.image()
        if source is None or image is None:
            return False
        return offload.near(source, image)

    def _write(
        self,
        made: place_.Made,
        writer: writer_.ImageWriter,
        reader: interface.Reader,
        move: pipeline.Move,
        control: control_.Control,
    ) -> None:
        """Write the new image, and make it durable."""
        step = 'copy' if self._request.copy_of else 'backup'
        control.start(step, self._geometry.size_bytes)
        move(reader, writer, control, self._form.chunk_bytes)
        writer.finish()
        with failures.at_target(made.data.path):
            if writer.root is not None:
                made.file.put_head(
                    block.Head(
                        self._request.backup_id, self._geometry, writer.root
                    )
                )
            made.flush()

    def _prepared(
        self,
        counts: writer_.Counts,
        root: bytes | None,
        parent_id: str | None,
    ) -> target_.Prepared:
        request = self._request
        summary = dataclasses.replace(
            summary_.begin(request, self._place.repository_id, parent_id),
            data_bytes=counts.data,
            read_bytes=counts.read,
            changed_bytes=counts.changed,
            stored_bytes=counts.stored,
        )
        manifest = manifest_.ImageManifest(
            summary=summary,
            volume_format=request.volume.format,
            volume_properties=dict(request.volume.properties),
            chunk_bytes=self._form.chunk_bytes,
            digest=self._form.digest,
            root=root,
            attempt=self._place.attempt,
        )
        text = manifest_.dump(manifest)
        return target_.Prepared(self._place.placed(summary), text)


def revise(
    prepared: target_.Prepared, *, consistent: bool
) -> target_.Prepared:
    """Return a prepared image with what is known only after the copy."""
    backup_id = prepared.summary.backup_id
    manifest = manifest_.load(prepared.document.encode(), backup_id)
    summary = dataclasses.replace(manifest.summary, consistent=consistent)
    manifest = dataclasses.replace(manifest, summary=summary)
    return target_.Prepared(
        dataclasses.replace(prepared.summary, consistent=consistent),
        manifest_.dump(manifest),
    )
