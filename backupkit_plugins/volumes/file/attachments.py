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

"""Attached volumes: what is told of them, by their path alone."""

from __future__ import annotations

from collections.abc import Iterator
import os
import stat

from backupkit import model
from backupkit_plugins.volumes.file import device
from backupkit_plugins.volumes.file import extents as extents_
from backupkit_plugins.volumes.file import images
from backupkit_plugins.volumes.file import paths
from backupkit_plugins.volumes.file import qcow2
from backupkit_plugins.volumes.file import tracking


def of_image(
    volume_id: str, path: str, fd: int, volume: int, *, is_qcow2: bool
) -> model.Attachment:
    """Return an attachment of an open file, the volume or its snapshot.

    :param path: of that file
    :param volume: the volume itself, open
    """
    if not is_qcow2:
        return model.Attachment(path, os.fstat(fd).st_size)
    name = os.path.basename(path)
    return model.Attachment(
        path,
        qcow2.read_header(name, fd).size_bytes,
        format='qcow2',
        handle=tracking.handle(
            images.describe(volume_id, volume, is_qcow2=True)
        ),
        chain=(model.Link(name, 'qcow2'),),
    )


def extents(attachment: model.Attachment) -> Iterator[model.Extent]:
    """Yield data and holes of what is attached as raw."""
    if not attachment.size_bytes:
        return
    try:
        fd = os.open(
            attachment.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
    except OSError as exc:
        raise paths.explain(attachment.path, exc) from exc
    try:
        yield from extents_.of(fd, attachment.size_bytes)
    finally:
        os.close(fd)


def fingerprint(attachment: model.Attachment) -> str:
    """Return what differs once the image or device was written."""
    path = attachment.path
    try:
        told = os.stat(path, follow_symlinks=False)
        if stat.S_ISBLK(told.st_mode):
            return device.fingerprint(path)
    except OSError as exc:
        raise paths.explain(path, exc) from exc
    return images.fingerprint(told)
