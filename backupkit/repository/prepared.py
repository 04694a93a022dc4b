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

"""What remains to be put of a backup, once all its packs are."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Protocol

from backupkit.drivers import target as target_
from backupkit import model
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import packset
from backupkit.repository import parent as parent_
from backupkit.repository import repository as repository_
from backupkit.repository import summary as summary_
from backupkit.repository import writer as writer_


class Written(Protocol):
    """What has been written, however that was done."""

    counts: writer_.Counts
    exact: bool
    root: bytes

    @property
    def packs(self) -> packset.PackSet:
        """All packs that the map refers to."""


def prepare(
    repository: repository_.Repository,
    request: model.BackupRequest,
    written: Written,
    *,
    parent: parent_.Parent | None,
    parts: Mapping[str, Mapping[str, int]],
    stored_bytes: int,
) -> target_.Prepared:
    """Return the manifest of a backup whose packs and index are durable.

    :param parts: the index parts of every owner of a pack in use
    :param stored_bytes: of all that was put
    """
    counts = written.counts
    summary = dataclasses.replace(
        summary_.begin(
            request,
            repository.repository_id,
            parent.backup_id if parent else None,
        ),
        data_bytes=_data_bytes(written, parent),
        read_bytes=counts.read,
        changed_bytes=counts.changed,
        stored_bytes=stored_bytes,
        service_metadata=layout.base(request.backup_id),
    )
    manifest = manifest_.Manifest(
        summary=summary,
        volume_format=request.volume.format,
        volume_properties=dict(request.volume.properties),
        chunk_bytes=repository.settings.chunk_bytes,
        root=written.root,
        packs=written.packs,
        parts=parts,
        exact=written.exact,
    )
    return target_.Prepared(summary, manifest_.dump(manifest))


def _data_bytes(written: Written, parent: parent_.Parent | None) -> int:
    """Return how much of the volume is not zero."""
    counts = written.counts
    if written.exact or parent is None:
        return counts.data
    return parent.manifest.summary.data_bytes + counts.data - counts.replaced
