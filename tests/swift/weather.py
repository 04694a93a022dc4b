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

"""A proxy of ours before Swift: it lets requests fail, or listings lag.

What fails is told by container and verb, so that many tests can use one
proxy at the same time. Bodies are kept in memory: use it for small ones.
"""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import enum
import http.client
from http import server
import json
import socket
import struct
import threading
import time
from typing import Any
import urllib.parse

#: How long a request hangs at the most: much longer than clients wait.
_HANG_SECONDS = 30.0
_HOP_BY_HOP = frozenset({'connection', 'transfer-encoding', 'keep-alive'})


class Verb(enum.StrEnum):
    """What a request is for."""

    PUT = 'put'
    GET = 'get'
    HEAD = 'head'
    LIST = 'list'
    DELETE = 'delete'
    BULK = 'bulk'
    #: Anything else: containers, logins, what the cluster tells of itself.
    OTHER = 'other'


class Fault(enum.StrEnum):
    """How a request fails; those that are numbers are answers."""

    MOVED = '307'
    TOKEN = '401'
    MISSING = '404'
    TIMEOUT = '408'
    CROSSED = '409'
    TOO_LARGE = '413'
    RATE = '429'
    RATE_498 = '498'
    BROKEN = '500'
    BUSY = '503'
    NO_SPACE = '507'
    #: The connection is reset before the request has an effect.
    RESET = 'reset'
    #: There is no answer at all.
    HANG = 'hang'
    #: The request has its effect, and the answer breaks off.
    SHORT = 'short'
    #: A checksum is changed on the way.
    ETAG = 'etag'


class Rule:
    """What fails, and how often it still does; None for always."""

    def __init__(
        self,
        fault: Fault,
        times: int | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.fault = fault
        self.times = times
        self.headers = dict(headers or {})
        self.met = 0


class Weather:
    """The proxy, and what it does to whom.

    :param url: of the real one
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.upstream = (str(parts.hostname), int(parts.port or 80))
        self._lock = threading.Lock()
        self._rules: dict[tuple[str, Verb], Rule] = {}
        self._counts: dict[tuple[str, Verb], int] = {}
        self._lags: dict[str, float] = {}
        self._born: dict[tuple[str, str], float] = {}
        self._server = _Server(('127.0.0.1', 0), _Handler)
        self._server.weather = self
        self.url = f'http://127.0.0.1:{self._server.server_port}'
        self.auth_url = f'{self.url}/auth/v1.0'
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        ).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def set(
        self,
        container: str,
        verb: Verb,
        fault: Fault,
        times: int | None = 1,
        headers: Mapping[str, str] | None = None,
    ) -> Rule:
        """Let requests fail from now on."""
        rule = Rule(fault, times, headers)
        with self._lock:
            self._rules[container, verb] = rule
        return rule

    def clear(self, container: str) -> None:
        """Let nothing fail any more."""
        with self._lock:
            for key in [one for one in self._rules if one[0] == container]:
                del self._rules[key]

    def lag(self, container: str, seconds: float) -> None:
        """Leave objects out of listings until they are so old."""
        with self._lock:
            self._lags[container] = seconds

    def count(self, container: str, verb: Verb) -> int:
        """Return how many requests there were."""
        with self._lock:
            return self._counts.get((container, verb), 0)

    def meet(self, container: str, verb: Verb) -> Rule | None:
        """Count a request; return the rule that it falls under, if any."""
        with self._lock:
            key = (container, verb)
            self._counts[key] = self._counts.get(key, 0) + 1
            rule = self._rules.get(key)
            if rule is None or (
                rule.times is not None and (rule.met >= rule.times)
            ):
                return None
            rule.met += 1
            return rule

    def note(self, container: str, name: str) -> None:
        """Remember when an object came to be."""
        with self._lock:
            self._born[container, name] = time.monotonic()

    def listing(self, container: str, data: bytes) -> bytes:
        """Return a listing as somebody sees it who lags behind."""
        with self._lock:
            seconds = self._lags.get(container)
            if not seconds or not data:
                return data
            before = time.monotonic() - seconds
            shown = [
                one
                for one in json.loads(data)
                if self._born.get((container, one['name']), 0.0) < before
            ]
            return json.dumps(shown).encode()


class _Server(server.ThreadingHTTPServer):
    daemon_threads = True
    weather: Weather

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what is tested."""


class _Handler(server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base names it
        """Say nothing."""

    def _serve(self) -> None:
        weather = self.server.weather
        container, name, verb = _classify(self.command, self.path)
        rule = weather.meet(container, verb)
        length = int(self.headers.get('Content-Length') or 0)
        if rule is not None and rule.fault is Fault.RESET:
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        headers = dict(self.headers.items())
        if rule is None:
            self._forward(container, name, verb, headers, body)
        elif rule.fault is Fault.HANG:
            self._hang()
        elif rule.fault is Fault.SHORT:
            self._cut(headers, body)
        elif rule.fault is Fault.ETAG:
            self._change(verb, headers, body)
        else:
            self._answer(int(rule.fault), rule.headers, b'as you like')

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

    def _forward(
        self,
        container: str,
        name: str,
        verb: Verb,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        status, told, data = self._ask(headers, body)
        if verb is Verb.PUT and status == 201:
            self.server.weather.note(container, name)
        if verb is Verb.LIST and status == 200:
            data = self.server.weather.listing(container, data)
            told['Content-Length'] = str(len(data))
        self._answer(status, told, data)

    def _change(
        self, verb: Verb, headers: dict[str, str], body: bytes
    ) -> None:
        if verb is Verb.PUT:
            for key in [key for key in headers if key.lower() == 'etag']:
                headers[key] = '0' * 32
        status, told, data = self._ask(headers, body)
        if verb is not Verb.PUT:
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


def _classify(method: str, target: str) -> tuple[str, str, Verb]:
    """Return the container and object of a request, and what it is for."""
    parts = urllib.parse.urlsplit(target)
    path = urllib.parse.unquote(parts.path).split('/', 4)
    if 'bulk-delete' in parts.query:
        return '', '', Verb.BULK
    if len(path) < 4 or path[1] != 'v1':
        return '', '', Verb.OTHER
    container = path[3]
    name = path[4] if len(path) > 4 else ''
    if name:
        return container, name, Verb(method.lower())
    return container, '', Verb.LIST if method == 'GET' else Verb.OTHER
