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


"""A target in memory: all that a driver with a store has to write."""

from __future__ import annotations

from collections.abc import Sequence
import os
from typing import ClassVar

from oslo_config import cfg

from backupkit.drivers import capability
from backupkit import model
from backupkit.repository import target
from backupkit.testing.memory import store


class MemoryTarget(target.RepositoryTarget):
    """Keeps backups in the memory of this process, for tests."""

    contract_version = '1.0'
    capabilities: ClassVar[capability.TargetCapabilities] = (
        capability.TargetCapabilities(
            repository=True, store=store.MemoryStore.capabilities
        )
    )

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        """Add the name of the medium to what every repository has."""
        return [
            *super().get_options(),
            cfg.StrOpt(
                'medium',
                help='Name of the memory to use: targets with the same name '
                'share it. By default the name of the section.',
            ),
        ]

    def open(self) -> store.MemoryStore:
        """Return a store on the medium; any number may be open."""
        return store.MemoryStore(store.medium(self._medium_name))

    def storage_identity(self) -> model.StorageIdentity:
        """Tell that this process holds it."""
        return model.StorageIdentity(
            f'memory of process {os.getpid()}', self._medium_name
        )

    @property
    def _medium_name(self) -> str:
        return self.section.medium or self.name
