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

"""How far the copy of a backup has come: what was read of the volume.

A journal part tells, for ranges of a volume that was read, the references
of their chunks. It is put while the copy goes on, in no order with the
packs: whether a chunk is stored, the packs themselves tell. So a part may
come late, or be lost, and costs no more than reading once more. The body of
the frame::

    owner 16 | attempt 4 | part number u32 | chunk length u32 | runs u32
    volume size u64
    runs: first chunk u64 | chunks u32 | references 37 each

Parts go when the backup is there, or its run has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import logging
import struct
import threading
import uuid

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.repository import fetch
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.repository import repository as repository_
from backupkit.repository import tree

LOG = logging.getLogger(__name__)

_HEADER = struct.Struct('<16s4sIIIQ')
_RUN = struct.Struct('<QI')

#: Parts of one journal, about, where that is more than a pack each.
_PARTS = 200

#: First chunk and references of a range that was read.
Run = tuple[int, bytes]


class Journal:
    """The journal of one attempt, put part by part.

    May be used by several threads. It never fails: what cannot be put will
    be read again, should it come to that.

    :param pack_bytes: plain bytes that come with each pack, at the least
    """

    def __init__(
        self,
        repository: repository_.Repository,
        owner: str,
        attempt: str,
        geometry: tree.Geometry,
        *,
        pack_bytes: int,
    ) -> None:
        self._repository = repository
        self._owner = owner
        self._attempt = attempt
        self._geometry = geometry
        self._least = geometry.chunks // _PARTS
        # Where nothing is new no pack tells that it is time for a part.
        self._most = max(
            2 * pack_bytes // geometry.chunk_bytes, 2 * self._least, 1
        )
        self._lock = threading.Lock()
        #: First chunk and references, by the chunk that comes next.
        self._runs: dict[int, tuple[int, bytearray]] = {}
        self._chunks = 0
        self._number = 0
        self._failed = False

    def note(self, chunk: int, ref: bytes) -> None:
        """Take the reference of a chunk that was read."""
        with self._lock:
            first, refs = self._runs.pop(chunk, (chunk, bytearray()))
            refs += ref
            self._runs[chunk + 1] = first, refs
            self._chunks += 1
        self._keep(self._most)

    def keep(self) -> None:
        """Put what was read so far: called by whoever has put a pack.

        So what is read again is what was in memory, however slow the
        target is, and whichever thread comes first.
        """
        self._keep(self._least)

    def _keep(self, least: int) -> None:
        with self._lock:
            if self._failed or self._chunks < max(1, least):
                return
            runs = [
                (first, bytes(refs)) for first, refs in self._runs.values()
            ]
            self._runs, self._chunks = {}, 0
            part = layout.JournalId(self._owner, self._attempt, self._number)
            self._number += 1
        self._put(part, runs)

    def _put(self, part: layout.JournalId, runs: list[Run]) -> None:
        data = encode(
            part, self._geometry, runs, self._repository.settings.digest
        )
        try:
            self._repository.store.put(part.name, [data])
        except errors.BackupkitError as exc:
            LOG.warning('the journal ends here: %s', exc)
            self._failed = True


def encode(
    part: layout.JournalId,
    geometry: tree.Geometry,
    runs: Iterable[Run],
    digest_name: str,
) -> bytes:
    """Return a framed part of a journal."""
    body = [
        _RUN.pack(chunk, len(refs) // tree.REF.size) + refs
        for chunk, refs in runs
    ]
    head = _HEADER.pack(
        uuid.UUID(part.owner).bytes,
        bytes.fromhex(part.attempt),
        part.number,
        geometry.chunk_bytes,
        len(body),
        geometry.size_bytes,
    )
    return frame.seal(frame.JOURNAL, head + b''.join(body), digest_name)


def decode(
    data: bytes, part: layout.JournalId, geometry: tree.Geometry
) -> Iterator[Run]:
    """Yield the ranges of a part.

    :raises errors.FormatError: it is damaged, or of another volume
    """
    what = f'journal {part.name}'
    body = frame.unseal(frame.JOURNAL, data, what)
    if len(body) < _HEADER.size:
        raise errors.FormatError(f'{what} is cut short')
    owner, attempt, number, chunk_bytes, runs, size = _HEADER.unpack_from(body)
    found = layout.JournalId(
        str(uuid.UUID(bytes=owner)), attempt.hex(), number
    )
    if found != part or tree.Geometry(size, chunk_bytes) != geometry:
        raise errors.FormatError(f'{what} is that of another copy')
    at = _HEADER.size
    for _ in range(runs):
        if at + _RUN.size > len(body):
            raise errors.FormatError(f'{what} is cut short')
        chunk, count = _RUN.unpack_from(body, at)
        at += _RUN.size
        refs = body[at : at + count * tree.REF.size]
        if len(refs) < count * tree.REF.size or (
            chunk + count > geometry.chunks
        ):
            raise errors.FormatError(f'{what} leaves its volume')
        _check_refs(refs, chunk, geometry, what)
        yield chunk, refs
        at += len(refs)


def _check_refs(
    refs: bytes, chunk: int, geometry: tree.Geometry, what: str
) -> None:
    for at, (kind, plain, _) in enumerate(tree.REF.iter_unpack(refs)):
        known = kind == tree.ZERO or (
            kind == tree.STORED and plain == geometry.chunk_length(chunk + at)
        )
        if not known:
            raise errors.FormatError(f'{what} has a wrong reference')


def read(
    repository: repository_.Repository, owner: str, geometry: tree.Geometry
) -> Iterator[Run]:
    """Yield what all earlier attempts have read, as far as that is known."""
    for part in sorted(_parts(repository.store, owner)):
        try:
            data = fetch.whole(repository.store, part.name)
            yield from decode(data, part, geometry)
        except (errors.ObjectNotFound, errors.IntegrityError) as exc:
            LOG.warning('a part of the journal is not used: %s', exc)


def _parts(store: store_.Store, owner: str) -> Iterator[layout.JournalId]:
    for stat in store.list(layout.journal(owner)):
        part = layout.parse(stat.name)
        if isinstance(part, layout.JournalId):
            yield part
