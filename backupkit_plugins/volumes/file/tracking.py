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

"""Checkpoints of qcow2 images: dirty bitmaps that QEMU keeps in them.

A bitmap is made before the snapshot that a backup reads, or before the
volume itself is read. So it marks rather too much than too little.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from backupkit.copy.qcow2 import changes
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.file import qcow2


def handle(volume: model.Volume) -> dict[str, str]:
    """Return what an attachment has to tell of its volume."""
    return {'volume_id': volume.volume_id, 'generation': volume.generation}


def begin(volume_id: str, fd: int, name: str) -> None:
    """Make a bitmap before a snapshot of that name, if that can be."""
    with contextlib.suppress(errors.InUse):
        qcow2.add_bitmap(volume_id, fd, name)


def keep(volume_id: str, fd: int, name: str, *, direct: bool) -> None:
    """Make sure that there is a bitmap that was made in time.

    :param direct: there is and was no snapshot: now is in time
    :raises errors.InUse: it was not
    """
    if direct:
        qcow2.add_bitmap(volume_id, fd, name)
    elif qcow2.bitmap(volume_id, fd, name) is None:
        raise errors.InUse(
            f'image {volume_id} was open in another program when its '
            'snapshot was made, and no dirty bitmap could be added'
        )


def changed(
    attachment: model.Attachment, since: model.Checkpoint
) -> Iterator[model.Extent]:
    """Yield what the bitmap of a checkpoint tells.

    :raises errors.CheckpointLost: there is none of this very volume
    """
    now = (
        attachment.handle.get('volume_id'),
        attachment.handle.get('generation'),
        attachment.size_bytes,
    )
    if now != (since.volume_id, since.generation, since.size_bytes):
        raise errors.CheckpointLost(
            f'{attachment.path} is not as it was at backup '
            f'{since.backup_id}: another volume, or another size'
        )
    yield from changes.marked(attachment, since.name)
