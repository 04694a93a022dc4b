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

"""Image files that are declared to be qcow2.

That a file is one, the configuration says. Its header is only read then,
and refused if it leads to any other file; so is what QEMU would not open.
"""

from __future__ import annotations

from collections.abc import Sequence
import fnmatch

from backupkit.copy.qcow2 import bitmaps
from backupkit.copy.qcow2 import chain
from backupkit.copy.qcow2 import header as header_
from backupkit.copy import qemu
from backupkit import errors
from backupkit import model

#: Virtual sizes are multiples of this.
SECTOR_BYTES = 512


def is_declared(volume_id: str, patterns: Sequence[str]) -> bool:
    """Tell whether a volume is declared to be qcow2.

    A star in a pattern stands for any characters, slashes included.
    """
    return any(fnmatch.fnmatchcase(volume_id, name) for name in patterns)


def read_header(volume_id: str, fd: int) -> header_.Header:
    """Return what the header of an open image says.

    :raises errors.SourceError: it is not an image that stands alone
    """
    try:
        header = chain.headers([fd], [model.Link(volume_id, 'qcow2')])[0]
    except errors.SourceError as exc:
        raise errors.SourceError(
            f'{exc}; that it is qcow2, qcow2_volumes says'
        ) from exc
    if header is None:
        raise errors.SourceError(f'image {volume_id} has no header')
    return header


def make(fd: int, size_bytes: int) -> None:
    """Make an empty image of an open, empty file.

    :raises errors.SourceError: QEMU could not
    """
    qemu.run(
        'qemu-img',
        'create',
        '-q',
        '-f',
        'qcow2',
        qemu.descriptor_path(fd),
        str(size_bytes),
        pass_fds=(fd,),
    )


def bitmap(volume_id: str, fd: int, name: str) -> bitmaps.Bitmap | None:
    """Return a dirty bitmap of an open image, if it has one."""
    for found in read_header(volume_id, fd).bitmaps:
        if found.name == name:
            return found
    return None


def add_bitmap(volume_id: str, fd: int, name: str) -> None:
    """Have QEMU mark from now on what is written; again is fine.

    :raises errors.InUse: somebody has the image open
    """
    if bitmap(volume_id, fd, name) is None:
        _change(volume_id, fd, '--add', name)


def remove_bitmap(volume_id: str, fd: int, name: str) -> None:
    """Remove a dirty bitmap; absent is fine.

    :raises errors.InUse: somebody has the image open
    """
    if bitmap(volume_id, fd, name) is not None:
        _change(volume_id, fd, '--remove', name)


def _change(volume_id: str, fd: int, action: str, name: str) -> None:
    image = chain.options([fd], [model.Link(volume_id, 'qcow2')])
    try:
        qemu.run('qemu-img', 'bitmap', action, image, name, pass_fds=(fd,))
    except errors.SourceError as exc:
        # QEMU has no code of its own for it.
        if '"write" lock' in str(exc):
            raise errors.InUse(
                f'image {volume_id} is open in another program'
            ) from exc
        raise
