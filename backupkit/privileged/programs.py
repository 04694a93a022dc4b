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

"""The programs that are run with privilege, each by a fixed line."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess  # nosec - the one place that runs programs with privilege

from backupkit import errors
from backupkit.privileged import login

MOUNT = '/bin/mount'
UMOUNT = '/bin/umount'
#: mount.cifs(8) would do, but asks for capabilities that we do not have.
LOG_IN = (os.readlink('/proc/self/exe'), '-I', '-S', login.__file__)
PROC = '/proc'

_ENVIRONMENT = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C'}
_MAX_WORDS = 500
#: How long a killed program may take to go.
_GRACE_SECONDS = 1.0

#: A program that serves a mount in user space, as it is called.
_CLIENT = b'/usr/sbin/glusterfs'

#: What mount.nfs(8) and the others say, and what that means.
_MEANINGS: tuple[tuple[str, type[errors.BackupkitError]], ...] = (
    (
        r'(version|protocol|transport).*not supported',
        errors.NotSupported,
    ),
    (
        r'timed out|Connection (refused|reset)|No route to host|'
        r'unreachable|resolve server|is down|temporar|try again',
        errors.TargetUnavailable,
    ),
    (
        # All that mount.glusterfs(8) says, whatever the reason.
        r'Mount failed\. Check the log|Mounting glusterfs on \S+ failed',
        errors.TargetUnavailable,
    ),
    (
        r'incorrect mount option|bad option|Invalid option',
        errors.ConfigurationError,
    ),
    (r'not permitted', errors.PrivilegeError),
)


def mount(
    share: str, path: str, options: str, timeout: float, kind: str = 'nfs'
) -> None:
    """Mount a share of a type that mount(8) knows.

    :raises errors.BackupkitError: of the class that says who must act
    """
    line = [MOUNT, '-t', kind, '-o', options, '--', share, path]
    try:
        status, words = _run(line, timeout, f'to mount {share}')
    except errors.TargetUnavailable:
        _kill_clients(path)
        raise
    _judge(share, status, words)


def log_in(
    share: str,
    path: str,
    options: str,
    given: Mapping[str, str],
    timeout: float,
) -> None:
    """Mount an SMB share by a name and a password.

    :raises errors.BackupkitError: of the class that says who must act
    """
    wish = {'source': share, 'path': path, 'options': options, **given}
    told = json.dumps(wish).encode()
    _judge(share, *_run([*LOG_IN], timeout, f'to mount {share}', told))


def _judge(share: str, status: int, words: str) -> None:
    if status:
        kind: type[errors.BackupkitError] = errors.TargetMissing
        for pattern, meant in reversed(_MEANINGS):
            if re.search(pattern, words, re.IGNORECASE):
                kind = meant
        raise kind(f'cannot mount {share}: {words}')


def unmount(path: str, timeout: float) -> bool:
    """Unmount what is mounted at a path; return False where it is in use.

    :raises errors.BackupkitError: of the class that says who must act
    """
    # Without asking the server, which may be away: no helper of the type,
    # and no look at the path.
    line = [UMOUNT, '-i', '-c', '--', path]
    status, words = _run(line, timeout, f'to unmount {path}')
    if status and 'busy' in words:
        return False
    if status:
        raise errors.PrivilegeError(f'cannot unmount {path}: {words}')
    return True


def _run(
    line: list[str], timeout: float, what: str, told: bytes = b''
) -> tuple[int, str]:
    # A file takes the words: a pipe would be held open by a daemon that the
    # program leaves behind (rpc.statd).
    words = os.memfd_create('words', os.MFD_CLOEXEC)
    given = os.memfd_create('given', os.MFD_CLOEXEC)
    try:
        os.pwrite(given, told, 0)
        program = subprocess.Popen(
            line,
            stdin=given,
            stdout=words,
            stderr=words,
            cwd='/',
            env=_ENVIRONMENT,
            umask=0o022,
            start_new_session=True,
        )
        try:
            status = program.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill(program)
            raise errors.TargetUnavailable(
                f'it took more than {timeout:.0f} s {what}'
            ) from None
        said = os.pread(words, _MAX_WORDS, 0).decode(errors='replace')
        return status, ' '.join(said.split())
    except OSError as error:
        raise errors.PrivilegeError(
            f'cannot run {line[0]}: {error.strerror}'
        ) from error
    finally:
        os.close(words)
        os.close(given)


def _kill(program: subprocess.Popen[bytes]) -> None:
    # mount(8) waits for mount.nfs(8), which would go on alone.
    os.killpg(program.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(_GRACE_SECONDS)


def _kill_clients(path: str) -> None:
    """Kill what would serve a mount at a path, and may yet mount it.

    It has a session of its own, so it was not killed with mount(8).
    """
    for name in filter(str.isdigit, os.listdir(PROC)):
        with contextlib.suppress(OSError):
            client = os.pidfd_open(int(name))
            try:
                line = pathlib.Path(PROC, name, 'cmdline').read_bytes()
                words = line.split(b'\0')
                if words[0] == _CLIENT and words[-2:] == [path.encode(), b'']:
                    signal.pidfd_send_signal(client, signal.SIGKILL)
            finally:
                os.close(client)
