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

"""Serves Keystone: run as a program of its own by :mod:`.keystone`."""

from __future__ import annotations

import importlib
import socketserver
import sys
from wsgiref import simple_server


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(simple_server.WSGIRequestHandler):
    def address_string(self) -> str:
        """Return the address, and ask nobody for its name."""
        return str(self.client_address[0])


def main() -> None:
    """Serve for good; where it is configured says the environment."""
    # Keystone would take our arguments for its own.
    port = int(sys.argv.pop(1))
    api = importlib.import_module('keystone.wsgi.api')
    with simple_server.make_server(
        '127.0.0.1', port, api.application, _Server, _Handler
    ) as server:
        server.serve_forever()


if __name__ == '__main__':
    main()
