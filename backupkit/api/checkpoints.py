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

"""What volume drivers keep between backups."""

from __future__ import annotations

from backupkit.api import results
from backupkit.api import session as session_
from backupkit.api import volumes
from backupkit.flows import checkpoints
from backupkit import model


def entries(
    session: session_.Session, text: str | None
) -> list[results.CheckpointEntry]:
    """List the checkpoints of one volume, or all."""
    ref = session.ref(text) if text else None
    return [
        results.CheckpointEntry(
            volume=str(
                model.VolumeRef(
                    entry.details['backend'], entry.details['volume_id']
                )
            ),
            target=entry.details['target'],
            name=entry.name,
            made_at=entry.made_at,
        )
        for entry in checkpoints.retained(session.catalog, ref)
    ]


def drop(session: session_.Session, text: str) -> int:
    """Drop the checkpoints of a volume; return how many there were.

    :raises errors.Conflict: a run is at work on the volume
    """
    ref = session.ref(text)
    volumes.check_idle(session, ref)
    return checkpoints.drop_all(session.environment(), ref)
