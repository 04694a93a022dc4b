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

"""How an NBD client and its server come to terms.

Source: doc/proto.md of the NBD project, "Fixed newstyle negotiation".
"""

from __future__ import annotations

from collections.abc import Sequence
import struct

from backupkit.copy.nbd import stream as stream_

_GREETING = struct.Struct('>8s8sH')
_OPTION = struct.Struct('>8sII')
_OPTION_REPLY = struct.Struct('>QIII')

_OPTION_MAGIC = b'IHAVEOPT'
_REPLY_MAGIC = 0x3E889045565A9

_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_GO, _STRUCTURED, _SET_META = 7, 8, 10
_ACK, _INFO, _META = 1, 3, 4
_INFO_EXPORT = (0).to_bytes(2, 'big')

#: Longest answer, and text of an error, that is taken.
_ANSWER_LIMIT = 1 << 20
_TEXT_LIMIT = 4096


class Handshake:
    """The beginning of one connection.

    :ivar contexts: the meta contexts that were chosen, by their numbers
    :raises stream_.Failure: the server will not serve
    """

    def __init__(
        self, stream: stream_.Stream, contexts: Sequence[str]
    ) -> None:
        self._stream = stream
        self.contexts: dict[int, str] = {}
        self.size_bytes = 0
        self._greet()
        if contexts:
            self._choose(contexts)
        self._go()

    def _greet(self) -> None:
        magic, style, flags = _GREETING.unpack(
            self._stream.exactly(_GREETING.size)
        )
        if (magic, style) != (b'NBDMAGIC', _OPTION_MAGIC):
            raise self._stream.fail('greets in a way that is not known')
        if not flags & _FIXED_NEWSTYLE:
            raise self._stream.fail('is too old')
        ours = flags & (_FIXED_NEWSTYLE | _NO_ZEROES)
        self._stream.send([ours.to_bytes(4, 'big')])

    def _choose(self, contexts: Sequence[str]) -> None:
        """Ask for structured replies and for meta contexts."""
        self._option(_STRUCTURED, b'')
        if self._answer(_STRUCTURED)[0] != _ACK:
            raise self._stream.fail('has no structured replies')
        content = bytes(4) + len(contexts).to_bytes(4, 'big')
        for name in contexts:
            content += len(name).to_bytes(4, 'big') + name.encode()
        self._option(_SET_META, content)
        while True:
            kind, told = self._answer(_SET_META)
            if kind == _ACK:
                break
            if kind != _META or len(told) < 4:
                raise self._stream.fail('refuses the meta contexts')
            number = int.from_bytes(told[:4], 'big')
            self.contexts[number] = told[4:].decode(errors='replace')
        if set(self.contexts.values()) != set(contexts):
            raise self._stream.fail(
                f'does not know all of {", ".join(contexts)}'
            )

    def _go(self) -> None:
        """Ask for the export of no name."""
        self._option(_GO, bytes(6))
        while True:
            kind, told = self._answer(_GO)
            if kind == _ACK:
                return
            if kind != _INFO:
                text = told[:_TEXT_LIMIT].decode(errors='replace')
                raise self._stream.fail(f'refuses: {text}')
            if told[:2] == _INFO_EXPORT:
                self.size_bytes = int.from_bytes(told[2:10], 'big')

    def _option(self, option: int, content: bytes) -> None:
        head = _OPTION.pack(_OPTION_MAGIC, option, len(content))
        self._stream.send([head, content] if content else [head])

    def _answer(self, option: int) -> tuple[int, bytes]:
        magic, answered, kind, length = _OPTION_REPLY.unpack(
            self._stream.exactly(_OPTION_REPLY.size)
        )
        if magic != _REPLY_MAGIC or answered != option:
            raise self._stream.fail('makes no sense')
        if length > _ANSWER_LIMIT:
            raise self._stream.fail(f'answers an option with {length} bytes')
        return kind, self._stream.exactly(length)
