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

"""Backups as the command line names and describes them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any


def describe(row: Any) -> Mapping[str, Any]:
    """Return a backup under the names that scripts rely on."""
    return {
        'id': row.backup_id,
        'name': row.name,
        'status': row.status,
        'volume': f'{row.backend}:{row.volume_id}',
        'target': row.target,
        'kind': row.kind,
        'parent_id': row.parent_id,
        'size_bytes': row.size_bytes,
        'data_bytes': row.data_bytes,
        'read_bytes': row.read_bytes,
        'changed_bytes': row.changed_bytes,
        'stored_bytes': row.stored_bytes,
        'consistent': row.consistent,
        'created_at': row.created_at,
        'finished_at': row.finished_at,
        'verified_at': row.verified_at,
        'fail_reason': row.fail_reason,
        'copy_of': row.copy_of,
        'protected': row.protected,
        'service_metadata': row.service_metadata,
        'repository_id': row.repository_id,
        'run': row.run_number,
    }


def with_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the backup that a command works on."""
    parser.add_argument(
        'backup_id',
        metavar='ID',
        help='Of the backup, or at least its first eight characters.',
    )
    return parser
