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

"""Ports of loopback, for servers that take no other hint."""

from __future__ import annotations

import contextlib
import socket


def free(number: int) -> list[int]:
    """Return ports that nobody uses, each another one.

    A connection that was just closed holds each of them for a minute:
    meanwhile the kernel hands it to nobody else, and a server that binds
    to it with SO_REUSEADDR, as all do, is let through.
    """
    with contextlib.ExitStack() as opened:
        return [_held(opened) for _ in range(number)]


def listens(port: int) -> bool:
    """Tell whether somebody takes connections there."""
    try:
        socket.create_connection(('127.0.0.1', port), timeout=5).close()
    except OSError:
        return False
    return True


def _held(opened: contextlib.ExitStack) -> int:
    probe = opened.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(('127.0.0.1', 0))
    probe.listen()
    address = probe.getsockname()
    with socket.create_connection(address) as client:
        # Who closes first is the one that keeps its port.
        probe.accept()[0].close()
        client.recv(1)
    return int(address[1])
