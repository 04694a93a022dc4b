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

"""What is told of a backup that is being made."""

from __future__ import annotations

from backupkit import model
from backupkit.repository import repository as repository_


def begin(
    request: model.BackupRequest, repository_id: str, parent_id: str | None
) -> model.BackupSummary:
    """Return all that is known of a backup before its first byte.

    What was read and stored, and where, is to be put into it.
    """
    return model.BackupSummary(
        backup_id=request.backup_id,
        backend=request.backend,
        volume_id=request.volume.volume_id,
        size_bytes=request.volume.size_bytes,
        kind=(
            model.BackupKind.FULL
            if parent_id is None
            else model.BackupKind.INCREMENTAL
        ),
        name=request.name,
        parent_id=parent_id,
        created_at=request.created_at or repository_.now(),
        volume_generation=request.volume.generation,
        consistent=request.consistent,
        content=request.content,
        sequence=request.run_number,
        repository_id=repository_id,
        copy_of=request.copy_of,
    )
