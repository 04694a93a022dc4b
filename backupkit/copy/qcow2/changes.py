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

"""What changed in a qcow2 image since a point in time.

Two sources tell it: the clusters that an overlay holds were written since
it was made, and a dirty bitmap marks what was written since it was. Both
tell too much rather than too little: a range that was written may hold the
same bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import os

from backupkit.copy.nbd import client
from backupkit.copy.qcow2 import bitmaps
from backupkit.copy.qcow2 import chain
from backupkit.copy.qcow2 import mapping
from backupkit.copy.qcow2 import server as server_
from backupkit import errors
from backupkit import model

_DEPTH = 'qemu:allocation-depth'
_BITMAP = 'qemu:dirty-bitmap:'


def since(attachment: model.Attachment, layers: int) -> Iterator[model.Extent]:
    """Yield what the first so many images of a chain hold, as changed.

    What the images below them hold, and what none does, is ``same``.

    :raises errors.CheckpointLost: QEMU does not tell
    """

    def is_changed(flags: Mapping[str, int]) -> bool:
        return 0 < flags[_DEPTH] <= layers

    return _told(attachment, _DEPTH, ('--allocation-depth',), is_changed)


def marked(
    attachment: model.Attachment, bitmap: str
) -> Iterator[model.Extent]:
    """Yield what a dirty bitmap of the first image marks, as changed.

    :raises errors.CheckpointLost: there is no such bitmap, or it is in
        doubt
    """
    found = find(attachment, bitmap)
    context = _BITMAP + found.name

    def is_changed(flags: Mapping[str, int]) -> bool:
        return bool(flags[context] & 1)

    options = (f'--bitmap={found.name}',)
    return _told(attachment, context, options, is_changed)


def find(attachment: model.Attachment, bitmap: str) -> bitmaps.Bitmap:
    """Return a bitmap of the first image that can be relied upon.

    :raises errors.CheckpointLost: there is none
    """
    directory, name = os.path.split(attachment.path)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        links = attachment.chain or (model.Link(name, 'qcow2'),)
        header = chain.check(fd, links)[0]
    finally:
        os.close(fd)
    for found in header.bitmaps if header else ():
        if found.name != bitmap:
            continue
        if found.in_use:
            raise errors.CheckpointLost(
                f'the dirty bitmap {bitmap} of {attachment.path} is in use, '
                'or was not saved when the image was last in use'
            )
        if not found.enabled:
            raise errors.CheckpointLost(
                f'the dirty bitmap {bitmap} of {attachment.path} is disabled'
            )
        return found
    raise errors.CheckpointLost(
        f'{attachment.path} has no dirty bitmap {bitmap}'
    )


def _told(
    attachment: model.Attachment,
    context: str,
    options: Sequence[str],
    is_changed: Callable[[Mapping[str, int]], bool],
) -> Iterator[model.Extent]:
    try:
        server = server_.Server(
            attachment.path, attachment.chain, options=options
        )
    except errors.SourceError as exc:
        raise errors.CheckpointLost(
            f'QEMU does not tell what changed: {exc}'
        ) from exc
    with contextlib.closing(server):
        contexts = (client.ALLOCATION, context)
        for offset, length, flags in mapping.walk(server, contexts):
            kind = model.ExtentKind.SAME
            if is_changed(flags):
                kind = mapping.kind_of(flags[client.ALLOCATION])
            yield model.Extent(offset, length, kind)
