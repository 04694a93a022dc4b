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

"""Where index segments lie on this host: on disk or in memory.

A directory holds segments (see :mod:`backupkit.repository.index`) and one
list of them, ``segments.json``, replaced atomically under a lock, so that
processes share it. Small segments are merged, so that a search looks at
few of them. A segment whose checksum does not match is dropped: a cache
can cost time, never data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import fcntl
import heapq
import json
import logging
import mmap
import os
import pathlib
import secrets

from backupkit import errors
from backupkit.repository import digest
from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import layout

LOG = logging.getLogger(__name__)

#: Segments of one magnitude that are merged into one.
_MERGE_AT = 8
_LIST = 'segments.json'
_READ_BYTES = 1 << 20


class DiskShelf:
    """Segments in a directory that processes may share.

    :param path: the directory, made where it is missing
    """

    def __init__(self, path: pathlib.Path, digest_name: str) -> None:
        for made in (path.parent, path):
            if not made.is_dir():
                made.mkdir(parents=True, exist_ok=True)
                made.chmod(0o770)
        self._path = path
        self._digest = digest_name
        self._maps: list[mmap.mmap] = []
        self._pending: dict[str, list[str]] = {}
        self.segments: list[index.Segment] = []
        self.owners: set[str] = set()
        self._load()

    def close(self) -> None:
        """Let go of the mapped files."""
        self.segments = []
        while self._maps:
            self._maps.pop().close()

    def add(self, owner: str, segments: Iterable[bytes]) -> None:
        """Take the whole index of one owner; :meth:`save` makes it last."""
        for data in segments:
            name = self._write([data])
            self._pending[name] = [owner]
            self.segments.append(self._open(name))
        self.owners.add(owner)

    def save(self) -> None:
        """Add what is new to the list, merging where it pays."""
        if not self._pending:
            return
        with self._locked():
            listed = self._listed()
            known = {one for owners in listed.values() for one in owners}
            for name, owners in self._pending.items():
                if known.isdisjoint(owners):
                    listed[name] = owners
            dropped = self._merge(listed)
            self._replace_list(listed)
            for name in {*dropped, *self._pending} - listed.keys():
                (self._path / name).unlink(missing_ok=True)
        self._pending = {}
        self._load()

    def _listed(self) -> dict[str, list[str]]:
        """Return the list; empty where it is missing or damaged."""
        try:
            listed = json.loads((self._path / _LIST).read_bytes())
            return {
                str(name): [str(owner) for owner in owners]
                for name, owners in listed.items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError) as exc:
            LOG.warning('the index cache %s is dropped: %s', self._path, exc)
            return {}

    def _replace_list(self, listed: dict[str, list[str]]) -> None:
        temporary = self._path / f'.{secrets.token_hex(4)}'
        temporary.write_text(json.dumps(listed))
        temporary.chmod(0o660)
        temporary.replace(self._path / _LIST)

    def _load(self) -> None:
        """Open all segments of the list.

        Another process may merge them meanwhile: then the list has changed
        and is read again.
        """
        for _ in range(10):
            listed = self._listed()
            try:
                self._open_all(listed)
            except FileNotFoundError:
                continue
            return
        self.close()
        self.owners = set()

    def _open_all(self, listed: dict[str, list[str]]) -> None:
        self.close()
        self.owners = set()
        for name, owners in listed.items():
            try:
                self.segments.append(self._open(name))
            except (errors.FormatError, ValueError) as exc:
                LOG.warning('a segment of the index cache: %s', exc)
                self._drop(name)
                continue
            self.owners.update(owners)
        self.segments.sort(key=lambda one: -one.count)

    def _drop(self, name: str) -> None:
        """Take a damaged segment off the list."""
        with self._locked():
            listed = self._listed()
            if listed.pop(name, None) is not None:
                self._replace_list(listed)
            (self._path / name).unlink(missing_ok=True)

    def _open(self, name: str) -> index.Segment:
        path = self._path / name
        with path.open('rb') as file:
            _check_file(file.fileno(), name)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps.append(mapped)
        return index.Segment(mapped)

    def _write(self, parts: Iterable[bytes]) -> str:
        name = f'{secrets.token_hex(8)}.idx'
        with (self._path / name).open('xb') as file:
            os.fchmod(file.fileno(), 0o660)
            for part in parts:
                file.write(part)
        return name

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path / 'lock').open('ab') as file:
            with contextlib.suppress(PermissionError):
                os.fchmod(file.fileno(), 0o660)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _merge(self, listed: dict[str, list[str]]) -> list[str]:
        """Replace segments of one magnitude by one, where there are many."""
        tiers: dict[int, list[str]] = {}
        for name in listed:
            with contextlib.suppress(FileNotFoundError):
                size = (self._path / name).stat().st_size
                tiers.setdefault(size.bit_length() // 3, []).append(name)
        dropped: list[str] = []
        for names in tiers.values():
            if len(names) >= _MERGE_AT:
                dropped += self._merge_tier(listed, names)
        return dropped

    def _merge_tier(
        self, listed: dict[str, list[str]], names: list[str]
    ) -> list[str]:
        segments = []
        for name in names:
            try:
                segments.append(self._open(name))
            except (errors.FormatError, ValueError, OSError) as exc:
                LOG.warning('a segment of the index cache: %s', exc)
                return []
        sizes: dict[layout.PackId, int] = {}
        for segment in segments:
            sizes.update(segment.packs)
        order = {pack: at for at, pack in enumerate(sizes)}
        streams = [_renumbered(segment, order) for segment in segments]
        count = sum(segment.count for segment in segments)
        merged = self._write(
            index.stream(heapq.merge(*streams), count, sizes, self._digest)
        )
        owners = {owner for name in names for owner in listed.pop(name)}
        listed[merged] = sorted(owners)
        return names


class MemoryShelf:
    """Segments in the memory of this process."""

    def __init__(self) -> None:
        self.segments: list[index.Segment] = []
        self.owners: set[str] = set()

    def add(self, owner: str, segments: Iterable[bytes]) -> None:
        """Take the whole index of one owner."""
        self.segments += map(index.Segment, segments)
        self.owners.add(owner)

    def save(self) -> None:
        """Do nothing: it does not last."""

    def close(self) -> None:
        """Let go of all."""
        self.segments = []


def _renumbered(
    segment: index.Segment, order: dict[layout.PackId, int]
) -> Iterator[bytes]:
    numbers = [order[pack].to_bytes(4, 'little') for pack in segment.packs]
    for record in segment.packed():
        number = int.from_bytes(record[32:36], 'little')
        yield record[:32] + numbers[number] + record[36:]


def _check_file(descriptor: int, name: str) -> None:
    """Check the frame of a file without holding it in memory.

    :raises errors.FormatError: it is damaged
    """
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, frame.HEADER.size, 0)
    if size < frame.OVERHEAD or len(head) < frame.HEADER.size:
        raise errors.FormatError(f'{name} is cut short')
    magic, number, _, length = frame.HEADER.unpack(head)
    if magic != frame.INDEX or length != size - frame.OVERHEAD:
        raise errors.FormatError(f'{name} is no segment')
    running = digest.running(number)
    end = size - digest.SIZE
    for offset in range(0, end, _READ_BYTES):
        running.update(
            os.pread(descriptor, min(_READ_BYTES, end - offset), offset)
        )
    if running.digest() != os.pread(descriptor, digest.SIZE, end):
        raise errors.FormatError(f'the checksum of {name} does not match')
