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

"""qcow2 images as volumes that are read and written.

The bytes come from a server of QEMU that has the image open, over one
connection for each thread that is at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import os
import threading

from backupkit.copy import direct
from backupkit.copy import interface
from backupkit.copy.nbd import client
from backupkit.copy.qcow2 import mapping
from backupkit.copy.qcow2 import places
from backupkit.copy.qcow2 import server as server_
from backupkit import errors
from backupkit import model


class _Image:
    """A server, and its connections that nobody uses right now."""

    def __init__(
        self, path: str, links: Sequence[model.Link], *, writable: bool
    ) -> None:
        self.path = path
        self._server = server_.Server(path, links, writable=writable)
        self._idle: list[client.Connection] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def _connection(self, what: str) -> Iterator[client.Connection]:
        """Yield a connection for one call.

        :param what: is done with it, for the error
        """
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._server.connect()
        try:
            yield connection
        except client.Failure as exc:
            raise self._server.failed(what, exc) from exc
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """End the server; twice is fine."""
        self._server.close()


class Qcow2Reader(_Image, interface.Reader):
    """Reads a qcow2 image, and what backs it.

    :param size_bytes: of the volume; another size of the image is an error
    :param extents: what is known of its bytes, used once; None to ask what
        the image has allocated
    :raises errors.SourceError: the chain is not as recorded
    """

    def __init__(
        self,
        path: str,
        size_bytes: int,
        extents: Iterable[model.Extent] | None = None,
        *,
        links: Sequence[model.Link] = (),
    ) -> None:
        super().__init__(path, links, writable=False)
        self.size_bytes = size_bytes
        self._extents = extents
        told = self._server.size_bytes
        if told != size_bytes:
            super().close()
            raise errors.VolumeChanged(
                f'{path} has a virtual size of {told} bytes, and '
                f'{size_bytes} are recorded'
            )

        server = self._server
        self._places = places.Places(server.files, server.links)
        self._direct = places.DirectFiles(server.files, os.O_RDONLY)

    def close(self) -> None:
        self._direct.close()
        super().close()

    def extents(self) -> Iterator[model.Extent]:
        if self._extents is not None:
            return iter(self._extents)
        return mapping.allocated(self._server)

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        memory = direct.Memory(buffers)
        length = sum(map(len, buffers))
        for place in self._places.find(offset, length):
            blocks = memory.take(place.length)
            if not self._direct.read_into(place, blocks):
                with self._connection('read') as connection:
                    connection.read_into(offset, blocks)
            offset += place.length


class Qcow2Writer(_Image, interface.Writer):
    """Writes a qcow2 image.

    :param reads_zero: the volume reads as zeros where nothing was written
    :raises errors.SourceError: the chain is not as recorded, or the image
        is in use
    """

    def __init__(
        self,
        path: str,
        size_bytes: int,
        *,
        reads_zero: bool,
        links: Sequence[model.Link] = (),
    ) -> None:
        super().__init__(path, links, writable=True)
        self._size = min(size_bytes, self._server.size_bytes)
        self._reads_zero = reads_zero
        self._finished = False

    def write(self, offset: int, buffers: Sequence[interface.Block]) -> None:
        self._check_range(offset, sum(map(len, buffers)))
        with self._connection('write') as connection:
            connection.write(offset, buffers)

    def zero(self, offset: int, length: int) -> None:
        self._check_range(offset, length)
        if self._reads_zero:
            return
        with self._connection('write') as connection:
            connection.zero(offset, length)

    def _check_range(self, offset: int, length: int) -> None:
        if offset + length > self._size:
            raise errors.DestinationTooSmall(
                f'{self.path} has {self._size} bytes, and {offset + length} '
                'are needed'
            )

    def flush(self) -> bool:
        with self._connection('flush') as connection:
            connection.flush()
        return True

    def finish(self) -> None:
        """Make everything durable, the image's own tables included.

        Again is fine; nothing can be written any more.
        """
        if self._finished:
            return
        self.flush()
        self._server.finish()
        self._finished = True
