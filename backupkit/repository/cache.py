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

"""The local cache of indexes: disposable, checked, shared by processes.

A directory for each repository holds segments (see
:mod:`backupkit.repository.index`) and one list of them, ``segments.json``,
replaced atomically under a lock. Small segments are merged, so that a
search looks at few of them. A segment whose checksum does not match is
dropped: a cache can cost time, never data.
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
import tempfile

from backupkit import errors
from backupkit.repository import digest
from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import manifest as manifest_
from backupkit.repository import repository as repository_

LOG = logging.getLogger(__name__)

#: Segments of one magnitude that are merged into one.
_MERGE_AT = 8
_LIST = 'segments.json'
_READ_BYTES = 1 << 20


class IndexCache:
    """Finds chunks in the indexes of many backups.

    :param directory: where the cache of this repository lies; None keeps
        it in a temporary directory until :meth:`close`
    """

    def __init__(
        self, repository: repository_.Repository, directory: str | None
    ) -> None:
        self._repository = repository
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix='backupkit-')
            directory = self._temporary.name
        self._path = pathlib.Path(directory, repository.repository_id)
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._segments: list[index.Segment] = []
        self._maps: list[mmap.mmap] = []
        self._owners: set[str] = set()
        self.damaged_parts: list[layout.PartId] = []
        self._load()

    def close(self) -> None:
        """Let go of files and of a temporary directory."""
        self._segments = []
        while self._maps:
            self._maps.pop().close()
        if self._temporary:
            self._temporary.cleanup()

    def lookup(self, key: bytes) -> Iterator[index.Place]:
        """Yield every known place of a digest."""
        for segment in self._segments:
            yield from segment.lookup(key)

    def size_of(self, pack: layout.PackId) -> int | None:
        """Return the size of a pack's object as indexed."""
        for segment in self._segments:
            if pack in segment.packs:
                return segment.packs[pack]
        return None

    def unique(self, packs: set[layout.PackId]) -> tuple[int, int]:
        """Count the chunks in these packs, each once, and their bytes."""
        streams = [
            (
                (key, place.plain)
                for key, place in segment.records()
                if place.pack in packs
            )
            for segment in self._segments
        ]
        count = total = 0
        last = b''
        for key, plain in heapq.merge(*streams):
            if key != last:
                count += 1
                total += plain
                last = key
        return count, total

    def ensure(self, manifest: manifest_.Manifest) -> None:
        """Make the indexes of all packs of a manifest searchable."""
        for owner in manifest.parts:
            if owner not in self._owners:
                packs = {one for one in manifest.packs if one.owner == owner}
                self._fetch(owner, manifest.part_ids(owner), packs)
        self._save()

    def ensure_backups(self, backup_ids: Iterable[str]) -> None:
        """Make what committed backups wrote searchable.

        A backup whose manifest is gone or damaged is passed over: what it
        wrote is then not reused through this call.
        """
        for backup_id in backup_ids:
            if backup_id in self._owners:
                continue
            try:
                manifest = self._repository.manifest(backup_id)
            except (errors.NotFound, errors.IntegrityError) as exc:
                LOG.debug('backup %s is not reused: %s', backup_id, exc)
                continue
            packs = {one for one in manifest.packs if one.owner == backup_id}
            self._fetch(backup_id, manifest.part_ids(backup_id), packs)
        self._save()

    def _fetch(
        self,
        owner: str,
        parts: list[layout.PartId],
        packs: set[layout.PackId],
    ) -> None:
        """Fetch an owner's index; from the packs where it is damaged."""
        found = []
        whole = True
        for part in parts:
            try:
                found.append(self._repository.part(part))
            except (errors.ObjectNotFound, errors.IntegrityError) as exc:
                LOG.warning('%s; reading the packs themselves', exc)
                self.damaged_parts.append(part)
                whole = False
        if whole:
            for data in found:
                self._attach(data, (owner,))
        else:
            self._segments.append(self._repository.tail_segment(packs))
        self._owners.add(owner)

    # The directory.

    def _load(self) -> None:
        for _ in range(5):
            try:
                text = (self._path / _LIST).read_bytes()
                listed = json.loads(text)
                self._pending: dict[str, list[str]] = {}
                self._files = {
                    str(name): [str(one) for one in owners]
                    for name, owners in listed.items()
                }
                self._open_all()
                return
            except FileNotFoundError as exc:
                if exc.filename and str(exc.filename).endswith(_LIST):
                    break
                # Another process merged the segments meanwhile.
                continue
            except (ValueError, AttributeError, TypeError) as exc:
                LOG.warning('the index cache is dropped: %s', exc)
                break
        self._files = {}
        self._pending = {}
        self._segments = []

    def _open_all(self) -> None:
        self._segments = []
        self._owners = set()
        for name, owners in list(self._files.items()):
            try:
                self._segments.append(self._open(name))
            except (errors.FormatError, ValueError) as exc:
                LOG.warning('a segment of the index cache: %s', exc)
                del self._files[name]
                continue
            self._owners.update(owners)
        self._segments.sort(key=lambda one: -one.count)

    def _open(self, name: str) -> index.Segment:
        path = self._path / name
        with path.open('rb') as file:
            _check_file(file.fileno(), name)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps.append(mapped)
        return index.Segment(mapped)

    def _attach(self, data: bytes, owners: Iterable[str]) -> None:
        """Write a segment into the directory and search it from now on."""
        name = self._write([data])
        self._pending[name] = sorted(owners)
        self._segments.append(self._open(name))

    def _write(self, parts: Iterable[bytes]) -> str:
        name = f'{secrets.token_hex(8)}.idx'
        with (self._path / name).open('xb') as file:
            for part in parts:
                file.write(part)
        return name

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path / 'lock').open('ab') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _save(self) -> None:
        """Add what is new to the list, merging where it pays."""
        if not self._pending:
            return
        with self._locked():
            try:
                listed = json.loads((self._path / _LIST).read_bytes())
            except (FileNotFoundError, ValueError):
                listed = {}
            known = {one for owners in listed.values() for one in owners}
            for name, owners in self._pending.items():
                if known.isdisjoint(owners):
                    listed[name] = owners
            dropped = self._merge(listed)
            temporary = self._path / f'.{secrets.token_hex(4)}'
            temporary.write_text(json.dumps(listed))
            temporary.replace(self._path / _LIST)
            for name in {*dropped, *self._pending} - listed.keys():
                with contextlib.suppress(FileNotFoundError):
                    (self._path / name).unlink()
        self._pending = {}
        self._load_again()

    def _load_again(self) -> None:
        """Search the merged segments; those made from tails stay."""
        tails = [one for one in self._segments if isinstance(one._data, bytes)]
        owners = set(self._owners)
        self._load()
        self._segments += tails
        self._owners |= owners

    def _merge(self, listed: dict[str, list[str]]) -> list[str]:
        """Replace segments of one magnitude by one, where there are many."""
        tiers: dict[int, list[str]] = {}
        for name in listed:
            try:
                size = (self._path / name).stat().st_size
            except FileNotFoundError:
                continue
            tiers.setdefault(size.bit_length() // 3, []).append(name)
        dropped: list[str] = []
        for names in tiers.values():
            if len(names) >= _MERGE_AT:
                owners = {one for name in names for one in listed.pop(name)}
                listed[self._merged(names)] = sorted(owners)
                dropped += names
        return dropped

    def _merged(self, names: list[str]) -> str:
        segments = []
        for name in names:
            try:
                segments.append(self._open(name))
            except (errors.FormatError, ValueError, OSError) as exc:
                LOG.warning('a segment of the index cache: %s', exc)
        sizes: dict[layout.PackId, int] = {}
        for segment in segments:
            sizes.update(segment.packs)
        order = {pack: at for at, pack in enumerate(sizes)}
        streams = [_renumbered(segment, order) for segment in segments]
        return self._write(
            index.stream(
                heapq.merge(*streams),
                sum(segment.count for segment in segments),
                sizes,
                self._repository.settings.digest,
            )
        )


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
