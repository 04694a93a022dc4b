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

"""Real bytes of this machine: the files below ``/usr``, as a sample.

Files are taken in the order of a digest of their names, so that a part of
them is a fair mix, and the same mix on every run on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import os
import pathlib
import shutil
import stat

from tests.bench import fault

_ROOT = pathlib.Path('/usr')
_BLOCK_BYTES = 4096
_READ_BYTES = 1 << 20


def files() -> list[pathlib.Path]:
    """List every file with content that can be read, in sample order."""
    found = []
    for folder, _, names in os.walk(_ROOT):
        for name in names:
            path = pathlib.Path(folder, name)
            if _is_content(path):
                found.append(path)
    if not found:
        raise fault.BenchError(f'no readable files below {_ROOT}')
    return sorted(found, key=_rank)


def stage(tree: pathlib.Path, limit_bytes: int) -> int:
    """Copy the first files into a tree.

    :returns: how many there are
    """
    taken_bytes = 0
    count = 0
    for path in files():
        # Whole blocks, as a file system keeps them.
        blocks = -(-path.stat().st_size // _BLOCK_BYTES)
        if taken_bytes + blocks * _BLOCK_BYTES > limit_bytes:
            continue
        taken_bytes += blocks * _BLOCK_BYTES
        count += 1
        copy = tree / path.relative_to(_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return count


def content() -> Iterator[bytes]:
    """Yield bytes of files, those first that ``stage`` takes last."""
    for path in reversed(files()):
        with path.open('rb') as file:
            while piece := file.read(_READ_BYTES):
                yield piece


def _is_content(path: pathlib.Path) -> bool:
    status = path.lstat()
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size > 0
        and os.access(path, os.R_OK)
    )


def _rank(path: pathlib.Path) -> bytes:
    return hashlib.sha256(os.fsencode(path)).digest()
