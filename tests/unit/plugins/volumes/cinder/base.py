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


"""A server that answers as a test tells it, in place of Cinder."""

from __future__ import annotations

import collections
from collections.abc import Mapping
import http.server
import json
import tempfile
import threading
from typing import Any
import unittest

from backupkit.testing import sections
from backupkit_plugins.volumes import cinder

VOLUME_ID = '1b4e28ba-2fa1-41d2-883f-0016d3cca427'
VOLUME: Mapping[str, Any] = {
    'id': VOLUME_ID,
    'name': 'db',
    'size': 2,
    'status': 'available',
    'metadata': {},
    'encrypted': False,
}

Answer = tuple[int, Any]


class Server(http.server.ThreadingHTTPServer):
    """Answers each request with the next answer to it, the last for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.answers: dict[str, list[Answer]] = collections.defaultdict(list)
        self.asked: list[tuple[str, Mapping[str, str], Any]] = []
        self.paths: list[str] = []

    def next(self, request: str) -> Answer:
        """Return the answer to a request: method and path."""
        answers = self.answers[request]
        if not answers:
            return 404, {'itemNotFound': {'message': f'no {request}'}}
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes one request to the server."""

    server: Server

    def answer(self) -> None:
        """Note the request, and answer it; 0 is to hang up."""
        length = int(self.headers.get('Content-Length') or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.paths.append(self.path)
        path = self.path.partition('?')[0].removeprefix('/v3')
        request = f'{self.command} {path}'
        self.server.asked.append((request, dict(self.headers), body))
        status, document = self.server.next(request)
        if not status:
            return
        text = b'' if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class ApiCase(unittest.TestCase):
    """A driver in front of a server that the test scripts."""

    def setUp(self) -> None:
        super().setUp()
        self.server = Server()
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = place.name

    def load(self, **more: Any) -> cinder.CinderVolumeDriver:
        """Return a driver that asks the server."""
        port = self.server.server_address[1]
        loaded = sections.load_volume_driver(
            'cinder',
            **{
                'auth_type': 'noauth',
                'endpoint': f'http://127.0.0.1:{port}/v3',
                'project_id': 'p',
                'lock_path': f'{self.directory}/locks',
                'volume_timeout_seconds': 1,
                'snapshot_timeout_seconds': 1,
                **more,
            },
        )
        assert isinstance(loaded, cinder.CinderVolumeDriver)
        return loaded

    def script(self, request: str, *answers: Answer) -> None:
        """Say how a request is answered, one time after the other."""
        self.server.answers[request] = list(answers)

    def requests(self) -> list[str]:
        """Return what was asked, in order."""
        return [request for request, _, _ in self.server.asked]
