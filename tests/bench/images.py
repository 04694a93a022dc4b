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

"""The volumes that are backed up, made once in the work directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
import itertools
import multiprocessing
import os
import pathlib
import random
import shutil
import subprocess

from tests.bench import corpus
from tests.bench import fault
from tests.bench import files

_KIB = 1 << 10
_MIB = 1 << 20

#: Part of the size of ``realistic`` that files may fill: 2.5 of 4 GiB.
_FILLED = 0.625

#: ``sparse`` is this many times larger than the others, an eighth of one
#: of them is data.
_SPARSE_TIMES = 4
_SPARSE_DATA = 0.125
_SPARSE_RUN_BLOCKS = 1024

#: What a day changes: 2 % of all blocks, in runs as files lie on a disk,
#: two thirds of them incompressible (media, compressed logs).
_DAY_BLOCK_BYTES = 64 * _KIB
_DAY_CHANGED = 0.02
_DAY_RUN_BLOCKS = 16
_DAY_RANDOM = 2 / 3

#: What a database changes: single pages, everywhere.
_PAGE_BYTES = 16 * _KIB
_PAGES_PER_GIB = 256

_ALIGN_BYTES = 4 * _KIB
_SEED = 20261121

NAMES = ('random', 'realistic', 'next-day', 'sparse', 'scattered')


class Images:
    """Makes images when they are first asked for."""

    def __init__(self, directory: pathlib.Path, size_bytes: int) -> None:
        self._directory = directory
        self.size_bytes = size_bytes

    def path(self, name: str) -> pathlib.Path:
        """Return the path of a durable image, made now if it was not."""
        path = self._directory / f'{name}-{self.size_bytes // _MIB}.img'
        if not path.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            self._make(name, path)
        return path

    def _make(self, name: str, path: pathlib.Path) -> None:
        part = path.with_suffix('.part')
        part.unlink(missing_ok=True)
        maker: Callable[..., None]
        arguments: tuple[object, ...] = (part, self.size_bytes)
        if name == 'random':
            maker = make_random
        elif name == 'realistic':
            maker = make_realistic
        elif name == 'sparse':
            maker = make_sparse
        else:
            maker = {'next-day': make_next_day, 'scattered': make_scattered}[
                name
            ]
            arguments = (part, self.path('realistic'))
        in_other_process(maker, *arguments)
        part.rename(path)


def in_other_process(maker: Callable[..., None], *arguments: object) -> None:
    """Call a function where its memory is not ours.

    What this process takes would count as the least that any contender
    takes.
    """
    context = multiprocessing.get_context('spawn')
    with futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(maker, *arguments).result()


def make_random(
    path: pathlib.Path, size_bytes: int, *, seed: int = _SEED
) -> None:
    """Write an image that cannot be compressed."""
    noise = random.Random(seed)
    with path.open('wb') as file:
        for _ in range(size_bytes // _MIB):
            file.write(noise.randbytes(_MIB))
        _sync(file.fileno())


def make_realistic(path: pathlib.Path, size_bytes: int) -> None:
    """Write an ext4 image with real files, its holes left as holes."""
    mke2fs = shutil.which('mke2fs', path=f'{os.environ["PATH"]}:/usr/sbin')
    if mke2fs is None:
        raise fault.BenchError('mke2fs is missing: apt-get install e2fsprogs')
    staging = path.with_suffix('.staging')
    shutil.rmtree(staging, ignore_errors=True)
    try:
        count = corpus.stage(staging, int(size_bytes * _FILLED))
        # The number of inodes leaves room for directories.
        layout = ('-T', 'default', '-b', '4096', '-N', str(2 * count + 1024))
        same = ('-U', '6f0d0f7e-5a3c-4b58-9f39-6d9a2f1c7e11')
        subprocess.run(
            (
                *(mke2fs, '-q', '-F', '-t', 'ext4', '-m', '0'),
                *layout,
                *same,
                *('-d', staging, path, f'{size_bytes // _KIB}k'),
            ),
            check=True,
            stdout=subprocess.DEVNULL,
        )
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    with path.open('rb') as file:
        _sync(file.fileno())


def make_sparse(path: pathlib.Path, size_bytes: int) -> None:
    """Write an image with little data in many places."""
    fill_sparse(
        path, size_bytes * _SPARSE_TIMES, int(size_bytes * _SPARSE_DATA)
    )


def fill_sparse(path: pathlib.Path, size_bytes: int, data_bytes: int) -> None:
    """Write half real, half incompressible data in many places."""
    dice = random.Random(_SEED)
    real = _Real()
    with path.open('wb', buffering=0) as file:
        file.truncate(size_bytes)
        left = data_bytes
        while left > 0:
            length = dice.randint(1, _SPARSE_RUN_BLOCKS) * _ALIGN_BYTES
            last = (size_bytes - length) // _ALIGN_BYTES
            data = (
                dice.randbytes(length)
                if dice.random() < 0.5
                else real.take(length)
            )
            os.pwrite(file.fileno(), data, dice.randrange(last) * _ALIGN_BYTES)
            left -= length
        _sync(file.fileno())


def make_next_day(path: pathlib.Path, realistic: pathlib.Path) -> None:
    """Write ``realistic`` as it could be a day later."""
    files.copy(realistic, path)
    dice = random.Random(_SEED)
    real = _Real()
    places = _Places(path, _DAY_BLOCK_BYTES, dice)
    left = int(places.count * _DAY_CHANGED)
    changed: set[int] = set()
    with path.open('r+b', buffering=0) as file:
        while left > 0:
            run_blocks = min(dice.randint(1, _DAY_RUN_BLOCKS), left)
            first = places.pick()
            blocks = range(first, first + run_blocks)
            if blocks.stop > places.count or changed & set(blocks):
                continue
            changed |= set(blocks)
            length = run_blocks * _DAY_BLOCK_BYTES
            data = (
                dice.randbytes(length)
                if dice.random() < _DAY_RANDOM
                else real.take(length)
            )
            os.pwrite(file.fileno(), data, first * _DAY_BLOCK_BYTES)
            left -= run_blocks
        _sync(file.fileno())


def make_scattered(path: pathlib.Path, realistic: pathlib.Path) -> None:
    """Write ``realistic`` with single pages changed all over its data."""
    files.copy(realistic, path)
    change_pages(
        path, realistic.stat().st_size * _PAGES_PER_GIB >> 30, seed=_SEED
    )


def change_pages(path: pathlib.Path, count: int, *, seed: int) -> None:
    """Overwrite so many pages, anywhere in a file's data."""
    dice = random.Random(seed)
    places = _Places(path, _PAGE_BYTES, dice)
    with path.open('r+b', buffering=0) as file:
        for _ in range(count):
            os.pwrite(
                file.fileno(),
                dice.randbytes(_PAGE_BYTES),
                places.pick() * _PAGE_BYTES,
            )
        _sync(file.fileno())


def copy_data(
    source: pathlib.Path, path: pathlib.Path, size_bytes: int
) -> None:
    """Write a file without holes from the first data of another."""
    with source.open('rb') as whole, path.open('wb', buffering=0) as file:
        for start, end in files.data_extents(whole.fileno()):
            offset = start
            while offset < end and file.tell() < size_bytes:
                length = min(_MIB, end - offset, size_bytes - file.tell())
                file.write(os.pread(whole.fileno(), length, offset))
                offset += length
        _sync(file.fileno())


def make_numbered(path: pathlib.Path, count: int, block_bytes: int) -> None:
    """Write so many blocks of which no two are the same."""
    with path.open('wb') as file:
        for number in range(1, count + 1):
            file.write(number.to_bytes(16, 'big') * (block_bytes // 16))
        _sync(file.fileno())


class _Real:
    """Takes bytes from real files, in any lengths."""

    def __init__(self) -> None:
        self._pieces: Iterator[bytes] = itertools.chain.from_iterable(
            corpus.content() for _ in itertools.count()
        )
        self._rest = b''

    def take(self, length: int) -> bytes:
        taken = bytearray()
        while len(taken) < length:
            if not self._rest:
                self._rest = next(self._pieces)
            need = length - len(taken)
            taken += self._rest[:need]
            self._rest = self._rest[need:]
        return bytes(taken)


class _Places:
    """Draws blocks of a file that hold data, each as likely as the next."""

    def __init__(
        self, path: pathlib.Path, block_bytes: int, dice: random.Random
    ) -> None:
        self.count = path.stat().st_size // block_bytes
        self._dice = dice
        with path.open('rb') as file:
            self._blocks = [
                block
                for start, end in files.data_extents(file.fileno())
                for block in range(start // block_bytes, end // block_bytes)
            ]

    def pick(self) -> int:
        return self._dice.choice(self._blocks)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)
