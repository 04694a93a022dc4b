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

"""Run tests as a service user, with services that root brings up.

``python -m tests.guest.inside --service MODULE ... -m MODULE ...`` is run by
root, in a guest or on a host whose kernel has what the services want. Each
service is a module with a context manager ``running()``; what follows ``-m``
is run by the service user. All mounts, and what changes in ``/etc`` and
``/run``, are for these processes alone, and go with them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
from multiprocessing import connection
import os
import pathlib
import socket
import stat
import sys
import tempfile
from typing import NoReturn

import backupkit
from tests.guest import machine
from tests.guest import root

#: The account that runs the tests, and owns nothing else.
USER = 'bk-service'
UID = 42407


def main() -> int:
    """Run the tests, and return their exit code."""
    options = _options()
    _separate()
    _add_user()
    if options.guest:
        _open_ways()
    with contextlib.ExitStack() as services:
        for name in options.service:
            service = importlib.import_module(name)
            services.enter_context(service.running())
        return _run([sys.executable, '-m', *options.command], options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--service', action='append', default=[])
    parser.add_argument('--output', help='file for what the tests print')
    parser.add_argument('--guest', action='store_true')
    parser.add_argument(
        '-m', dest='command', nargs=argparse.REMAINDER, required=True
    )
    return parser.parse_args()


def _separate() -> None:
    """Leave the mounts of the others alone, and theirs in turn."""
    machine.separate()
    machine.run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'run', '/run')
    pathlib.Path('/run/lock').mkdir()
    upper, work = pathlib.Path('/run/etc'), pathlib.Path('/run/etc.work')
    upper.mkdir()
    work.mkdir()
    layers = f'lowerdir=/etc,upperdir={upper},workdir={work}'
    machine.run('mount', '-t', 'overlay', '-o', layers, 'etc', '/etc')


def _add_user() -> None:
    # A password that nothing matches, and so no line in /etc/shadow.
    with pathlib.Path('/etc/passwd').open('a') as file:
        file.write(f'{USER}:*:{UID}:{UID}::/nonexistent:/bin/sh\n')
    with pathlib.Path('/etc/group').open('a') as file:
        file.write(f'{USER}:*:{UID}:\n')


def _open_ways() -> None:
    """Let the service user come to the code, wherever that lies.

    It changes the guest's copy of the modes alone.
    """
    tests = pathlib.Path(__file__).resolve().parents[1]
    for path in (tests, sys.prefix, sys.base_prefix):
        for parent in pathlib.Path(path, '.').resolve().parents:
            _allow(parent, 0o011)
    # Who cloned and installed it may keep what is theirs from all others.
    for base, sample in (
        (tests, pathlib.Path(__file__)),
        (sys.prefix, pathlib.Path(backupkit.__file__)),
    ):
        if not sample.stat().st_mode & 0o004:
            for at, _, files in os.walk(base):
                _allow(pathlib.Path(at), 0o055)
                for name in files:
                    _allow(pathlib.Path(at, name), 0o044)


def _allow(path: pathlib.Path, bits: int) -> None:
    status = path.lstat()
    if status.st_mode & bits != bits and not stat.S_ISLNK(status.st_mode):
        path.chmod(stat.S_IMODE(status.st_mode) | bits)


def _run(line: list[str], options: argparse.Namespace) -> int:
    """Run the tests beside a root that does as they ask."""
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix='service-') as home:
        os.chown(home, UID, UID)
        child = os.fork()
        if child == 0:
            ours.close()
            _become_tests(line, home, theirs.detach(), options.output)
        theirs.close()
        with connection.Connection(ours.detach()) as asking:
            root.serve(asking)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _become_tests(
    line: list[str], home: str, fd: int, output: str | None
) -> NoReturn:
    if output is not None:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, 1)
    os.set_inheritable(fd, True)
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    os.umask(0o022)
    environment = {**os.environ, 'HOME': home, **root.environment(fd)}
    os.execve(line[0], line, environment)


if __name__ == '__main__':
    sys.exit(main())
