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

"""Where volumes lie, and what is known of those that others have made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import os

from backupkit import errors
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import locks
from backupkit_plugins.volumes.nfs import online
from backupkit_plugins.volumes.nfs import qemulocks


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """An open share, and the options that tell how to work on it.

    :ivar sparse: new raw volumes take space when they are written
    :ivar sockets: of the monitors of QEMU processes, with wildcards
    """

    files: files_.Files
    formats: chains.Formats
    sparse: bool
    sockets: Sequence[str]
    lock_timeout_seconds: float

    @property
    def format(self) -> str:
        """The format of new volumes."""
        return self.formats.default

    def locked(
        self, volume_id: str
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of a volume."""
        return locks.held(self.files, volume_id, self.lock_timeout_seconds)

    def read(self, volume_id: str) -> chains.State:
        """Find out how the files of a volume lie over one another."""
        return chains.read(self.files, volume_id, self.formats)

    def user(
        self, *names: str
    ) -> contextlib.AbstractContextManager[online.User | None]:
        """Lend the process that has one of some files open for writing."""
        return online.user(self.sockets, self.files, names)

    @contextlib.contextmanager
    def alone(self, name: str, volume_id: str) -> Iterator[None]:
        """Keep everybody else from opening a file for writing.

        :param volume_id: the volume whose file it is
        :raises errors.InUse: somebody has it open
        """
        with self.files.opened(name, os.O_RDWR) as fd:
            if not qemulocks.take(fd):
                raise self.in_use(volume_id)
            yield

    def check_changeable(self, *names: str) -> None:
        """Refuse to change files that are not for this process's user.

        :raises errors.SourceError: one belongs to somebody else
        """
        for name in names:
            found = self.files.stat(name)
            if found is not None:
                self.files.policy.check(name, found)

    def in_use(self, volume_id: str) -> errors.InUse:
        """Return the error that says that somebody has a volume open."""
        return errors.InUse(
            f'volume {volume_id} is open elsewhere; where that is a QEMU on '
            'this host, name a monitor of it in qmp_sockets'
        )
