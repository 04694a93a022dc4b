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

"""What is done to images, by QEMU's tools.

A tool is given open files of ours, and told what backs what; so it opens
what was checked and nothing else. The order of arguments and the meaning of
the options are those of qemu-img(1).
"""

from __future__ import annotations

from collections.abc import Sequence
import os

from backupkit.copy.qcow2 import chain
from backupkit.copy import qemu
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.nfs import files as files_

SECTOR_BYTES = 512


def create(
    files: files_.Files, image: model.Link, size_bytes: int, *, sparse: bool
) -> None:
    """Make an empty image in a file that is there, and empty."""
    with files.opened(image.name, os.O_RDWR) as fd:
        if image.format == 'qcow2':
            _create(fd, size_bytes)
        else:
            os.ftruncate(fd, size_bytes)
            if not sparse and size_bytes:
                os.posix_fallocate(fd, 0, size_bytes)
            os.fsync(fd)


def cover(
    files: files_.Files, overlay: str, below: model.Link, size_bytes: int
) -> None:
    """Make an overlay in a file that is there, and empty.

    The file below is not opened: its user may have it.
    """
    with files.opened(overlay, os.O_RDWR) as fd:
        # -u: take the name of the file below as it is.
        _create(fd, size_bytes, '-u', '-b', below.name, '-F', below.format)


def _create(fd: int, size_bytes: int, *options: str) -> None:
    path = qemu.descriptor_path(fd)
    _run(
        *('create', '-q', '-f', 'qcow2', *options, path, str(size_bytes)),
        fds=[fd],
    )
    os.fsync(fd)


def commit(files: files_.Files, links: Sequence[model.Link]) -> None:
    """Merge the first image of a chain into the second, and keep it.

    Whether that was done before, wholly or in part, does not matter.

    :raises errors.InUse: somebody has one of them open
    """
    with chain.opened(files.root, links, writable=True) as fds:
        _run('commit', '-q', '-d', *_source(links, fds), fds=fds)
        os.fsync(fds[1])


def rebase(
    files: files_.Files, links: Sequence[model.Link], below: model.Link
) -> None:
    """Have the first image of a chain name another one below it.

    :raises errors.InUse: somebody has it open
    """
    top = links[0]
    with chain.opened(files.root, links, writable=True) as fds:
        path = qemu.descriptor_path(fds[0])
        _run(
            *('rebase', '-q', '-u', '-f', top.format),
            *('-b', below.name, '-F', below.format, path),
            fds=fds[:1],
        )
        os.fsync(fds[0])


def convert(
    files: files_.Files,
    links: Sequence[model.Link],
    to: model.Link,
    *,
    sparse: bool,
) -> None:
    """Copy what a chain shows into a file that is there, as one image."""
    options = []
    if not sparse and to.format == 'raw':
        options = ['-o', 'preallocation=falloc']
    with (
        chain.opened(files.root, links) as fds,
        files.opened(to.name, os.O_RDWR) as fd,
    ):
        path = qemu.descriptor_path(fd)
        source = _source(links, fds)
        _run(
            *('convert', '-q', '-O', to.format, *options, *source, path),
            fds=[*fds, fd],
        )


def _source(links: Sequence[model.Link], fds: Sequence[int]) -> list[str]:
    """Return the arguments that name a chain of open files."""
    options = []
    prefix = ''
    for link, fd in zip(links, fds, strict=True):
        options += [
            f'{prefix}driver={link.format}',
            f'{prefix}file.driver=file',
            f'{prefix}file.filename={qemu.descriptor_path(fd)}',
        ]
        prefix += 'backing.'
    return ['--image-opts', ','.join(options)]


def _run(*argv: str, fds: Sequence[int]) -> None:
    """Run qemu-img for as long as it takes."""
    try:
        qemu.run(
            'qemu-img',
            *argv,
            pass_fds=fds,
            timeout_seconds=None,
            cpu_seconds=None,
        )
    except errors.SourceError as exc:
        # The words of block/file-posix.c of QEMU.
        if 'Failed to get' in str(exc) and 'lock' in str(exc):
            raise errors.InUse(
                f'an image of the volume is open elsewhere: {exc}'
            ) from exc
        raise


def are_same(
    files: files_.Files, one: Sequence[model.Link], two: Sequence[model.Link]
) -> bool:
    """Tell whether two chains show the same bytes."""
    with (
        chain.opened(files.root, one) as first,
        chain.opened(files.root, two) as second,
    ):
        sources = [*_source(one, first), *_source(two, second)[1:]]
        try:
            _run('compare', '-q', *sources, fds=[*first, *second])
        except errors.SourceError as exc:
            # 1 is its answer where they differ, other codes are failures.
            if 'failed with code 1:' in str(exc):
                return False
            raise
    return True
