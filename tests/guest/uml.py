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

"""A guest: User Mode Linux on the host's own root, as a child process.

The guest has a kernel of its own, and with it what the host's may lack: NFS,
device mapper, iSCSI. Its files are the host's, copied on write in the guest's
memory, so that programs and Python environments need no installing. It starts
in two seconds, has one CPU, and can be killed like any process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types
from typing import Any

from tests.guest import init

_PROGRAM = 'linux.uml'
#: As Debian lays them out: a program without its modules is of no use.
_MODULES = pathlib.Path('/usr/lib/uml/modules')
_TESTS = pathlib.Path(__file__).resolve().parents[1]
_CHECKOUT = _TESTS.parent
#: Where a job has the tests.
TREE = 'tree'
_CONSOLE_LINES = 40
_POLL_SECONDS = 0.1


class GuestError(Exception):
    """The guest could not start, or ended without saying how."""


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """What the guest runs as root, in a directory that both sides have."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str = '/'


class Guest:
    """A guest that runs one command and ends with it.

    :param job: a directory of the host that the guest may write too, and has
        as ``/job``
    :param disks: files of the host that the guest has as ``/dev/ubda``,
        ``/dev/ubdb`` and so on
    """

    def __init__(
        self,
        job: pathlib.Path,
        command: Command,
        *,
        disks: Sequence[pathlib.Path] = (),
        memory_mib: int = 2048,
    ) -> None:
        self.job = job
        self._status = job / 'status'
        self._console = job / 'console'
        self._status.unlink(missing_ok=True)
        (job / 'command').write_text(json.dumps(dataclasses.asdict(command)))
        # The service user of the guest goes through it as well.
        job.chmod(0o755)
        with self._console.open('wb') as console:
            self._process = subprocess.Popen(
                _line(job, disks, memory_mib),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
            )

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.kill()

    def wait(
        self, seconds: float, meanwhile: Callable[[], None] = lambda: None
    ) -> int:
        """Return the exit code of the command, once the guest is off.

        :param meanwhile: called now and then, until it is off
        :raises GuestError: it is not off in time, or told no exit code
        """
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                raise GuestError(
                    f'the guest is still up after {seconds:g} s\n{self.told()}'
                )
            meanwhile()
            time.sleep(_POLL_SECONDS)
        if not self._status.exists():
            raise GuestError(f'the guest went down early\n{self.told()}')
        return int(self._status.read_text())

    def kill(self) -> None:
        """Take its power away; succeeds where it is off already."""
        # All its processes are in one group, and so die at once.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def told(self) -> str:
        """Return the end of what was said on the guest's console."""
        text = self._console.read_text(errors='replace')
        return '\n'.join(text.splitlines()[-_CONSOLE_LINES:])


def lay_tests(job: pathlib.Path) -> str:
    """Put the tests into a job, without the rest of the checkout.

    So what they test is what is installed: the wheel.

    :return: what a guest with this job calls the directory with them
    """
    directory = job / TREE
    directory.mkdir()
    # The service user of the guest goes through it, whatever our umask.
    directory.chmod(0o755)
    (directory / _TESTS.name).symlink_to(_TESTS)
    return str(init.JOB / TREE)


def environment(**more: str) -> dict[str, str]:
    """Return the environment in which a command of the guest runs.

    The interpreter is this one; what selects or seeds tests is passed on.
    """
    path = f'{pathlib.Path(sys.executable).parent}:{os.defpath}'
    passed = {
        name: value
        for name, value in os.environ.items()
        if name == 'CI' or name.startswith(('HYPOTHESIS_', 'BACKUPKIT_'))
    }
    return {
        'HOME': '/root',
        'LANG': 'C.UTF-8',
        'PATH': f'{path}:/usr/local/sbin:/usr/sbin:/sbin',
        **passed,
        **more,
    }


def _line(
    job: pathlib.Path, disks: Sequence[pathlib.Path], memory_mib: int
) -> list[str]:
    program = shutil.which(_PROGRAM)
    if program is None or not _MODULES.is_dir():
        raise GuestError(
            f"there is no {_PROGRAM} with its modules: install Debian's "
            'package user-mode-linux'
        )
    return [
        program,
        f'mem={memory_mib}M',
        f'uml_dir={job}/',
        'umid=guest',
        'root=/dev/root',
        'rootfstype=hostfs',
        'rootflags=/',
        'ro',
        *(f'ubd{number}={disk}' for number, disk in enumerate(disks)),
        'quiet',
        'loglevel=3',
        'con=null',
        'con0=null,fd:1',
        'ssl=null',
        f'init={sys.executable}',
        f'BED_JOB={job}',
        f'BED_SEEN={":".join(_hidden())}',
        '--',
        '-IS',
        init.__file__,
    ]


def _hidden() -> list[str]:
    """Return which of our directories lie where the guest has its own."""
    places = (
        _CHECKOUT,
        pathlib.Path(sys.prefix),
        pathlib.Path(sys.base_prefix),
    )
    ours = sorted({place.resolve() for place in places})
    return [
        str(path)
        for path in ours
        if not any(above in ours for above in path.parents)
        and (
            path.parts[1] in init.OWN
            or path.is_relative_to(pathlib.Path('/var/tmp'))
        )
    ]


def _environment() -> dict[str, Any]:
    # The guest's memory is a file there: it shall not go to a disk.
    memory = pathlib.Path('/dev/shm')
    place = {'TMPDIR': str(memory)} if memory.is_dir() else {}
    return {**os.environ, **place}
