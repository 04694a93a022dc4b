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


"""Whether a device of this host is the one that it should be, or is gone."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import os
import pathlib
import stat
from typing import Any

from backupkit import errors

_SYSFS = pathlib.Path('/sys/dev/block')
_SECTOR_BYTES = 512

#: What tells a device from every other one, as plain data.
Identity = Mapping[str, Any]


def identify(path: str) -> dict[str, Any]:
    """Return what a path leads to; nothing is read of its bytes.

    :raises OSError: there is nothing
    :raises errors.SourceError: it is no device and no file
    """
    told = os.stat(path)
    if stat.S_ISREG(told.st_mode):
        return {
            'kind': 'file',
            'number': f'{told.st_dev}:{told.st_ino}',
            'size_bytes': told.st_size,
        }
    if not stat.S_ISBLK(told.st_mode):
        raise errors.SourceError(f'{path} is no block device and no file')
    number = f'{os.major(told.st_rdev)}:{os.minor(told.st_rdev)}'
    entry = _SYSFS / number
    sectors = _line(entry / 'size')
    return {
        'kind': 'block',
        'number': number,
        # Differs once another medium has come into the same device.
        # Source: Documentation/ABI/stable/sysfs-block, diskseq.
        'sequence': _line(entry / 'diskseq'),
        'serial': _line(entry / 'device/wwid')
        or _line(entry / 'dm/uuid')
        or _line(entry / 'device/serial')
        or _line(entry / 'serial'),
        'size_bytes': int(sectors or 0) * _SECTOR_BYTES,
    }


def prove(
    path: str, size_bytes: int, told: Mapping[str, Any], *, larger: bool
) -> dict[str, Any]:
    """Make sure that a path leads to the volume; return what it leads to.

    :param size_bytes: of the volume
    :param told: what os-brick says of the device
    :param larger: whether it may be larger than the volume
    :raises errors.SourceError: it is another one, or cannot be read
    """
    try:
        found = identify(path)
    except OSError as exc:
        raise errors.SourceError(
            f'{path}, where os-brick has attached the volume, cannot be '
            f'looked at: {exc.strerror}'
        ) from exc
    size = int(found['size_bytes'])
    if size < size_bytes or (size > size_bytes and not larger):
        raise errors.SourceError(
            f'{path} has {size} bytes and its volume has {size_bytes}: it '
            'is taken for another one'
            + '; see allow_larger_devices'
            * (size > size_bytes)
        )
    _compare_serials(path, str(told.get('scsi_wwn') or ''), found)
    if not os.access(path, os.R_OK):
        raise errors.SourceError(
            f'{path} cannot be read by user {os.geteuid()}: a rule of udev '
            'must give it to a group of this user'
        )
    return found


def is_gone(path: str, before: Identity) -> bool:
    """Tell whether a device is here no longer.

    A file is never gone by being detached: its share stays mounted.
    """
    if before.get('kind') != 'block':
        return True
    try:
        found = identify(path)
    except (OSError, errors.SourceError):
        return True
    if not found['size_bytes']:
        # A loop device without a file.
        return True
    return any(
        found.get(key) != before.get(key)
        for key in ('kind', 'number', 'sequence', 'serial')
    )


def _compare_serials(path: str, wwn: str, found: Identity) -> None:
    """Refuse a device whose own name is not the one that was asked for.

    os-brick's begins with a digit for the kind of the name, and sysfs' with
    a word for it.
    """
    serial = str(found.get('serial') or '')
    if wwn and serial and wwn[1:].lower() not in serial.lower():
        raise errors.SourceError(
            f'{path} is device {serial}, and {wwn} was attached'
        )


def _line(path: pathlib.Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors='replace').strip()
    return ''
