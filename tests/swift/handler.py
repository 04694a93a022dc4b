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

"""How the proxy before Swift serves one request, for good or for bad."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import http.client
from http import server
import socket
import struct
from typing import Any, Protocol

from tests.swift import faults

#: How long a request hangs at the most: much longer than clients wait.
_HANG_SECONDS = 30.0
_HOP_BY_HOP = frozenset({'connection', 'transfer-encoding', 'keep-alive'})


class Sky(Protocol):
    """What a request asks before it is served."""

    upstream: tuple[str, int]

    def meet(self, container: str, verb: faults.Verb) -> faults.Rule | None:
        """Count a request; return the rule that it falls under, if any."""

    def told(
        self,
        container: str,
        name: str,
        verb: faults.Verb,
        status: int,
        size: int,
    ) -> None:
        """Remember what the real one answered.

        :param size: of what was sent there
        """

    def listing(self, container: str, data: bytes) -> bytes:
        """Return a listing as somebody sees it who lags behind."""


class Server(server.ThreadingHTTPServer):
    daemon_threads = True
    weather: Sky

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what is tested."""


class Handler(server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base names it
        """Say nothing."""

    def _serve(self) -> None:
        weather = self.server.weather
        container, name, verb = faults.classify(self.command, self.path)
        length = int(self.headers.get('Content-Length') or 0)
        body = b''
        if verb is faults.Verb.BULK:
            body = self.rfile.read(length)
            container = faults.bulk_container(body)
            length = 0
        rule = weather.meet(container, verb)
        if rule is not None and rule.fault is faults.Fault.RESET:
            self.rfile.read(length // 2)
            self._reset()
            return
        body += self.rfile.read(length)
        headers = dict(self.headers.items())
        if rule is None:
            self._forward(container, name, verb, headers, body)
        elif rule.fault is faults.Fault.HANG:
            self._hang()
        elif rule.fault is faults.Fault.SHORT:
            self._cut(headers, body)
        elif rule.fault is faults.Fault.ETAG:
            self._change(verb, headers, body)
        else:
            self._answer(int(rule.fault), rule.headers, b'as you like')

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

    def _forward(
        self,
        container: str,
        name: str,
        verb: faults.Verb,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        status, told, data = self._ask(headers, body)
        self.server.weather.told(container, name, verb, status, len(body))
        if verb is faults.Verb.LIST and status == 200:
            data = self.server.weather.listing(container, data)
            told['Content-Length'] = str(len(data))
        self._answer(status, told, data)

    def _change(
        self, verb: faults.Verb, headers: dict[str, str], body: bytes
    ) -> None:
        if verb is faults.Verb.PUT:
            for key in [key for key in headers if key.lower() == 'etag']:
                headers[key] = '0' * 32
        status, told, data = self._ask(headers, body)
        if verb is not faults.Verb.PUT:
            for key in [key for key in told if key.lower() == 'etag']:
                told[key] = '0' * 32
        self._answer(status, told, data)

    def _cut(self, headers: dict[str, str], body: bytes) -> None:
        """Answer with half of the body, or where there is none with half

        of the headers.
        """
        status, told, data = self._ask(headers, body)
        self.close_connection = True
        if len(data) < 2:
            self.wfile.write(b'HTTP/1.1 200 O')
            return
        self.send_response_only(status)
        for key, value in told.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])

    def _ask(
        self, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask the real one."""
        upstream = http.client.HTTPConnection(
            *self.server.weather.upstream, timeout=60
        )
        with contextlib.closing(upstream):
            kept = {
                key: value
                for key, value in headers.items()
                if key.lower() not in _HOP_BY_HOP
            }
            upstream.request(self.command, self.path, body or None, kept)
            answer = upstream.getresponse()
            told = {
                key: value
                for key, value in answer.getheaders()
                if key.lower() not in _HOP_BY_HOP
            }
            data = answer.read()
        if self.command != 'HEAD':
            told['Content-Length'] = str(len(data))
        return answer.status, told, data

    def _answer(
        self, status: int, headers: Mapping[str, str], data: bytes
    ) -> None:
        self.send_response_only(status)
        for key, value in headers.items():
            if key.lower() != 'content-length':
                self.send_header(key, value)
        length = str(len(data))
        if self.command == 'HEAD':
            length = headers.get('Content-Length', '0')
        self.send_header('Content-Length', length)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)
        )
        self.connection.close()

    def _hang(self) -> None:
        """Wait until the client has gone away."""
        self.close_connection = True
        self.connection.settimeout(_HANG_SECONDS)
        with contextlib.suppress(OSError):
            self.connection.recv(1)
