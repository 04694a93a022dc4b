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

"""Volumes and snapshots that are attached: what is told of their bytes."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os

from backupkit.copy import opening
from backupkit.copy.qcow2 import changes
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.file import extents as raw
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import place as place_


def attachment(
    place: place_.Place,
    state: chains.State,
    at: int,
    handle: dict[str, str],
    *,
    read_only: bool = True,
) -> model.Attachment:
    """Return how a chain is reached, from a place in it on."""
    links = state.links[at:]
    return model.Attachment(
        os.path.join(place.files.path, links[0].name),
        state.sizes[at],
        links[0].format,
        read_only,
        handle,
        links if links[0].format == 'qcow2' else (),
    )


def extents(attached: model.Attachment) -> Iterator[model.Extent]:
    """Yield where data lies, and where none does.

    :raises errors.SourceError: the files are not as they were attached
    """
    if not attached.size_bytes:
        return
    with files_.translated(attached.path):
        if attached.format != 'raw':
            with contextlib.closing(opening.open_reader(attached)) as reader:
                yield from reader.extents()
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(attached.path, flags)
        try:
            yield from raw.of(fd, attached.size_bytes)
        finally:
            os.close(fd)


def fingerprint(attached: model.Attachment) -> str:
    """Return what of the files differs once something was written."""
    directory, name = os.path.split(attached.path)
    told = []
    with files_.translated(attached.path):
        for file in [link.name for link in attached.chain] or [name]:
            path = os.path.join(directory, file)
            found = os.stat(path, follow_symlinks=False)
            told.append(
                f'{file} inode {found.st_ino} size {found.st_size} '
                f'mtime {found.st_mtime_ns} ctime {found.st_ctime_ns}'
            )
    return '; '.join(told)


def changes_since(
    attached: model.Attachment, state: chains.State, since: model.Checkpoint
) -> Iterator[model.Extent]:
    """Yield what the overlays hold that a snapshot has below it.

    :param state: of the volume, with the snapshot
    :raises errors.CheckpointLost: there is none, or not of this volume
    """
    overlay = state.info.snapshots.get(since.name)
    chain = [link.name for link in attached.chain]
    if (
        overlay not in chain
        or since.name not in state.snapshots
        or state.generation != since.generation
        or state.sizes[state.below(since.name)] != since.size_bytes
        or attached.size_bytes != since.size_bytes
    ):
        raise errors.CheckpointLost(
            f'volume {since.volume_id} has no snapshot of backup '
            f'{since.backup_id}, or is another volume or size now'
        )
    yield from changes.since(attached, chain.index(overlay) + 1)
