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

"""Manifests: the document whose presence makes a backup exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from backupkit import errors
from backupkit import model
from backupkit.repository import document
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.repository import limits
from backupkit.repository import packset
from backupkit.repository import tree

FORMAT = 1

_NUMBERS = (
    'data_bytes',
    'read_bytes',
    'changed_bytes',
    'stored_bytes',
    'sequence',
)


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """What is needed to restore one backup, and what it is.

    ``packs`` are all packs that its map refers to, its own and others';
    ``exact`` says that each of them is really referred to. ``parts`` tell
    the index parts of each owner: attempt and how many.
    """

    summary: model.BackupSummary
    volume_format: str
    volume_properties: Mapping[str, str]
    chunk_bytes: int
    root: bytes
    packs: packset.PackSet
    parts: Mapping[str, Mapping[str, int]]
    exact: bool = True

    @property
    def geometry(self) -> tree.Geometry:
        """The shape of the map."""
        return tree.Geometry(self.summary.size_bytes, self.chunk_bytes)

    def part_ids(self, owner: str) -> Iterator[layout.PartId]:
        """Yield the index parts of one owner of packs."""
        for attempt, count in self.parts.get(owner, {}).items():
            for number in range(count):
                yield layout.PartId(owner, attempt, number)


def dump(manifest: Manifest) -> str:
    """Return a manifest as the JSON text that is framed and put.

    :raises errors.FormatError: it could not be read again: a text in it is
        too long, say
    """
    text = frame.dump_json(_plain(manifest))
    load(text, manifest.summary.backup_id)
    return text.decode()


def _plain(manifest: Manifest) -> dict[str, Any]:
    return {
        **plain_summary(manifest.summary),
        'layout': 'chunks',
        'volume_format': manifest.volume_format,
        'volume_properties': dict(manifest.volume_properties),
        'chunk_bytes': manifest.chunk_bytes,
        'root': plain_root(manifest.root),
        'packs': manifest.packs.encode(),
        'index': {
            owner: dict(tried) for owner, tried in manifest.parts.items()
        },
        'exact': manifest.exact,
    }


def plain_summary(summary: model.BackupSummary) -> dict[str, Any]:
    """Return the fields that a manifest of any layout has."""
    return {
        'format': FORMAT,
        'backup_id': summary.backup_id,
        'repository_id': summary.repository_id,
        'name': summary.name,
        'backend': summary.backend,
        'volume_id': summary.volume_id,
        'volume_generation': summary.volume_generation,
        'size_bytes': summary.size_bytes,
        'kind': summary.kind.value,
        'parent_id': summary.parent_id or '',
        'created_at': summary.created_at,
        'consistent': summary.consistent,
        'content': summary.content,
        # Only of copies: readers of any release take it for not there.
        **({'copy_of': summary.copy_of} if summary.copy_of else {}),
        **{key: getattr(summary, key) for key in _NUMBERS},
    }


def plain_root(root: bytes) -> dict[str, Any]:
    """Return the reference of a tree's root as a manifest holds it."""
    kind, plain, key = tree.REF.unpack(root)
    return {'kind': kind, 'plain': plain, 'digest': key.hex()}


def load(text: bytes, backup_id: str) -> Manifest:
    """Return the manifest of this backup from its JSON text.

    :raises errors.FormatTooNew: of a newer format
    :raises errors.FormatError: it is damaged, or another backup's
    """
    what = f'the manifest of backup {backup_id}'
    fields = document.Fields(frame.load_json(text, what), what)
    if fields.integer('format', 1) > FORMAT:
        raise errors.FormatTooNew(f'{what} is of a newer format')
    if fields.text('layout') != 'chunks':
        raise errors.FormatTooNew(f'{what} is of a layout that is not known')
    if fields.identifier('backup_id') != backup_id:
        raise errors.FormatError(f'{what} is that of another backup')
    packs = document.decode_packs(fields.mapping('packs'), what)
    parts = document.decode_parts(fields.mapping('index'), what)
    if packs.owners - parts.keys():
        raise errors.FormatError(f'{what} lacks an index of its packs')
    return Manifest(
        summary=load_summary(fields, backup_id),
        volume_format=fields.text('volume_format'),
        volume_properties=load_properties(fields),
        chunk_bytes=fields.integer('chunk_bytes', *limits.CHUNK_LIMITS),
        root=load_root(fields),
        packs=packs,
        parts=parts,
        exact=fields.boolean('exact'),
    )


def load_summary(
    fields: document.Fields, backup_id: str
) -> model.BackupSummary:
    """Return what :func:`plain_summary` wrote."""
    parent = fields.text('parent_id')
    copied = fields.optional('copy_of')
    return model.BackupSummary(
        backup_id=backup_id,
        backend=fields.text('backend'),
        volume_id=fields.text('volume_id'),
        size_bytes=fields.integer('size_bytes'),
        kind=model.BackupKind(fields.choice('kind', tuple(model.BackupKind))),
        name=fields.text('name'),
        parent_id=fields.identifier('parent_id') if parent else None,
        created_at=fields.text('created_at'),
        volume_generation=fields.text('volume_generation'),
        consistent=fields.boolean('consistent'),
        content=fields.text('content'),
        service_metadata=layout.base(backup_id),
        repository_id=fields.identifier('repository_id'),
        copy_of=fields.identifier('copy_of') if copied else '',
        **{key: fields.integer(key) for key in _NUMBERS},
    )


def load_properties(fields: document.Fields) -> dict[str, str]:
    """Return the properties of the volume."""
    properties: dict[str, Any] = fields.mapping('volume_properties')
    if not all(isinstance(value, str) for value in properties.values()):
        raise errors.FormatError(f'{fields.what} has a wrong property')
    return properties


def load_root(fields: document.Fields) -> bytes:
    """Return what :func:`plain_root` wrote."""
    root = document.Fields(fields.mapping('root'), fields.what)
    return tree.REF.pack(
        root.integer('kind', tree.ZERO, tree.STORED),
        root.integer('plain', 0, tree.NODE_BYTES),
        root.digest('digest'),
    )
