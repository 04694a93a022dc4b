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

"""Block devices that the operator allowed, loop devices included."""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat

from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.file import paths
from backupkit_plugins.volumes.file import usage


def describe(path: str) -> model.Volume:
    """Describe an allowed device as a volume; its id is its path.

    :raises errors.SourceError: it is not there, no block device, or empty
    """
    try:
        claimed = usage.is_claimed(path)
        size = size_of(path)
        number = os.stat(path).st_rdev
    except OSError as exc:
        raise paths.explain(path, exc) from exc
    if not size:
        raise errors.SourceError(
            f'{path} is empty: no medium or backing file is attached to it'
        )
    return model.Volume(
        volume_id=path,
        size_bytes=size,
        # Not claimed is no proof that nobody writes.
        in_use=True if claimed else None,
        generation=f'{os.major(number)}:{os.minor(number)}',
        snapshots=False,
    )


def attach(path: str, *, writable: bool) -> model.Attachment:
    """Attach an allowed device, by the name that its links lead to.

    :raises errors.InUse: it is to be written, and something holds it
    """
    found = describe(path)
    if writable and found.in_use:
        raise errors.InUse(f'{path} is mounted or part of another device')
    return model.Attachment(
        os.path.realpath(path), found.size_bytes, read_only=not writable
    )


def size_of(path: str) -> int:
    """Return the size of a block device in bytes.

    :raises errors.SourceError: it is no block device
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISBLK(os.fstat(fd).st_mode):
            raise errors.SourceError(f'{path} is not a block device')
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def fingerprint(path: str) -> str:
    """Return how much was ever written to a device, and which it is.

    The kernel counts the sectors written (Documentation/block/stat.rst);
    what waits in the page cache is flushed first, so that it counts.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        number = os.fstat(fd).st_rdev
        size = os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)
    name = f'{os.major(number)}:{os.minor(number)}'
    entry = pathlib.Path(f'/sys/dev/block/{name}')
    counts = (entry / 'stat').read_text().split()
    return (
        f'{name} {_sequence(entry)} size {size} written {counts[6]} '
        f'discarded {counts[13:14]}'
    )


def _sequence(entry: pathlib.Path) -> str:
    """Return what differs once another medium has come into a device.

    Source: Documentation/ABI/stable/sysfs-block, diskseq; a partition has
    that of its disk.
    """
    for place in (entry, entry.resolve().parent):
        with contextlib.suppress(OSError):
            return f'medium {(place / "diskseq").read_text().strip()}'
    return 'medium unknown'
