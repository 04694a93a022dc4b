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

"""What a kernel NFS server does and suffers; all of it runs there, as root.

It serves NFS 3, 4.0, 4.1 and 4.2 with ``root_squash``, from ext4 on files.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import itertools
import os
import pathlib
import stat
from typing import NamedTuple

from tests.guest import inside
from tests.guest import machine

#: Addresses that are for documentation, so they are nobody's.
ADDRESS = '192.0.2.2'
ADDRESS6 = '2001:db8::2'
CABLE = 'nfs-server'

#: The root that clients see. It is all in memory, but for the disks in it.
_ROOT = pathlib.Path('/srv')
_DISKS = pathlib.Path('/var/tmp/nfs-disks')
_NFSD = pathlib.Path('/proc/fs/nfsd')
_VERSIONS = ('-V', '3', '-V', '4', '-V', '4.1', '-V', '4.2')
#: The shortest that the kernel has, for its lease and its grace.
_LEASE_SECONDS = '10'
_THREADS = '4'
_MIB = 1 << 20

_numbers = itertools.count(1)


class Entry(NamedTuple):
    """A file or directory as the server has it."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int


def set_up() -> None:
    """Give the server what it needs before its first start."""
    # A link that goes down would take its IPv6 addresses along.
    machine.write('/proc/sys/net/ipv6/conf/all/keep_addr_on_down', '1')
    for address in (f'{ADDRESS}/24', f'{ADDRESS6}/64'):
        kind = ('-6', 'nodad') if ':' in address else ('-4',)
        machine.run(
            'ip', kind[0], 'addr', 'add', address, 'dev', CABLE, *kind[1:]
        )
    resume()
    for place in ('/run', '/var/lib/nfs', str(_ROOT)):
        machine.run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'own', place)
    for place in ('nfsdcld', 'sm', 'v4recovery'):
        os.mkdir(f'/var/lib/nfs/{place}')
    pipes = '/run/rpc_pipefs'
    os.mkdir(pipes)
    machine.run('mount', '-t', 'rpc_pipefs', 'sunrpc', pipes)
    machine.run('mount', '-t', 'nfsd', 'nfsd', str(_NFSD))
    machine.write('/etc/exports', '')
    machine.write('/etc/nfs.conf', f'[exports]\nrootdir={_ROOT}\n')
    machine.run('rpcbind')
    machine.run('nfsdcld', '-p', pipes)


def start(*, grace: bool = False) -> None:
    """Start to serve.

    :param grace: give clients of a former start the time to claim what they
        had, as a server does that went down under them
    """
    machine.run('rpc.mountd')
    lease = ('-G', _LEASE_SECONDS, '-L', _LEASE_SECONDS)
    machine.run('rpc.nfsd', *_VERSIONS, *lease, _THREADS)
    machine.run('exportfs', '-ra')
    if not grace:
        # Busy: there were no clients, and so no grace.
        with contextlib.suppress(OSError):
            (_NFSD / 'v4_end_grace').write_text('Y')


def stop() -> None:
    """Stop to serve: whoever calls is told that nobody is there."""
    machine.run('rpc.nfsd', '0')
    machine.run('pkill', '-KILL', '-x', 'rpc.mountd')


def pause() -> None:
    """Fall silent: whoever calls waits."""
    machine.run('ip', 'link', 'set', CABLE, 'down')


def resume() -> None:
    """Go on where ``pause`` was called."""
    machine.run('ip', 'link', 'set', CABLE, 'up')


def crash() -> None:
    """Lose power: fall silent, and forget all that is not on a disk."""
    pause()
    stop()


def boot() -> None:
    """Come back from ``crash``."""
    start(grace=True)
    resume()


def export(
    size_mib: int, device: str | None = None, *, keep: bool = False
) -> str:
    """Export a new disk.

    It is root's. A client walks through it as nobody, when it mounts a
    directory in it: so it is open to all for reading.

    :param device: a block device to be that disk; else it is a file
    :param keep: leave what is on the device
    :return: the path that clients know it by
    """
    exported = f'/disk{next(_numbers)}'
    place = path(exported)
    place.mkdir()
    if device is None:
        _DISKS.mkdir(exist_ok=True)
        device = str(_DISKS / place.name)
        with open(device, 'wb') as file:
            file.truncate(size_mib * _MIB)
    _mount(device, place, keep=keep)
    with open('/etc/exports', 'a') as file:
        file.write(f'{exported} *(rw,sync,root_squash,no_subtree_check)\n')
    machine.run('exportfs', '-ra')
    return exported


def replace_disk(exported: str) -> None:
    """Put an empty disk in an export's place: old handles are stale."""
    place = path(exported)
    stop()
    machine.run('umount', str(place))
    _mount(str(_DISKS / place.name), place, keep=False)
    start()


def set_read_only(exported: str, *, read_only: bool) -> None:
    """Let nothing be written to an export's disk, or let it again."""
    state = 'ro' if read_only else 'rw'
    machine.run('mount', '-o', f'remount,{state}', str(path(exported)))


def fill(exported: str) -> str:
    """Leave no room on an export's disk; return what to remove for it."""
    place = path(exported) / f'filler{next(_numbers)}'
    status = os.statvfs(place.parent)
    step, end = status.f_bfree * status.f_frsize, 0
    with open(place, 'wb') as file:
        while step >= status.f_frsize:
            try:
                os.posix_fallocate(file.fileno(), end, step)
                end += step
            except OSError:
                # What the file itself takes leaves less than was free.
                step //= 2
    return str(pathlib.Path(exported) / place.name)


def remove(exported: str) -> None:
    """Remove a file."""
    path(exported).unlink()


def make_directory(exported: str, *, mode: int = 0o770) -> str:
    """Make a new directory of the service user's in an export."""
    directory = f'{exported}/share{next(_numbers)}'
    path(directory).mkdir()
    own(directory, inside.UID, mode)
    return directory


def own(exported: str, uid: int, mode: int) -> None:
    """Give something to a user and the group of that number."""
    os.chown(path(exported), uid, uid)
    os.chmod(path(exported), mode)


def entries(exported: str) -> list[Entry]:
    """Return all that is below a directory."""
    base = path(exported)
    return sorted(_entry(base, each) for each in _below(base))


def path(exported: str) -> pathlib.Path:
    """Return where the server has what clients know by a path."""
    return _ROOT / exported.lstrip('/')


def _below(base: pathlib.Path) -> Iterator[pathlib.Path]:
    for at, directories, files in os.walk(base):
        for name in [*directories, *files]:
            yield pathlib.Path(at, name)


def _entry(base: pathlib.Path, place: pathlib.Path) -> Entry:
    status = place.lstat()
    return Entry(
        path=str(place.relative_to(base)),
        kind='directory' if stat.S_ISDIR(status.st_mode) else 'file',
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def _mount(device: str, place: pathlib.Path, *, keep: bool) -> None:
    if not keep:
        # Without blocks for root, so that full is full.
        machine.run('mkfs.ext4', '-q', '-F', '-m', '0', device)
    machine.run('mount', device, str(place))
