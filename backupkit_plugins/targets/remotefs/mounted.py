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


"""A POSIX store on a share, which is mounted as long as it is open."""

from __future__ import annotations

import contextlib

from backupkit.drivers import contract
from backupkit.drivers.wrappers import base
from backupkit import mounts
from backupkit_plugins.targets.posix import store as posix_store


class MountedStore(base.StoreWrapper):
    """A store and what it needs, which is let go of behind it.

    :param needs: holds the mount, and the store itself
    """

    def __init__(
        self, inner: posix_store.PosixStore, needs: contextlib.ExitStack
    ) -> None:
        super().__init__(inner)
        self._posix = inner
        self._needs = needs

    def check_access(self, *, write: bool) -> None:
        """Ask whether this process may work here, and change nothing.

        :raises errors.TargetError: it may not; tells who may, and the cure
        """
        self._posix.check_access(write=write)

    def close(self) -> None:
        """Close the store, and then leave the mount to others."""
        self._needs.close()


def open_store(
    name: str, section: contract.Section, kind: str
) -> MountedStore:
    """Mount the share of a section, and open the store in its root.

    :param name: of the section, with its ``target:``
    :param kind: of the share, as :func:`backupkit.mounts.mounted` has it
    :raises errors.BackupkitError: as :func:`backupkit.mounts.mounted` does
    :raises errors.TargetError: what is mounted cannot be opened
    """
    with contextlib.ExitStack() as stack:
        mount = stack.enter_context(mounts.mounted(name, section, kind))
        opened = stack.enter_context(
            posix_store.PosixStore(mount.path, mount.check)
        )
        return MountedStore(opened, stack.pop_all())
