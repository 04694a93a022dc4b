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


"""Target driver ``sqlite``: a repository in an SQLite database."""

from __future__ import annotations

from collections.abc import Sequence
import os
from typing import ClassVar

from oslo_config import cfg

from backupkit.drivers import capability
from backupkit import errors
from backupkit import model
from backupkit.repository import target
from backupkit_example import store


class SqliteTarget(target.RepositoryTarget):
    """Keeps backups in one SQLite database."""

    contract_version = '1.0'
    capabilities: ClassVar[capability.TargetCapabilities] = (
        capability.TargetCapabilities(
            repository=True, store=store.SqliteStore.capabilities
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        """Add one option to those that every repository has."""
        return [
            *super().get_options(),
            cfg.StrOpt(
                'database',
                required=True,
                help='Absolute path of the database. Where it is missing, '
                'the first backup makes it. There is no default.',
            ),
        ]

    def check(self) -> capability.TargetCapabilities:
        """Look whether the database is there, or can be made."""
        if not os.path.isabs(self._path):
            raise errors.ConfigurationError(
                f'option database in section [target:{self.name}] is not an '
                f'absolute path: {self._path}'
            )
        if not os.path.isdir(os.path.dirname(self._path)):
            raise errors.TargetMissing(
                f'the directory of {self._path} does not exist'
            )
        return self.capabilities

    def open(self) -> store.SqliteStore:
        """Open the database; any number may be open."""
        return store.SqliteStore(self._path)

    def storage_identity(self) -> model.StorageIdentity | None:
        """Tell the file system that holds the database."""
        try:
            found = os.statvfs(os.path.dirname(self._path))
        except OSError:
            return None
        return model.StorageIdentity(f'file system {found.f_fsid:x}')

    @property
    def _path(self) -> str:
        return str(self.section.database)
