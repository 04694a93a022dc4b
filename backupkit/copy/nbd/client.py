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

"""A client of NBD servers on a Unix socket.

Source: doc/proto.md of the NBD project. Several requests of one call are
under way at once; what they move goes straight between the socket and the
caller's memory, without the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import os
import struct

from backupkit.copy.nbd import handshake
from backupkit.copy.nbd import stream as stream_

Block = stream_.Block
Failure = stream_.Failure

#: Bytes of one request of data: several are under way at once.
REQUEST_BYTES = 1 << 20
#: Bytes of one request for zeros: a multiple of any cluster.
RANGE_BYTES = 1 << 30

_REQUEST = struct.Struct('>IHHQQI')
_SIMPLE = struct.Struct('>IIQ')
_CHUNK = struct.Struct('>IHHQI')
_EXTENT = struct.Struct('>II')

_REQUEST_MAGIC = 0x25609513
_SIMPLE_MAGIC = 0x67446698
_CHUNK_MAGIC = 0x668E33EF

_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_WRITE_ZEROES, _BLOCK_STATUS = 6, 7
_CHUNK_DONE = 1
_CHUNK_STATUS = 5
_CHUNK_ERROR = 1 << 15

#: Longest answer of block status that is taken.
_STATUS_LIMIT = 16 << 20

#: The meta context that tells holes and zeros, and its flags.
ALLOCATION = 'base:allocation'
HOLE, ZERO = 1, 2


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """What a server tells of a range in one meta context."""

    length: int
    flags: int


class Connection:
    """One connection to the only export of a server; for one thread.

    :param address: of the socket, in the file system
    :param contexts: meta contexts that :meth:`status` is to tell of
    :raises Failure: the server is not there, or will not serve it
    """

    def __init__(self, address: str, contexts: Sequence[str] = ()) -> None:
        self._stream = stream_.Stream(address)
        self._cookie = 0
        try:
            agreed = handshake.Handshake(self._stream, contexts)
        except BaseException:
            self._stream.close()
            raise
        self._contexts = agreed.contexts
        self.size_bytes = agreed.size_bytes

    def close(self) -> None:
        """Say good-bye and close; twice is fine."""
        if self._stream.closed:
            return
        try:
            if not self._stream.broken:
                self._stream.send([_request(_DISCONNECT, 0, 0, 0)])
        except Failure:
            # It is gone already.
            pass
        finally:
            self._stream.close()

    def read_into(self, offset: int, blocks: Sequence[Block]) -> None:
        """Fill the blocks, one behind the other, from ``offset`` on.

        :raises Failure: not all of it could be read
        """
        pieces = list(_pieces(offset, blocks))
        self._submit(_READ, pieces)
        self._collect(dict(enumerate(pieces, self._cookie)), reading=True)
        self._cookie += len(pieces)

    def write(self, offset: int, blocks: Sequence[Block]) -> None:
        """Write the blocks at ``offset``.

        :raises Failure: not all of it could be written
        """
        pieces = list(_pieces(offset, blocks))
        for number, piece in enumerate(pieces, self._cookie):
            head = _request(_WRITE, number, piece.offset, piece.length)
            self._stream.send([head, *piece.blocks])
        self._collect(dict(enumerate(pieces, self._cookie)))
        self._cookie += len(pieces)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros.

        :raises Failure: the server could not
        """
        end = offset + length
        pieces = [
            _Piece(at, min(RANGE_BYTES, end - at), [])
            for at in range(offset, end, RANGE_BYTES)
        ]
        self._submit(_WRITE_ZEROES, pieces)
        self._collect(dict(enumerate(pieces, self._cookie)))
        self._cookie += len(pieces)

    def flush(self) -> None:
        """Make durable what was written.

        :raises Failure: the server could not
        """
        nothing = [_Piece(0, 0, [])]
        self._submit(_FLUSH, nothing)
        self._collect({self._cookie: nothing[0]})
        self._cookie += 1

    def status(self, offset: int, length: int) -> dict[str, list[Status]]:
        """Return what is known of a range, by meta context.

        The extents of each context begin at ``offset``; they may end before
        or behind the range, and each at another place.

        :raises Failure: the server could not, or makes no sense
        """
        self._stream.send(
            [_request(_BLOCK_STATUS, self._cookie, offset, length)]
        )
        found: dict[str, list[Status]] = {}
        while not self._status_chunk(found):
            pass
        self._cookie += 1
        if set(found) != set(self._contexts.values()):
            raise self._stream.fail('told no status')
        return found

    def _status_chunk(self, found: dict[str, list[Status]]) -> bool:
        """Take one chunk of an answer; True for the last one."""
        magic, flags, kind, cookie, length = _CHUNK.unpack(
            self._stream.exactly(_CHUNK.size)
        )
        if magic != _CHUNK_MAGIC or cookie != self._cookie:
            raise self._stream.fail('makes no sense')
        if length > _STATUS_LIMIT:
            raise self._stream.fail(f'told {length} bytes of status')
        content = self._stream.exactly(length)
        if kind & _CHUNK_ERROR:
            number = int.from_bytes(content[:4], 'big')
            raise self._stream.fail(f'told no status: {os.strerror(number)}')
        if kind == _CHUNK_STATUS and length % 8 == 4 and length > 4:
            context = self._contexts.get(int.from_bytes(content[:4], 'big'))
            if context is None or context in found:
                raise self._stream.fail('told a status that was not asked for')
            found[context] = [
                Status(*told) for told in _EXTENT.iter_unpack(content[4:])
            ]
        elif kind or length:
            raise self._stream.fail(f'answered with an odd chunk {kind}')
        return bool(flags & _CHUNK_DONE)

    def _submit(self, command: int, pieces: Sequence[_Piece]) -> None:
        self._stream.send(
            [
                b''.join(
                    _request(command, number, piece.offset, piece.length)
                    for number, piece in enumerate(pieces, self._cookie)
                )
            ]
        )

    def _collect(
        self, pieces: dict[int, _Piece], *, reading: bool = False
    ) -> None:
        """Take the answers to requests, in any order."""
        failed = ''
        while pieces:
            magic, error, cookie = _SIMPLE.unpack(
                self._stream.exactly(_SIMPLE.size)
            )
            piece = pieces.pop(cookie, None)
            if magic != _SIMPLE_MAGIC or piece is None:
                raise self._stream.fail('makes no sense')
            if error:
                # Other answers are still on their way.
                failed = f'offset {piece.offset}: {os.strerror(error)}'
            elif reading:
                self._stream.receive(piece.blocks, piece.length)
        if failed:
            raise Failure(failed)


@dataclasses.dataclass(frozen=True, slots=True)
class _Piece:
    """The part of a call that one request moves."""

    offset: int
    length: int
    blocks: list[memoryview]


def _request(command: int, cookie: int, offset: int, length: int) -> bytes:
    return _REQUEST.pack(_REQUEST_MAGIC, 0, command, cookie, offset, length)


def _pieces(offset: int, blocks: Sequence[Block]) -> Iterator[_Piece]:
    """Cut blocks into the memory of requests."""
    taken: list[memoryview] = []
    length = 0
    for block in blocks:
        view = memoryview(block)
        while view:
            part = view[: REQUEST_BYTES - length]
            view = view[len(part) :]
            taken.append(part)
            length += len(part)
            if length == REQUEST_BYTES:
                yield _Piece(offset, length, taken)
                offset += length
                taken, length = [], 0
    if length:
        yield _Piece(offset, length, taken)
