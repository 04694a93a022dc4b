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

"""Manifests of the layout ``image``."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from backupkit import errors
from backupkit import model
from backupkit.repository import document
from backupkit.repository import frame
from backupkit.repository.image import area
from backupkit.repository import limits
from backupkit.repository import manifest as manifest_
from backupkit.repository import packset
from backupkit.repository import tree

LAYOUT = 'image'


@dataclasses.dataclass(frozen=True, slots=True)
class ImageManifest:
    """What is needed to restore one image, and what it is.

    ``root`` is that of the digest tree; None where no byte was read when
    the image was made (``digests: none``), so that it is not verified.
    ``attempt`` names the files of an image in a repository; it is empty for
    one in a volume.
    """

    summary: model.BackupSummary
    volume_format: str
    volume_properties: Mapping[str, str]
    chunk_bytes: int
    digest: str
    root: bytes | None
    attempt: str = ''

    @property
    def packs(self) -> packset.PackSet:
        """The packs that it needs: none."""
        return packset.PackSet()

    @property
    def geometry(self) -> tree.Geometry:
        """The shape of the digest tree."""
        return tree.Geometry(self.summary.size_bytes, self.chunk_bytes)


def dump(manifest: ImageManifest) -> str:
    """Return a manifest as the JSON text that is framed.

    :raises errors.FormatError: it could not be read again, or is too large
    """
    plain: dict[str, Any] = {
        **manifest_.plain_summary(manifest.summary),
        'layout': LAYOUT,
        'volume_format': manifest.volume_format,
        'volume_properties': dict(manifest.volume_properties),
        'chunk_bytes': manifest.chunk_bytes,
        'digest': manifest.digest,
        'digests': 'none',
    }
    if manifest.attempt:
        plain['attempt'] = manifest.attempt
    if manifest.root is not None:
        plain['digests'] = 'complete'
        plain['root'] = manifest_.plain_root(manifest.root)
    text = frame.dump_json(plain)
    if len(text) + frame.OVERHEAD > area.MANIFEST_LIMIT:
        raise errors.FormatError(
            f'the manifest of backup {manifest.summary.backup_id} would '
            f'have {len(text)} bytes, more than fit'
        )
    load(text, manifest.summary.backup_id)
    return text.decode()


def is_image(text: bytes) -> bool:
    """Tell whether a manifest's JSON text says that it is of this layout.

    What cannot be read is left to whoever reads it as of another one.
    """
    if f'"{LAYOUT}"'.encode() not in text:
        return False
    try:
        return frame.load_json(text, 'a manifest').get('layout') == LAYOUT
    except errors.FormatError:
        return False


def load(text: bytes, backup_id: str) -> ImageManifest:
    """Return the manifest of this backup from its JSON text.

    :raises errors.FormatTooNew: of a newer format
    :raises errors.FormatError: it is damaged, or another backup's
    """
    what = f'the manifest of backup {backup_id}'
    fields = document.Fields(frame.load_json(text, what), what)
    if fields.integer('format', 1) > manifest_.FORMAT:
        raise errors.FormatTooNew(f'{what} is of a newer format')
    if fields.text('layout') != LAYOUT:
        raise errors.FormatTooNew(f'{what} is of a layout that is not known')
    if fields.identifier('backup_id') != backup_id:
        raise errors.FormatError(f'{what} is that of another backup')
    attempted = fields.optional('attempt')
    complete = fields.choice('digests', ('none', 'complete')) == 'complete'
    return ImageManifest(
        summary=manifest_.load_summary(fields, backup_id),
        volume_format=fields.text('volume_format'),
        volume_properties=manifest_.load_properties(fields),
        chunk_bytes=fields.integer('chunk_bytes', *limits.CHUNK_LIMITS),
        digest=fields.choice('digest', tuple(limits.DIGESTS)),
        root=manifest_.load_root(fields) if complete else None,
        attempt=fields.attempt('attempt') if attempted else '',
    )
