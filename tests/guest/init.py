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

"""Process 1 of a guest whose root is the host's own.

The guest sees all files of the host, and what it writes is kept in its
memory. This runs the command in ``job/command``, leaves its exit code in
``job/status``, and powers the guest off. It knows from the kernel's command
line, which comes as its environment:

``BED_JOB``
    the job's directory, which both the guest and the host write; the guest
    has it as ``/job``
``BED_SEEN``
    directories (separated by colons) that the guest shall see, though it
    has a ``/tmp``, a ``/run`` and so on of its own

Each process that is started costs a guest a tenth of a second, so this makes
its system calls itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback
from typing import Any, NoReturn

#: Where the guest has the job's directory.
JOB = pathlib.Path('/job')

_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
_MODULES = pathlib.Path('/usr/lib/uml/modules')
#: Top directories that the guest has for its own.
OWN = frozenset(
    {'proc', 'sys', 'dev', 'run', 'tmp', 'mnt', 'srv', 'media', 'job'}
)
_MS_RDONLY = 1
_PIVOT_ROOT = 155
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> NoReturn:
    """Be process 1."""
    os.environ['PATH'] = _PATH
    try:
        _mount('proc', '/proc', 'proc')
        _lay_root()
        _mount_own()
        _share()
        status = _run(json.loads((JOB / 'command').read_text()))
        (JOB / 'status.new').write_text(f'{status}\n')
        (JOB / 'status.new').rename(JOB / 'status')
    except BaseException:  # noqa: BLE001 - process 1 may not end
        traceback.print_exc()
    finally:
        _power_off()


def _lay_root() -> None:
    """Make a root of memory, with an overlay for each directory in it.

    An overlay on the host's files has no file handles, and the root of an
    NFSv4 server needs them; so the root itself is no overlay.
    """
    module = _MODULES / os.uname().release / 'kernel/fs/overlayfs/overlay.ko'
    subprocess.run(['insmod', str(module)], check=True)
    _mount('memory', '/mnt', 'tmpfs', data='mode=755')
    root = pathlib.Path('/mnt/root')
    root.mkdir()
    _mount('root', str(root), 'tmpfs', data='mode=755')
    for entry in os.scandir('/'):
        place = root / entry.name
        if entry.is_symlink():
            place.symlink_to(os.readlink(entry.path))
        elif entry.is_dir():
            mode = entry.stat().st_mode & 0o7777
            _make(place, mode)
            if entry.name not in OWN:
                _overlay(entry.path, place, mode)
    _mount('dev', str(root / 'dev'), 'devtmpfs')
    host = root / 'mnt/host'
    host.mkdir()
    _check(_LIBC.syscall(_PIVOT_ROOT, bytes(root), bytes(host)), 'pivot_root')
    os.chroot('.')
    os.chdir('/')
    _mount('proc', '/proc', 'proc')
    console = os.open('/dev/console', os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(console, fd)


def _overlay(lower: str, place: pathlib.Path, mode: int) -> None:
    upper = pathlib.Path('/mnt/upper', lower.lstrip('/'))
    work = pathlib.Path('/mnt/work', lower.lstrip('/'))
    _make(upper, mode)
    work.mkdir(parents=True)
    _mount(
        'overlay',
        str(place),
        'overlay',
        data=f'lowerdir={lower},upperdir={upper},workdir={work},'
        'xino=off,index=off,metacopy=on',
    )


def _mount_own() -> None:
    _mount('sys', '/sys', 'sysfs')
    _mount('run', '/run', 'tmpfs', data='mode=755')
    for path in ('/tmp', '/var/tmp', '/dev/shm'):
        os.makedirs(path, exist_ok=True)
        _mount('memory', path, 'tmpfs', data='mode=1777')
    for path in ('/dev/pts', '/run/lock', '/lib/modules', '/var/lib/nfs'):
        os.makedirs(path, exist_ok=True)
    _mount('devpts', '/dev/pts', 'devpts')
    if not os.path.lexists('/dev/fd'):
        os.symlink('/proc/self/fd', '/dev/fd')
    release = os.uname().release
    os.symlink(_MODULES / release, f'/lib/modules/{release}')
    pathlib.Path('/etc/hosts').write_text('127.0.0.1 localhost guest\n')
    pathlib.Path('/proc/sys/kernel/hostname').write_text('guest')
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)


def _share() -> None:
    """Mount the directories of the host that the two share."""
    seen = filter(None, os.environ['BED_SEEN'].split(':'))
    for number, path in enumerate(seen):
        lower = pathlib.Path('/mnt/seen', str(number))
        for place in (lower, pathlib.Path(path)):
            place.mkdir(parents=True, exist_ok=True)
        _mount('host', str(lower), 'hostfs', flags=_MS_RDONLY, data=path)
        # What the guest changes of it is kept in its memory, as elsewhere.
        status = lower.stat()
        _overlay(str(lower), pathlib.Path(path), status.st_mode & 0o7777)
    JOB.mkdir()
    _mount('job', str(JOB), 'hostfs', data=os.environ['BED_JOB'])


def _run(command: dict[str, Any]) -> int:
    """Run the command as root, and reap whatever else ends meanwhile."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(command['directory'])
        os.execve(
            command['arguments'][0],
            command['arguments'],
            command['environment'],
        )
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _power_off() -> NoReturn:
    sys.stderr.flush()
    os.sync()
    pathlib.Path('/proc/sysrq-trigger').write_text('o')
    while True:
        time.sleep(60)


def _make(path: pathlib.Path, mode: int) -> None:
    path.mkdir(parents=True)
    # The umask has no say in it.
    path.chmod(mode)


def _mount(
    source: str, target: str, kind: str, *, flags: int = 0, data: str = ''
) -> None:
    done = _LIBC.mount(
        source.encode(), target.encode(), kind.encode(), flags, data.encode()
    )
    _check(done, f'mount {target}')


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


if __name__ == '__main__':
    main()
