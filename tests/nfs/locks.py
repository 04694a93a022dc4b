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

"""Locks of NFS 3, which rpc.statd(8) at both ends is needed for.

What is here runs as root: at the client, or on the server.
"""

from __future__ import annotations

from collections.abc import Callable
import fcntl
import os
import socket
import subprocess
import time

from tests.guest import machine
from tests.nfs import kernel

_SECONDS = 60.0

_started: list[subprocess.Popen[bytes]] = []


def begin() -> None:
    """Have what locks need, as far as it is not there."""
    _have(_is_bound, 'rpcbind', '-f')
    _have(_is_watched, 'rpc.statd', '-F', '--no-notify')


def end() -> None:
    """End what was started."""
    while _started:
        process = _started.pop()
        process.terminate()
        process.wait()


def is_locked(path: str) -> bool:
    """Tell whether somebody else has a lock on a file of an export."""
    fd = os.open(kernel.path(path), os.O_RDWR)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _have(there: Callable[[], bool], *line: str) -> None:
    if there():
        return
    _started.append(subprocess.Popen(line))
    end = time.monotonic() + _SECONDS
    while not there():
        if time.monotonic() > end or _started[-1].poll() is not None:
            raise AssertionError(f'{line[0]} does not answer')
        time.sleep(0.1)


def _is_bound() -> bool:
    try:
        socket.create_connection(('127.0.0.1', 111), 1).close()
    except OSError:
        return False
    return True


def _is_watched() -> bool:
    return ' status' in machine.run('rpcinfo', '-p', '127.0.0.1')
