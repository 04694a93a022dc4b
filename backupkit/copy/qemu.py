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

"""QEMU's tools, run within limits.

A tool is given its own small part of the machine: memory, time and open
files are bounded, nothing of our environment is handed on, and it ends when
we do. Nothing here lets a tool find out a format by itself: that is for the
caller to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import functools
import shutil
import subprocess

from backupkit import errors

Process = subprocess.Popen[bytes]
TimeoutExpired = subprocess.TimeoutExpired

#: Where the tools are looked for, and they themselves look.
PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin'

ENVIRONMENT = {'LC_ALL': 'C.UTF-8', 'PATH': PATH}

#: Bytes of address space: threads' stacks and caches of tables count, too.
MEMORY_BYTES = 4 << 30
#: Seconds of processor time of a tool that only changes metadata.
CPU_SECONDS = 300
OPEN_FILES = 1024

_TEXT_LIMIT = 2000


@functools.cache
def find(program: str) -> str:
    """Return the path of a tool.

    :raises errors.SourceError: it is not installed
    """
    found = shutil.which(program, path=PATH)
    if found is None:
        raise errors.SourceError(
            f'{program} is not installed; qcow2 images need it and '
            'util-linux: install qemu-utils or qemu-img'
        )
    return found


def limited(
    argv: Sequence[str], *, cpu_seconds: int | None = None
) -> list[str]:
    """Return the command that runs another one within the limits.

    :param cpu_seconds: None for as long as it takes
    """
    limits = [
        f'--as={MEMORY_BYTES}',
        f'--nofile={OPEN_FILES}',
        '--core=0',
    ]
    if cpu_seconds is not None:
        limits.append(f'--cpu={cpu_seconds}')
    dying = [find('setpriv'), '--pdeathsig', 'KILL', '--']
    return [find('prlimit'), *limits, '--', *dying, find(argv[0]), *argv[1:]]


def run(
    *argv: str,
    timeout_seconds: float | None = 600,
    cpu_seconds: int | None = CPU_SECONDS,
    pass_fds: Sequence[int] = (),
    directory: str | None = None,
) -> str:
    """Run a tool to its end and return what it printed.

    :param argv: begins with the tool's name, such as ``qemu-img``
    :param timeout_seconds: None to wait for as long as it takes
    :param cpu_seconds: ditto, of processor time
    :param pass_fds: inheritable there under the same numbers
    :param directory: to run it in; ours by default
    :raises errors.SourceError: it failed, in its own words, or took longer
    """
    command = limited(argv, cpu_seconds=cpu_seconds)
    process = start(command, pass_fds=pass_fds, directory=directory)
    try:
        told, complaint = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired as exc:
        raise errors.SourceError(
            f'{argv[0]} took longer than {timeout_seconds} seconds and was '
            'ended'
        ) from exc
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        raise failed(argv[0], process.returncode, complaint)
    return told.decode(errors='replace')


def start(
    command: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    directory: str | None = None,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a command with a pipe for what it prints.

    :param stderr: a descriptor for what it complains of; a pipe by default

    :raises errors.SourceError: it cannot be started
    """
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=pass_fds,
            cwd=directory,
            env={**ENVIRONMENT, **(environment or {})},
            start_new_session=True,
        )
    except OSError as exc:
        raise errors.SourceError(
            f'{command[0]} cannot be run: {exc.strerror}'
        ) from exc


def failed(
    program: str, returncode: int, complaint: bytes
) -> errors.SourceError:
    """Return the error that tells how a tool ended, and what it said."""
    text = complaint.decode(errors='replace').strip()[-_TEXT_LIMIT:]
    text = '; '.join(line for line in text.splitlines() if line)
    how = f'was ended by signal {-returncode}'
    if returncode > 0:
        how = f'failed with code {returncode}'
    return errors.SourceError(f'{program} {how}: {text or "no message"}')


def descriptor_path(fd: int) -> str:
    """Return the name under which a tool that inherits a file opens it."""
    return f'/proc/self/fd/{fd}'
