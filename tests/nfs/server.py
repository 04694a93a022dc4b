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

"""The service ``tests.nfs.server``: a kernel NFS server on another machine.

Its client is the machine that the tests run on. What they want of the
server they ask by ``do(kernel.FUNCTION, ...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import subprocess
from typing import Any, NamedTuple, ParamSpec, TypeVar

from tests.guest import machine
from tests.guest import root
from tests.nfs import kernel

#: An address on the server's network that nobody has.
NOBODY = '192.0.2.77'
#: The server's name, which stands for its IPv4 address.
HOST = 'server.example'

_CABLE = 'nfs-client'
_ADDRESSES = ('192.0.2.1/24', '2001:db8::1/64')
_MODULES = ('veth', 'ipv6', 'loop', 'nfsd', 'nfs', 'nfsv3', 'nfsv4')
_TYPES = frozenset({'nfs', 'nfs4'})

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')


class Mounted(NamedTuple):
    """An NFS mount of the client's."""

    point: str
    source: str
    options: frozenset[str]


_servers: list[machine.Machine] = []


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Have the server up, with nothing exported."""
    subprocess.run(['modprobe', '--quiet', '--all', *_MODULES], check=False)
    made = machine.Machine()
    made.wire(_CABLE, kernel.CABLE)
    _servers.append(made)
    try:
        for address in _ADDRESSES:
            # No search for others that may have it: the cable is ours.
            more = ['nodad'] if ':' in address else []
            machine.run('ip', 'addr', 'add', address, 'dev', _CABLE, *more)
        machine.run('ip', 'link', 'set', _CABLE, 'up')
        with open('/etc/hosts', 'a') as file:
            file.write(f'{kernel.ADDRESS} {HOST}\n')
        made.do(kernel.set_up)
        made.do(kernel.start)
        yield
    finally:
        unmount_all()
        made.do(kernel.stop)
        _servers.remove(made)
        made.end()


def do(
    function: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Call a function of ``kernel`` on the server."""
    return root.do(_relay, function, args, kwargs)


def mounts() -> list[Mounted]:
    """Return what the client has mounted by NFS."""
    found = []
    with open('/proc/self/mountinfo') as lines:
        for line in lines:
            before, after = line.split(' - ', 1)
            kind, source, options = after.split()
            if kind in _TYPES:
                fields = before.split()
                both = [*fields[5].split(','), *options.split(',')]
                found.append(Mounted(fields[4], source, frozenset(both)))
    return found


def unmount_all() -> None:
    """Take away what the client has mounted; root's to call."""
    for each in mounts():
        # Nobody needs to answer for it.
        machine.run('umount', '--force', '--lazy', each.point)


def _relay(
    function: Callable[..., Result],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Result:
    return _servers[0].do(function, *args, **kwargs)
