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

"""A server on another machine of the guest, at the end of a cable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import socket
import stat
import subprocess
import time
from typing import Any, NamedTuple, ParamSpec, TypeVar

from tests.guest import machine
from tests.guest import root

#: Addresses that are for documentation, so they are nobody's.
ADDRESS = '192.0.2.2'
NOBODY = '192.0.2.77'
#: The server's name.
HOST = 'server.example'

_OURS, _THEIRS = 'far-client', 'far-server'
_SECONDS = 60.0

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')

_servers: list[machine.Machine] = []


class Mounted(NamedTuple):
    """A mount of the client's."""

    point: str
    source: str
    options: frozenset[str]


class Entry(NamedTuple):
    """A file or directory as the server has it."""

    kind: str
    mode: int
    uid: int
    gid: int


@contextlib.contextmanager
def running(*modules: str) -> Iterator[None]:
    """Have another machine, which serves nothing yet."""
    subprocess.run(
        ['modprobe', '--quiet', '--all', 'veth', 'loop', *modules], check=False
    )
    made = machine.Machine()
    made.wire(_OURS, _THEIRS)
    _servers.append(made)
    try:
        machine.run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', _OURS)
        machine.run('ip', 'link', 'set', _OURS, 'up')
        with open('/etc/hosts', 'a') as file:
            file.write(f'{ADDRESS} {HOST}\n')
        made.do(_begin)
        yield
    finally:
        _servers.remove(made)
        made.end()


def do(
    function: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Call a function on the server, as root."""
    return root.do(_relay, function, args, kwargs)


def pause() -> None:
    """Have the server fall silent: whoever calls waits."""
    do(machine.run, 'ip', 'link', 'set', _THEIRS, 'down')


def resume() -> None:
    """Have it go on where ``pause`` was called."""
    do(machine.run, 'ip', 'link', 'set', _THEIRS, 'up')


def await_port(port: int) -> None:
    """Wait until somebody listens; to be called there."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            socket.create_connection((ADDRESS, port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def mounts(kind: str) -> list[Mounted]:
    """Return what the client has mounted of a type."""
    found = []
    with open('/proc/self/mountinfo') as lines:
        for line in lines:
            before, after = line.split(' - ', 1)
            name, source, options = after.split()
            if name == kind:
                fields = before.split()
                both = [*fields[5].split(','), *options.split(',')]
                found.append(Mounted(fields[4], source, frozenset(both)))
    return found


def entries(directory: str) -> list[Entry]:
    """Return all that is below a directory; to be called there."""
    found = []
    for at, directories, files in os.walk(directory):
        for name in (*directories, *files):
            status = pathlib.Path(at, name).lstat()
            kind = 'directory' if stat.S_ISDIR(status.st_mode) else 'file'
            mode = stat.S_IMODE(status.st_mode)
            found.append(Entry(kind, mode, status.st_uid, status.st_gid))
    return found


def _begin() -> None:
    machine.run('ip', 'addr', 'add', f'{ADDRESS}/24', 'dev', _THEIRS)
    machine.run('ip', 'link', 'set', _THEIRS, 'up')
    for place in ('/run', '/srv'):
        machine.run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'own', place)


def _relay(
    function: Callable[..., Result],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Result:
    return _servers[0].do(function, *args, **kwargs)
