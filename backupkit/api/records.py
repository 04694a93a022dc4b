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

"""Records of backups as a document, and back.

A document of records is JSON::

    {
        'format': 'backupkit records',
        'version': 1,
        'catalog_id': ...,
        'exported_at': ...,
        'backups': [{...}, ...],
    }

It tells which backups there are, and where; the bytes stay where they are.
Who takes one in believes nothing of it: each backup is looked up at its
target, and what that tells is recorded. Only that a backup is protected is
taken from the document, for no target knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import datetime
import json
import re
from typing import Any

from backupkit.api import restores
from backupkit.api import results
from backupkit.api import session as session_
from backupkit import catalog as catalog_
from backupkit import errors
from backupkit.flows import faults
from backupkit import model
from backupkit.repository import document as document_
from backupkit.repository import frame

FORMAT = 'backupkit records'
VERSION = 1

#: What the row of a backup has and a document does not: it is of a catalog.
_OWN = ('status', 'fail_reason', 'run_number')

#: What tells a backup from others: here document and target must agree.
_TELLING = (
    'backend',
    'volume_id',
    'size_bytes',
    'kind',
    'created_at',
    'sequence',
    'repository_id',
    'copy_of',
)
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,63}')


@dataclasses.dataclass(frozen=True, slots=True)
class _Record:
    """What a document says of one backup."""

    backup_id: str
    target: str
    protected: bool
    told: dict[str, Any]


def export(session: session_.Session, backup_ids: Sequence[str]) -> str:
    """Return the records of backups as one JSON document.

    :raises errors.NotFound: one is not there
    """
    rows = [restores.readable(session, one) for one in backup_ids]
    now = datetime.datetime.now(datetime.UTC)
    content = {
        'format': FORMAT,
        'version': VERSION,
        'catalog_id': session.catalog.coordinator().catalog_id,
        'exported_at': now.isoformat(timespec='seconds'),
        'backups': [_plain(row) for row in rows],
    }
    return json.dumps(content, indent=2, sort_keys=True) + '\n'


def _plain(row: catalog_.BackupRow) -> dict[str, Any]:
    plain = dataclasses.asdict(row)
    for name in _OWN:
        del plain[name]
    return {**plain, 'kind': row.kind.value, 'parent_id': row.parent_id or ''}


def take(
    session: session_.Session, document: bytes, target: str | None
) -> results.ImportResult:
    """Record the backups of which a document tells.

    All of them are looked up before the first is recorded.

    :param target: where they are, whatever the document says
    """
    found: dict[str, list[model.BackupSummary]] = {}
    records = _load(document)
    for record in records:
        name = target or record.target
        summary = _look_up(session, record, name)
        found.setdefault(name, []).append(summary)
    catalog = session.catalog
    added = 0
    for name, summaries in found.items():
        added += catalog.import_backups(summaries, name)
    for record in records:
        if record.protected:
            catalog.update_backup(record.backup_id, protected=True)
    return results.ImportResult(
        found=len(records),
        added=added,
        backup_ids=tuple(record.backup_id for record in records),
    )


def _load(document: bytes) -> list[_Record]:
    """Return what a document says, read with suspicion.

    :raises errors.FormatTooNew: of a newer version
    :raises errors.FormatError: it is no document of records
    """
    what = 'the document'
    fields = document_.Fields(frame.load_json(document, what), what)
    if fields.text('format') != FORMAT:
        raise errors.FormatError(f'{what} holds no records of backups')
    if fields.integer('version', 1) > VERSION:
        raise errors.FormatTooNew(
            f'{what} is of version {fields.integer("version")}, which this '
            'release does not read'
        )
    records = [
        _record(plain, f'record {number} of {what}')
        for number, plain in enumerate(fields.sequence('backups'), 1)
    ]
    if len({record.backup_id for record in records}) < len(records):
        raise errors.FormatError(f'{what} names a backup twice')
    return records


def _record(plain: Any, what: str) -> _Record:
    if not isinstance(plain, dict):
        raise errors.FormatError(f'{what} is not a JSON object')
    fields = document_.Fields(plain, what)
    target = fields.text('target')
    if not _NAME.fullmatch(target):
        raise errors.FormatError(f'{what} has a wrong target {target[:64]!a}')
    if copied := fields.text('copy_of'):
        copied = fields.identifier('copy_of')
    told: dict[str, Any] = {
        'backend': fields.text('backend'),
        'volume_id': fields.text('volume_id'),
        'size_bytes': fields.integer('size_bytes'),
        'kind': fields.choice('kind', tuple(model.BackupKind)),
        'created_at': fields.text('created_at'),
        'sequence': fields.integer('sequence'),
        'repository_id': fields.text('repository_id'),
        'copy_of': copied,
    }
    return _Record(
        fields.identifier('backup_id'),
        target,
        fields.boolean('protected'),
        told,
    )


def _look_up(
    session: session_.Session, record: _Record, name: str
) -> model.BackupSummary:
    """Return what the target tells of a backup.

    :raises errors.NotFound: it is not there
    :raises errors.FormatError: it is another one than the document says
    """
    target = session.target(name)
    with faults.attributed(target):
        summary = target.show(record.backup_id)
    for key in _TELLING:
        theirs, ours = record.told[key], getattr(summary, key)
        if theirs != ours:
            raise errors.FormatError(
                f'the record of backup {record.backup_id} says that its '
                f'{key} is {theirs!a}; target {name} says {ours!a}'
            )
    return summary
