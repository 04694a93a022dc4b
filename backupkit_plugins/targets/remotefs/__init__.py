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

"""What the target drivers on shares have in common: all but the share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import os
from typing import ClassVar

from oslo_config import cfg

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import capability
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import model
from backupkit import mounts
from backupkit.repository.image import moving
from backupkit.repository.image import options
from backupkit.repository import target
from backupkit_plugins import share
from backupkit_plugins.targets.posix import failures
from backupkit_plugins.targets.remotefs import mounted

OPTIONS = [
    cfg.StrOpt(
        'storage_pool',
        default='',
        help='Name of the part of the storage on which the share lies, '
        'where one storage system has several that fail apart. By default '
        'the whole share is taken for one.',
    ),
]


class RemoteFsTarget(target.RepositoryTarget):
    """Keeps backups on a share, which it mounts when it is used.

    The repository lies in the root of the share, in the same form as that
    of the target ``posix``, whose store this holds. A driver says which type
    of share it has, and what an operator should know of it.
    """

    #: As :func:`backupkit.mounts.mounted` calls it.
    kind: ClassVar[str]

    contract_version = '1.0'
    capabilities = capability.TargetCapabilities(
        repository=True,
        transfer=True,
        store=capability.StoreCapabilities(
            list_complete=True, put_if_absent=True, files=True
        ),
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return [
            *super().get_options(),
            *mounts.get_options(cls.kind),
            *options.OF_FILES,
            *OPTIONS,
        ]

    @property
    def layout(self) -> str:
        return str(self.section.layout)

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        """Let the file system share or copy blocks, as the section allows.

        Declined for all but the image of a new backup.
        """
        return moving.transfer(self.section.offload, reader, writer, control)

    def check(self) -> capability.TargetCapabilities:
        self.patience.call('check', self._check)
        return self.capabilities

    def open(self) -> store_.Store:
        return self._open()

    def storage_identity(self) -> model.StorageIdentity | None:
        system = self.patience.call('read the storage id', self._read_id)
        return model.StorageIdentity(system, self.section.storage_pool)

    def prepare_repository(self, coordinator: target_.Coordinator) -> str:
        if not self.section.read_only:
            self.patience.call('put the storage id', self._put_id)
        return super().prepare_repository(coordinator)

    @property
    def mount_options(self) -> str:
        """The mount options of the section."""
        option = f'backup_{self.kind}_mount_options'
        return str(getattr(self.section, option) or '')

    @property
    def _section_name(self) -> str:
        return f'target:{self.name}'

    def _open(self) -> mounted.MountedStore:
        return mounted.open_store(self._section_name, self.section, self.kind)

    def _check(self) -> None:
        with self._open() as opened:
            opened.check_access(write=not self.section.read_only)

    @property
    def _share_option(self) -> str:
        return f'backup_{self.kind}_share'

    def _read_id(self) -> str:
        """Return the id of the share; its name until it has one."""
        with self._root('read') as root:
            found = share.read(root)
        return f'share-{found or getattr(self.section, self._share_option)}'

    def _put_id(self) -> None:
        with self._root('write') as root:
            if share.read(root) is None:
                share.put(root)

    @contextlib.contextmanager
    def _root(self, action: str) -> Iterator[int]:
        """Lend an open descriptor of the share's root."""
        with mounts.mounted(
            self._section_name, self.section, self.kind
        ) as mount:
            path = os.path.join(mount.path, share.NAME)
            with failures.translated(action, path, lambda: None):
                root = os.open(mount.path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    mount.check(root)
                    yield root
                finally:
                    os.close(root)
