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

"""Fills packs and puts them while the next ones are being filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent import futures
import queue
import threading

from backupkit import errors
from backupkit.repository import codec as codec_
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import pack as pack_
from backupkit.repository import repository as repository_
from backupkit.repository import tree

#: Told of a durable pack: its size, and the records of its chunks.
Entered = Callable[[layout.PackId, int, list[index.Record]], None]


class Packer:
    """Takes encoded chunks and puts them as packs and index parts.

    May be used by several threads. Memory is bounded by the number of
    buffers: who comes when all are being put waits.

    :param stored: called with the bytes of each object that was put
    :param buffers: packs in memory at the most, at least 3
    :param entered: called with each pack that is durable, its size, and
        where its chunks are; by one thread at a time
    """

    def __init__(
        self,
        repository: repository_.Repository,
        owner: str,
        *,
        buffers: int,
        stored: Callable[[int], None],
        entered: Entered | None = None,
    ) -> None:
        self._repository = repository
        self._owner = owner
        self._stored = stored
        self._entered = entered
        # Whatever the size of packs is, one chunk or node goes in.
        self._pack_bytes = max(
            repository.settings.pack_bytes,
            len(pack_.MAGIC) + repository.settings.chunk_bytes,
            len(pack_.MAGIC) + tree.NODE_BYTES,
        )
        self.attempt = repository_.new_attempt()
        self._lock = threading.Lock()
        self._enter_lock = threading.Lock()
        # The last to come is the first to go: memory is taken anew only
        # where all that was taken is in use.
        self._free: queue.LifoQueue[pack_.PackBuffer | None] = (
            queue.LifoQueue()
        )
        for _ in range(buffers):
            self._free.put(None)
        self._open: dict[bool, pack_.PackBuffer] = {}
        self._putting: list[futures.Future[None]] = []
        # Two are being filled, one of chunks and one of nodes.
        self._pool = futures.ThreadPoolExecutor(max(2, buffers - 2), 'put')
        self._number = 0
        self._part = 0
        self._records: list[index.Record] = []
        self._sizes: dict[layout.PackId, int] = {}
        self._failed = threading.Event()
        #: Called when a pack is durable, by whoever has put it.
        self.kept: Callable[[], None] | None = None
        self.packs: set[layout.PackId] = set()
        self.stored_bytes = 0

    @property
    def parts(self) -> int:
        """Index parts put so far."""
        return self._part

    def append(
        self,
        key: bytes,
        plain: int,
        codec: int,
        stored: codec_.Buffer,
        *,
        node: bool = False,
    ) -> None:
        """Take one encoded chunk; nodes of the map go to their own packs.

        :raises errors.TargetError: an earlier put failed
        """
        check = (
            key if codec == codec_.NONE else self._repository.digest(stored)
        )[:8]
        with self._lock:
            buffer = self._open.get(node)
            if buffer and not buffer.fits(len(stored)):
                self._send(self._open.pop(node))
                buffer = None
            if buffer is None:
                buffer = self._open[node] = self._take()
            buffer.append(key, plain, codec, stored, check)

    def _take(self) -> pack_.PackBuffer:
        self._raise_failed()
        buffer = self._free.get()
        self._raise_failed()
        return buffer or pack_.PackBuffer(self._pack_bytes)

    def _raise_failed(self) -> None:
        if not self._failed.is_set():
            return
        for future in self._putting:
            if future.done() and (error := future.exception()):
                raise error
        raise errors.TargetError('a put failed')

    def _send(self, buffer: pack_.PackBuffer) -> None:
        pack = layout.PackId(self._owner, self.attempt, self._number)
        if self._number >= layout.NUMBER_LIMIT:
            raise errors.TargetError('a backup has too many packs')
        self._number += 1
        # Those that failed stay: they are how the failure is told.
        self._putting = [
            one for one in self._putting if not one.done() or one.exception()
        ]
        self._putting.append(self._pool.submit(self._put, pack, buffer))

    def _put(self, pack: layout.PackId, buffer: pack_.PackBuffer) -> None:
        try:
            parts = buffer.seal(pack, self._repository.settings.digest)
            size = sum(len(part) for part in parts)
            self._repository.store.put(pack.name, parts)
            self._enter(pack, size, buffer)
            buffer.clear()
        except BaseException:
            self._failed.set()
            raise
        finally:
            self._free.put(buffer)
        if self.kept:
            self.kept()

    def _enter(
        self, pack: layout.PackId, size: int, buffer: pack_.PackBuffer
    ) -> None:
        """Record a pack that is durable now."""
        records = [
            (key, index.Place(pack, offset, stored, plain, codec))
            for key, offset, stored, plain, codec in buffer.records
        ]
        with self._enter_lock:
            self.packs.add(pack)
            self._sizes[pack] = size
            self._records += records
            self.stored_bytes += size
            if self._entered:
                self._entered(pack, size, records)
            if len(self._records) >= index.PART_RECORDS:
                self._put_part()
        self._stored(size)

    def adopt_indexed(self, packs: Mapping[layout.PackId, int]) -> None:
        """Take packs of an earlier attempt that has put their index."""
        with self._enter_lock:
            self.packs.update(packs)
            self.stored_bytes += sum(packs.values())

    def adopt(
        self, pack: layout.PackId, size: int, records: list[index.Record]
    ) -> None:
        """Take a pack that an earlier attempt has put into the index.

        To be called when all chunks are appended; :meth:`finish` again puts
        what is left of the index.
        """
        with self._enter_lock:
            self.packs.add(pack)
            self._sizes[pack] = size
            self._records += records
            self.stored_bytes += size
            if len(self._records) >= index.PART_RECORDS:
                self._put_part()

    def _put_part(self) -> None:
        part = layout.PartId(self._owner, self.attempt, self._part)
        data = index.encode(
            self._records,
            self._sizes,
            self._repository.settings.digest,
            part,
        )
        self._repository.store.put(part.name, [data])
        self._part += 1
        self.stored_bytes += len(data)
        self._records = []
        self._sizes = {}

    def finish(self) -> None:
        """Put what is left; on return all packs and parts are durable.

        :raises errors.TargetError: a put failed
        """
        with self._lock:
            for node in list(self._open):
                self._send(self._open.pop(node))
        for future in self._putting:
            future.result()
        self._raise_failed()
        with self._enter_lock:
            if self._records:
                self._put_part()

    def close(self) -> None:
        """Wait for puts under way and let go of the memory."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._open.clear()
