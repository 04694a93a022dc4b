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


"""Target driver ``posix``: a repository in a directory."""

from __future__ import annotations

from collections.abc import Sequence
import os

from oslo_config import cfg

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import capability
from backupkit.drivers import store as store_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import moving
from backupkit.repository.image import options
from backupkit.repository import target
from backupkit_plugins import filesystem
from backupkit_plugins.targets.posix import store

OPTIONS = [
    cfg.StrOpt(
        'backup_posix_path',
        required=True,
        help='Directory of the repository, an absolute path. Where only its '
        'last component is missing, the first backup makes it. There is no '
        'default.',
    ),
    cfg.StrOpt(
        'storage_pool',
        default='',
        help='Name of the part of the storage on which the directory lies, '
        'where one storage system has several that fail apart. By default '
        'the whole file system is taken for one.',
    ),
]


class PosixTarget(target.RepositoryTarget):
    """Keeps backups in a directory of a local or mounted file system."""

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
        return [*super().get_options(), *options.OF_FILES, *OPTIONS]

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
        return store.PosixStore(self._path())

    def storage_identity(self) -> model.StorageIdentity | None:
        return self.patience.call('find its storage', self._identity)

    def _check(self) -> None:
        path = self._path()
        if os.path.lexists(path) and not os.path.isdir(path):
            raise errors.ConfigurationError(
                f'[target:{self.name}] backup_posix_path: {path} is not a '
                'directory'
            )
        with store.PosixStore(path) as opened:
            opened.check_access(write=not self.section.read_only)

    def _identity(self) -> model.StorageIdentity | None:
        path = self._path()
        for place in (path, os.path.dirname(path)):
            try:
                system = filesystem.identity(place)
            except OSError:
                continue
            return model.StorageIdentity(system, self.section.storage_pool)
        return None

    def _path(self) -> str:
        path = str(self.section.backup_posix_path)
        if not os.path.isabs(path) or '\0' in path:
            raise errors.ConfigurationError(
                f'[target:{self.name}] backup_posix_path must be an '
                f'absolute path, not {path!r}'
            )
        return os.path.normpath(path)
