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

"""Mounted shares, for drivers that keep something on one.

A driver puts :func:`get_options` among its own options and enters
:func:`mounted` wherever it works on the share::

    with mounts.mounted(f'target:{self.name}', self.section) as mount:
        root = os.open(mount.path, os.O_RDONLY | os.O_DIRECTORY)
        mount.check(root)

It asks for no privilege: the share is mounted by a small daemon, which
reads the same section from a configuration that only root can write. The
mount is used by every process that names the share, and is taken away when
none does any more.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import pathlib
from typing import Any

from oslo_config import cfg

from backupkit.conf import mounts as options
from backupkit import errors


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """A share that is mounted.

    ``device`` is what stat(2) says of everything on it; ``version`` is that
    of NFS or SMB, or nothing where that is not known.
    """

    path: str
    device: int
    mount_id: int
    source: str
    version: str

    def check(self, fd: int) -> None:
        """Refuse an open file or directory that does not lie on this mount.

        The server is not asked, so that this never waits for it.

        :raises errors.TargetMissing: it lies somewhere else
        """
        # From proc_pid_fdinfo(5). The id is not given to another mount as
        # long as something on this one is open.
        told = pathlib.Path(f'/proc/self/fdinfo/{fd}').read_text()
        if f'mnt_id:\t{self.mount_id}\n' not in told:
            raise errors.TargetMissing(
                f'{self.source} is not mounted at {self.path} any more'
            )


def get_options(kind: str = 'nfs') -> list[cfg.Opt]:
    """Return the options of a section whose driver has a share mounted.

    :param kind: its type: ``nfs``, ``glusterfs`` or ``smb``
    """
    return options.of_kind(kind)


def configure(conf: cfg.ConfigOpts) -> None:
    """Name the configuration whose files the privileged daemon reads.

    A program calls it once. Without it that is
    ``/etc/backupkit/backupkit.conf``.
    """
    from backupkit.mounts import command

    command.configure(conf)


@contextlib.contextmanager
def mounted(name: str, section: Any, kind: str = 'nfs') -> Iterator[Mount]:
    """Have the share of a section mounted while the block runs.

    May be entered several times, by several threads, and left by another
    thread than entered it.

    :param name: of the whole section, like ``target:nfs``
    :param section: its options, :func:`get_options` among them
    :param kind: of the share: ``nfs``, ``glusterfs`` or ``smb``
    :raises errors.ConfigurationError: the share or its options are wrong
    :raises errors.TargetMissing: the server denies the share, or something
        else is mounted in its place
    :raises errors.TargetUnavailable: the server does not answer in time
    :raises errors.PrivilegeError: the privileged daemon cannot be used
    """
    # Only here, for they import oslo.privsep.
    from backupkit.mounts import holding
    from backupkit.mounts import share as share_

    share = share_.read(name, section, kind)
    hold = holding.hold(share)
    mount = hold.enter(share)
    try:
        yield mount
    finally:
        hold.leave()


def release() -> None:
    """Unmount at once what this process does not use any more.

    That happens by itself a moment after the last use, and when the
    process ends.
    """
    from backupkit.mounts import holding

    holding.release()
