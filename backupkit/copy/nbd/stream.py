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

"""The bytes between an NBD client and its server, over a Unix socket."""

from __future__ import annotations

from collections.abc import Sequence
import socket

Block = bytearray | memoryview

_IOV_LIMIT = 1024


class Failure(Exception):
    """The server refused, or is not there any more."""


class Stream:
    """A connected socket that moves whole messages.

    What is moved goes straight between the socket and the caller's memory,
    without the interpreter's lock.

    :param address: of the socket, in the file system
    :raises Failure: nobody listens there
    """

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.broken = False
        try:
            self._socket.connect(address)
        except OSError as exc:
            self._socket.close()
            raise Failure(f'no NBD server: {exc.strerror}') from exc

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._socket.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed here."""
        return self._socket.fileno() < 0

    def receive(self, blocks: Sequence[Block], length: int) -> None:
        """Fill the blocks, which have so many bytes in all."""
        views = [memoryview(block) for block in blocks]
        while length:
            try:
                count = self._socket.recvmsg_into(
                    views[:_IOV_LIMIT], 0, socket.MSG_WAITALL
                )[0]
            except OSError as exc:
                raise self.fail(f'is lost: {exc.strerror}') from exc
            if not count:
                raise self.fail('is gone')
            length -= count
            if length:
                views = _rest(views, count)

    def exactly(self, length: int) -> bytes:
        """Return the next so many bytes."""
        content = bytearray(length)
        if length:
            self.receive([content], length)
        return bytes(content)

    def send(self, blocks: Sequence[bytes | Block]) -> None:
        """Send the blocks, all of them."""
        views = [memoryview(block) for block in blocks]
        length = sum(len(view) for view in views)
        while length:
            try:
                count = self._socket.sendmsg(views[:_IOV_LIMIT])
            except OSError as exc:
                raise self.fail(f'is lost: {exc.strerror}') from exc
            length -= count
            if length:
                views = _rest(views, count)

    def fail(self, problem: str) -> Failure:
        """Return the error after which the connection is of no use."""
        self.broken = True
        return Failure(f'the NBD server {problem}')


def _rest(views: list[memoryview], count: int) -> list[memoryview]:
    """Return what is left of memory after ``count`` bytes."""
    left = []
    for view in views:
        if count >= len(view):
            count -= len(view)
        else:
            left.append(view[count:] if count else view)
            count = 0
    return left
