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

"""Attached volumes, opened by the format that their driver tells."""

from __future__ import annotations

from collections.abc import Iterable

from backupkit.copy import interface
from backupkit.copy import raw
from backupkit import errors
from backupkit import model


FORMATS = ('raw', 'qcow2')


def check_format(attachment: model.Attachment) -> None:
    """Refuse a volume that can be neither read nor written.

    :raises errors.NotSupported: its format is none of :data:`FORMATS`
    """
    if attachment.format not in FORMATS:
        raise errors.NotSupported(
            f'{attachment.path} has the format {attachment.format!r}: only '
            f'{" and ".join(FORMATS)} volumes can be read and written'
        )


def open_reader(
    attachment: model.Attachment,
    extents: Iterable[model.Extent] | None = None,
) -> interface.Reader:
    """Open an attached volume for reading.

    :param extents: what is known of its bytes; None for what its format
        tells, which for raw is nothing
    :raises errors.NotSupported: the format is not one that can be read
    :raises errors.SourceError: it cannot be opened, or is not as recorded
    """
    check_format(attachment)
    path, size = attachment.path, attachment.size_bytes
    if attachment.format == 'raw':
        return raw.RawReader(path, size, _all(size, extents))
    # Most volumes are raw, and need nothing of this.
    from backupkit.copy.qcow2 import image

    return image.Qcow2Reader(path, size, extents, links=attachment.chain)


def open_writer(
    attachment: model.Attachment, size_bytes: int, *, reads_zero: bool
) -> interface.Writer:
    """Open an attached volume for writing its first ``size_bytes``.

    :param reads_zero: the volume reads as zeros where nothing was written
    :raises errors.NotSupported: the format is not one that can be written
    :raises errors.SourceError: it cannot be opened, or is not as recorded
    """
    check_format(attachment)
    path = attachment.path
    if attachment.format == 'raw':
        return raw.RawWriter(path, size_bytes, reads_zero=reads_zero)
    from backupkit.copy.qcow2 import image

    return image.Qcow2Writer(
        path, size_bytes, reads_zero=reads_zero, links=attachment.chain
    )


def _all(
    size_bytes: int, extents: Iterable[model.Extent] | None
) -> Iterable[model.Extent]:
    if extents is not None:
        return extents
    if not size_bytes:
        return ()
    return (model.Extent(0, size_bytes, model.ExtentKind.DATA),)
