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

"""A chain of image files, compared with what the driver's records say.

Every file is opened by itself and checked while it is open, and QEMU is
given those very descriptors and told what backs what. So neither a name in
a header nor a file that is put in another's place is ever followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import errno
import json
import os
import stat
from typing import Any

from backupkit.copy.qcow2 import header as header_
from backupkit.copy import qemu
from backupkit import errors
from backupkit import model

#: Longer chains are refused: each file costs a QEMU memory and time.
MAX_LINKS = 256

FORMATS = ('raw', 'qcow2')


def check(
    directory: int, links: Sequence[model.Link]
) -> list[header_.Header | None]:
    """Compare the files of a chain with what is recorded of them.

    :param directory: an open descriptor of the one that holds them
    :param links: the image itself first, then what backs it
    :returns: their headers; None for a raw file, which is not looked at
    :raises errors.SourceError: a file is not what the record says
    :raises errors.VolumeNotFound: a file is missing
    """
    with opened(directory, links) as files:
        return headers(files, links)


@contextlib.contextmanager
def opened(
    directory: int, links: Sequence[model.Link], *, writable: bool = False
) -> Iterator[list[int]]:
    """Open the files of a chain, checked, until the block is left.

    :param writable: open the first for writing, too
    :raises errors.SourceError: a file is not what the record says
    :raises errors.VolumeNotFound: a file is missing
    """
    if not 0 < len(links) <= MAX_LINKS:
        raise errors.SourceError(f'a chain of {len(links)} images is refused')
    with contextlib.ExitStack() as stack:
        files: list[int] = []
        for link in links:
            write = writable and not files
            fd = _open(directory, link, os.O_RDWR if write else os.O_RDONLY)
            stack.callback(os.close, fd)
            files.append(fd)
        headers(files, links)
        yield files


def headers(
    files: Sequence[int], links: Sequence[model.Link]
) -> list[header_.Header | None]:
    """Check open files as :func:`check` does."""
    found = []
    below: list[model.Link | None] = [*links[1:], None]
    for fd, link, backing in zip(files, links, below, strict=True):
        try:
            found.append(_check_link(fd, link, backing))
        except errors.SourceError as exc:
            raise errors.SourceError(
                f'image {link.name} is refused: {exc}'
            ) from exc
    return found


def options(files: Sequence[int], links: Sequence[model.Link]) -> str:
    """Return what to give a tool of QEMU as the image, instead of a name.

    It tells what backs what, so that no header is followed. The tool
    inherits the files under the same numbers.
    """
    node: dict[str, Any] = {}
    for fd, link in reversed(list(zip(files, links, strict=True))):
        file = {'driver': 'file', 'filename': qemu.descriptor_path(fd)}
        above: dict[str, Any] = {'driver': link.format, 'file': file}
        if link.format == 'qcow2':
            above['backing'] = node or None
        node = above
    return f'json:{json.dumps(node)}'


def _check_link(
    fd: int, link: model.Link, backing: model.Link | None
) -> header_.Header | None:
    if link.format not in FORMATS:
        raise errors.SourceError(f'it has the unknown format {link.format!r}')
    if link.format == 'raw':
        if backing is not None:
            raise errors.SourceError(
                f'it is raw and cannot lie above {backing.name}'
            )
        return None
    header = header_.read(fd)
    if backing is None:
        if header.backing_file:
            raise errors.SourceError(
                f'it names the backing file {header.backing_file!r}, and '
                'none is recorded'
            )
        return header
    if header.backing_file != backing.name:
        raise errors.SourceError(
            f'it names the backing file {header.backing_file!r}, and '
            f'{backing.name!r} is recorded'
        )
    if header.backing_format != backing.format:
        raise errors.SourceError(
            f'it names the format {header.backing_format!r} of its backing '
            f'file, and {backing.format!r} is recorded'
        )
    return header


def _open(directory: int, link: model.Link, flags: int) -> int:
    """Open a regular file of the directory itself; no link is followed."""
    name = link.name
    if not name or name in ('.', '..') or '/' in name or '\0' in name:
        raise errors.SourceError(f'{name!r} is not the name of an image')
    try:
        fd = os.open(
            name,
            flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            dir_fd=directory,
        )
    except FileNotFoundError as exc:
        raise errors.VolumeNotFound(f'image {name} does not exist') from exc
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise errors.SourceError(
                f'image {name} is a link: links are not followed'
            ) from exc
        raise errors.SourceError(
            f'cannot open image {name}: {exc.strerror}'
        ) from exc
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise errors.SourceError(f'image {name} is not a regular file')
    return fd
