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


"""What backupkit has attached to this host, in files.

A device may serve several attachments, and goes with the last one; and a
process may be killed while it attaches. So each attachment has a file here
from before Cinder is asked until it is proved gone. Nothing secret is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import secrets
from typing import Any

from backupkit import errors

_MODE = 0o700
_SUFFIX = '.json'


@dataclasses.dataclass(slots=True)
class Mark:
    """One attachment, as far as it has come.

    :ivar others: the attachments of the volume before it was made
    :ivar connecting: os-brick was asked for a device
    :ivar made: it was handed out, for the process to use
    :ivar process: that makes it, as :func:`this_process` names it
    """

    name: str
    attachment_id: str = ''
    mode: str = 'ro'
    others: list[str] = dataclasses.field(default_factory=list)
    connecting: bool = False
    path: str = ''
    device: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    made: bool = False
    process: str = ''

    @property
    def forsaken(self) -> bool:
        """Whether nobody can be using it any more.

        Ask only with the lock: whoever is making one has it. A run that
        goes on in another process attaches anew.
        """
        return not self.made or _is_dead(self.process)


class Volume:
    """The marks of one volume, while nobody else here attaches it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def all(self) -> list[Mark]:
        """Return the marks that there are."""
        return [
            Mark(**json.loads(path.read_text()))
            for path in sorted(self._directory.glob(f'*{_SUFFIX}'))
        ]

    def begin(self, mode: str, others: list[str]) -> Mark:
        """Make a mark for an attachment that is going to be made."""
        mark = Mark(
            secrets.token_hex(8),
            mode=mode,
            others=others,
            process=this_process(),
        )
        self.save(mark)
        return mark

    def save(self, mark: Mark) -> None:
        """Write a mark as it is now."""
        fresh = self._directory / f'{mark.name}.new'
        fresh.write_text(json.dumps(dataclasses.asdict(mark)))
        fresh.replace(self._directory / f'{mark.name}{_SUFFIX}')

    def remove(self, mark: Mark) -> None:
        """Remove a mark; absent is fine."""
        path = self._directory / f'{mark.name}{_SUFFIX}'
        path.unlink(missing_ok=True)


class Marks:
    """A directory for the marks of all volumes."""

    def __init__(self, directory: str) -> None:
        self._directory = pathlib.Path(directory)

    @contextlib.contextmanager
    def locked(self, volume_id: str) -> Iterator[Volume]:
        """Keep everybody else of this host from attaching a volume.

        :param volume_id: Cinder's own id
        :raises errors.ConfigurationError: the directory cannot be used
        """
        place = self._directory / volume_id
        try:
            self._directory.mkdir(mode=_MODE, parents=True, exist_ok=True)
            self.check()
            fd = _lock(place)
        except OSError as exc:
            raise self._wrong(exc.strerror or str(exc)) from exc
        try:
            yield Volume(place)
        finally:
            with contextlib.suppress(OSError):
                # Not while there are marks in it.
                place.rmdir()
            os.close(fd)

    def check(self) -> None:
        """See to it that the directory, if there is one, is only ours.

        :raises errors.ConfigurationError: somebody else could write there
        """
        try:
            told = self._directory.lstat()
        except FileNotFoundError:
            return
        except OSError as exc:
            raise self._wrong(exc.strerror or str(exc)) from exc
        if told.st_uid != os.geteuid() or told.st_mode & 0o022:
            raise self._wrong('it is not for this user alone')

    def _wrong(self, problem: str) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            f'lock_path {self._directory} cannot be used: {problem}'
        )


def _lock(place: pathlib.Path) -> int:
    """Make a directory and lock it; return what holds the lock.

    Whoever had it before may have removed it as it was waited for.

    :raises OSError: it cannot be made
    """
    while True:
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=_MODE)
        try:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), place.stat()):
                return fd
        os.close(fd)


def this_process() -> str:
    """Return a name for this process that no other one ever has.

    Its number is one of its namespace, and may be given again; not so the
    time of its start. Source: proc_pid_stat(5), field 22.
    """
    namespace = os.readlink('/proc/self/ns/pid')
    return f'{namespace} {os.getpid()} {_started(os.getpid())}'


def _is_dead(process: str) -> bool:
    """Tell whether a process has ended; not known is no."""
    namespace, _, rest = process.partition(' ')
    if namespace != os.readlink('/proc/self/ns/pid'):
        return False
    number, _, started = rest.partition(' ')
    return _started(int(number)) != started


def _started(process_id: int) -> str:
    try:
        told = pathlib.Path(f'/proc/{process_id}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ''
    # Behind the name, which may hold anything.
    return told.rpartition(')')[2].split()[19]
