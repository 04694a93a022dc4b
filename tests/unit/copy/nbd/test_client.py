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

"""The NBD client, against servers that follow a script."""

from __future__ import annotations

from collections.abc import Callable
import pathlib
import socket
import struct
import tempfile
import threading
from typing import Any
import unittest

from backupkit.copy.nbd import client

Script = Callable[['Peer'], None]

ACK, META = 1, 4


class Peer:
    """The server's end of a connection."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def take(self, length: int) -> bytes:
        content = b''
        while len(content) < length:
            piece = self.socket.recv(length - len(content))
            if not piece:
                raise EOFError
            content += piece
        return content

    def greet(self) -> None:
        self.send(b'NBDMAGICIHAVEOPT' + struct.pack('>H', 3))
        self.take(4)

    def option(self) -> tuple[int, bytes]:
        _, number, length = struct.unpack('>8sII', self.take(16))
        return number, self.take(length)

    def answer(self, option: int, kind: int, content: bytes = b'') -> None:
        head = (0x3E889045565A9, option, kind, len(content))
        self.send(struct.pack('>QIII', *head) + content)

    def go(self, size_bytes: int = 1 << 20) -> None:
        number, _ = self.option()
        self.answer(number, 3, struct.pack('>HQH', 0, size_bytes, 0))
        self.answer(number, ACK)

    def agree(self) -> None:
        """Come to terms with a client that asks for no contexts."""
        self.greet()
        self.go()

    def agree_on(self, *contexts: bytes) -> None:
        """Come to terms with a client that asks for contexts."""
        self.greet()
        self.answer(self.option()[0], ACK)
        number, _ = self.option()
        for index, name in enumerate(contexts):
            told = (index + 1).to_bytes(4, 'big') + name
            self.answer(number, META, told)
        self.answer(number, ACK)
        self.go()

    def request(self) -> tuple[int, int, int, int]:
        """Return command, cookie, offset and length."""
        return struct.unpack('>6xHQQI', self.take(28))

    def reply(self, cookie: int, content: bytes = b'', error: int = 0) -> None:
        self.send(struct.pack('>IIQ', 0x67446698, error, cookie) + content)

    def chunk(
        self, cookie: int, kind: int, content: bytes, *, last: bool = False
    ) -> None:
        head = (0x668E33EF, int(last), kind, cookie, len(content))
        self.send(struct.pack('>IHHQI', *head) + content)


class ClientTestCase(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.address = str(pathlib.Path(made.name) / 's')
        self.heard: list[Any] = []

    def serve(self, script: Script) -> None:
        """Have one connection answered by a script."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.address)
        listener.listen()

        def run() -> None:
            connected, _ = listener.accept()
            with connected:
                try:
                    script(Peer(connected))
                except (EOFError, OSError) as exc:
                    self.heard.append(exc)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join)

    def connect(self, *contexts: str) -> client.Connection:
        connection = client.Connection(self.address, contexts)
        self.addCleanup(connection.close)
        return connection


class HandshakeTest(ClientTestCase):
    def test_when_nobody_listens_then_it_is_told(self) -> None:
        with self.assertRaisesRegex(client.Failure, 'no NBD server'):
            self.connect()

    def test_when_agreed_then_the_size_is_known(self) -> None:
        self.serve(Peer.agree)
        self.assertEqual(1 << 20, self.connect().size_bytes)

    def refuses(self, told: str, script: Script, *contexts: str) -> None:
        pathlib.Path(self.address).unlink(missing_ok=True)
        self.serve(script)
        with self.assertRaisesRegex(client.Failure, told):
            self.connect(*contexts)

    def test_when_the_server_is_no_good_then_it_is_refused(self) -> None:
        def old(peer: Peer) -> None:
            peer.send(b'NBDMAGICIHAVEOPT' + bytes(2))

        def nonsense(peer: Peer) -> None:
            peer.greet()
            peer.option()
            peer.send(bytes(20))

        def endless(peer: Peer) -> None:
            peer.greet()
            peer.option()
            peer.send(struct.pack('>QIII', 0x3E889045565A9, 7, 3, 0xFFFFFFFF))

        def unwilling(peer: Peer) -> None:
            peer.greet()
            number, _ = peer.option()
            peer.answer(number, 0x80000006, b'no such export')

        self.refuses('greets', lambda peer: peer.send(bytes(18)))
        self.refuses('too old', old)
        self.refuses('makes no sense', nonsense)
        self.refuses('answers an option with 4294967295', endless)
        self.refuses('no such export', unwilling)
        self.refuses('is gone', lambda _: None)

    def test_when_a_context_is_unknown_then_it_is_refused(self) -> None:
        def unable(peer: Peer) -> None:
            peer.greet()
            number, _ = peer.option()
            peer.answer(number, 0x80000001)

        self.refuses('structured', unable, 'a')
        self.refuses('does not know', lambda peer: peer.agree_on(b'b'), 'a')


class DataTest(ClientTestCase):
    def test_read_when_answers_come_in_any_order_then_all_fits(self) -> None:
        content = bytes(range(256)) * (3 << 12) + b'end'

        def script(peer: Peer) -> None:
            peer.agree()
            asked = [peer.request() for _ in range(4)]
            for _, cookie, offset, length in reversed(asked):
                self.heard.append((offset, length))
                begin = offset - 1000
                peer.reply(cookie, content[begin : begin + length])

        self.serve(script)
        blocks = [
            bytearray(length) for length in (1, 1 << 20, 5, (1 << 21) - 6 + 3)
        ]
        self.connect().read_into(1000, blocks)
        self.assertEqual(content, b''.join(blocks))
        self.assertEqual(
            [(1000 + (number << 20)) for number in (3, 2, 1, 0)],
            [heard[0] for heard in self.heard[:4]],
        )

    def test_read_when_one_request_fails_then_the_rest_is_taken(self) -> None:
        def script(peer: Peer) -> None:
            peer.agree()
            _, first, _, length = peer.request()
            _, second, _, _ = peer.request()
            peer.reply(second, error=5)
            peer.reply(first, bytes(length))
            _, third, _, _ = peer.request()
            peer.reply(third, b'x')

        self.serve(script)
        connection = self.connect()
        with self.assertRaisesRegex(client.Failure, 'offset 1048576: Input'):
            connection.read_into(0, [bytearray((1 << 20) + 1)])
        block = bytearray(1)
        connection.read_into(0, [block])
        self.assertEqual(b'x', block)

    def test_read_when_the_answer_is_of_another_then_refused(self) -> None:
        for answer in (
            struct.pack('>IIQ', 0x67446698, 0, 99),
            struct.pack('>IIQ', 0x12345678, 0, 0),
        ):

            def script(peer: Peer, answer: bytes = answer) -> None:
                peer.agree()
                peer.request()
                peer.send(answer)

            pathlib.Path(self.address).unlink(missing_ok=True)
            self.serve(script)
            with self.assertRaisesRegex(client.Failure, 'no sense'):
                self.connect().read_into(0, [bytearray(10)])

    def test_read_when_the_server_goes_away_then_it_is_told(self) -> None:
        def script(peer: Peer) -> None:
            peer.agree()
            _, cookie, _, _ = peer.request()
            peer.reply(cookie, b'half')

        self.serve(script)
        with self.assertRaisesRegex(client.Failure, 'is gone'):
            self.connect().read_into(0, [bytearray(10)])

    def test_write_when_taken_then_the_bytes_are_there(self) -> None:
        written = bytearray()

        def script(peer: Peer) -> None:
            peer.agree()
            for _ in range(2):
                _, cookie, _, length = peer.request()
                written.extend(peer.take(length))
                peer.reply(cookie)
            self.heard.append(peer.request()[0])

        self.serve(script)
        connection = self.connect()
        content = bytes(range(256)) * 4097
        connection.write(
            5, [bytearray(content[:300]), bytearray(content[300:])]
        )
        self.assertEqual(content, bytes(written))
        connection.close()
        connection.close()

    def test_zero_when_long_then_in_several_requests(self) -> None:
        def script(peer: Peer) -> None:
            peer.agree()
            for _ in range(3):
                command, cookie, offset, length = peer.request()
                self.heard.append((command, offset, length))
                peer.reply(cookie)
            command, cookie, _, _ = peer.request()
            self.heard.append(command)
            peer.reply(cookie, error=28)

        self.serve(script)
        connection = self.connect()
        connection.zero(512, (2 << 30) + 1)
        with self.assertRaisesRegex(client.Failure, 'No space left'):
            connection.flush()
        self.assertEqual(
            [
                (6, 512, 1 << 30),
                (6, 512 + (1 << 30), 1 << 30),
                (6, 512 + (2 << 30), 1),
                3,
            ],
            self.heard[:4],
        )


class StatusTest(ClientTestCase):
    def told(self, *chunks: tuple[int, bytes]) -> client.Connection:
        """Connect to a server that answers one question so."""

        def script(peer: Peer) -> None:
            peer.agree_on(b'a', b'b')
            _, cookie, _, _ = peer.request()
            for number, (kind, content) in enumerate(chunks, 1):
                last = number == len(chunks)
                peer.chunk(cookie, kind, content, last=last)

        pathlib.Path(self.address).unlink(missing_ok=True)
        self.serve(script)
        return self.connect('a', 'b')

    def test_when_told_then_by_context(self) -> None:
        connection = self.told(
            (5, struct.pack('>5I', 2, 512, 3, 1024, 0)),
            (5, struct.pack('>3I', 1, 4096, 1)),
            (0, b''),
        )
        self.assertEqual(
            {
                'a': [client.Status(4096, 1)],
                'b': [client.Status(512, 3), client.Status(1024, 0)],
            },
            connection.status(0, 1536),
        )

    def test_when_it_makes_no_sense_then_refused(self) -> None:
        one = struct.pack('>3I', 1, 4096, 1)
        two = struct.pack('>3I', 2, 4096, 1)
        for told, chunks in (
            ('told no status', [(5, one)]),
            ('not asked for', [(5, one), (5, one)]),
            ('not asked for', [(5, struct.pack('>3I', 3, 4096, 1))]),
            ('odd chunk', [(5, one + b'x'), (5, two)]),
            ('odd chunk', [(1, bytes(8)), (5, two)]),
            ('Invalid argument', [(32769, struct.pack('>IH', 22, 0))]),
        ):
            with (
                self.subTest(told=told, chunks=chunks),
                self.assertRaisesRegex(client.Failure, told),
            ):
                self.told(*chunks).status(0, 4096)
