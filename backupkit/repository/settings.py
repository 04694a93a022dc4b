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

"""The config object: what a repository is, fixed when it is made."""

from __future__ import annotations

import dataclasses

from backupkit import errors
from backupkit.repository import digest
from backupkit.repository import document
from backupkit.repository import frame
from backupkit.repository import limits

FORMAT = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the config object says.

    ``catalog_id`` is the catalog that writes here, until another adopts
    the repository. ``keys`` will hold wrapped keys: none so far.
    """

    repository_id: str
    catalog_id: str
    chunk_bytes: int = limits.DEFAULT_CHUNK_BYTES
    pack_bytes: int = limits.DEFAULT_PACK_BYTES
    digest: str = 'blake3'
    codec: str = 'zstd'
    created_at: str = ''

    def dump(self) -> bytes:
        """Return the framed config object."""
        return frame.seal(
            frame.CONFIG,
            frame.dump_json(
                {
                    'format': FORMAT,
                    'features': [],
                    'keys': [],
                    'digest_key': '',
                    **dataclasses.asdict(self),
                }
            ),
            self.digest,
        )


def load(data: bytes) -> Settings:
    """Return the settings from a framed config object.

    :raises errors.FormatTooNew: a newer format, or a feature or digest
        that this release does not know
    :raises errors.FormatError: it is damaged
    """
    what = 'the config of the repository'
    body = frame.unseal(frame.CONFIG, data, what)
    fields = document.Fields(frame.load_json(body, what), what)
    if fields.integer('format', 1) > FORMAT:
        raise errors.FormatTooNew(
            f'{what} is of format {fields.integer("format")}; this release '
            f'reads up to {FORMAT}'
        )
    if (
        fields.sequence('features')
        or fields.sequence('keys')
        or fields.text('digest_key')
    ):
        raise errors.FormatTooNew(
            f'{what} asks for features that this release does not have'
        )
    return Settings(
        repository_id=fields.identifier('repository_id'),
        catalog_id=fields.identifier('catalog_id'),
        chunk_bytes=fields.integer('chunk_bytes', *limits.CHUNK_LIMITS),
        pack_bytes=fields.integer(
            'pack_bytes', 1 << 16, limits.PACK_LIMIT // 2
        ),
        digest=_digest(fields.text('digest')),
        codec=fields.choice('codec', tuple(limits.CODECS)),
        created_at=fields.text('created_at'),
    )


def _digest(name: str) -> str:
    digest.by_name(name)
    return name


def dump_adoption(catalog_id: str, number: int, digest_name: str) -> bytes:
    """Return the framed object by which a catalog takes over writing."""
    body = frame.dump_json(
        {
            'format': FORMAT,
            'catalog_id': catalog_id,
            'number': number,
        }
    )
    return frame.seal(frame.ADOPTED, body, digest_name)


def load_adoption(data: bytes, number: int) -> str:
    """Return the catalog that took over with this number.

    :raises errors.FormatError: it is damaged, or another number's
    """
    what = f'adoption {number} of the repository'
    body = frame.unseal(frame.ADOPTED, data, what)
    fields = document.Fields(frame.load_json(body, what), what)
    if fields.integer('format', 1) > FORMAT:
        raise errors.FormatTooNew(f'{what} is of a newer format')
    if fields.integer('number') != number:
        raise errors.FormatError(f'{what} is another one')
    return fields.identifier('catalog_id')
