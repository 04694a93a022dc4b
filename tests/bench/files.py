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

"""What the benchmark itself does with files: holes kept, memory small.

The harness keeps its buffers small because a child's peak memory is never
counted below that of the process that started it.
"""

from __future__ import annotations

from collections.abc import Iterator
import errno
import hashlib
import os
import pathlib
import subprocess

_BUFFER_BYTES = 1 << 20


def data_extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of every range that is not a hole."""
    end = 0
    while True:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def data_bytes(path: pathlib.Path) -> int:
    """Count the bytes of a file that are not holes."""
    with path.open('rb') as file:
        return sum(end - start for start, end in data_extents(file.fileno()))


def warm(path: pathlib.Path) -> None:
    """Read a file, or all files of a tree, so that memory holds them."""
    for file in _tree(path):
        for _ in _pieces(file):
            pass


def tree_bytes(path: pathlib.Path) -> int:
    """Sum the sizes of a file or of all files of a tree."""
    return sum(file.stat().st_size for file in _tree(path))


def digest(path: pathlib.Path) -> str:
    """Return a SHA-256 that is equal just when two files read alike.

    It covers the size and every piece that is not all zero, with its
    offset: holes cost nothing, and where they lie does not matter.
    """
    state = hashlib.sha256(str(path.stat().st_size).encode())
    zeros = bytearray(_BUFFER_BYTES)
    for offset, piece in _pieces(path):
        if piece != zeros[: len(piece)]:
            state.update(offset.to_bytes(8, 'little'))
            state.update(piece)
    return state.hexdigest()


def copy(source: pathlib.Path, destination: pathlib.Path) -> None:
    """Copy a file or a tree whole, sharing blocks where that is possible."""
    subprocess.run(
        ('cp', '-a', '--reflink=auto', '--', source, destination), check=True
    )


def _tree(path: pathlib.Path) -> Iterator[pathlib.Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob('*')):
        if file.is_file():
            yield file


def _pieces(path: pathlib.Path) -> Iterator[tuple[int, bytearray]]:
    """Yield data by pieces at multiples of their size, in one buffer."""
    buffer = bytearray(_BUFFER_BYTES)
    with path.open('rb', buffering=0) as file:
        read_to = 0
        for start, end in data_extents(file.fileno()):
            first = start - start % _BUFFER_BYTES
            for offset in range(max(first, read_to), end, _BUFFER_BYTES):
                length = os.preadv(file.fileno(), (buffer,), offset)
                yield (
                    offset,
                    buffer if length == _BUFFER_BYTES else buffer[:length],
                )
                read_to = offset + _BUFFER_BYTES
