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

"""Target driver ``swift``: a repository in a container of Swift."""

from __future__ import annotations

from collections.abc import Sequence
import functools

from oslo_config import cfg

from backupkit.copy import pipeline
from backupkit.drivers import capability
from backupkit import errors
from backupkit import model
from backupkit.repository import target
from backupkit_plugins.targets.swift import connection
from backupkit_plugins.targets.swift import identity
from backupkit_plugins.targets.swift import options
from backupkit_plugins.targets.swift import spans
from backupkit_plugins.targets.swift import store

#: What one thread of a copy holds: two batches, and what it decodes from.
_THREAD_BYTES = 3 * pipeline.BATCH_BYTES


class SwiftTarget(target.RepositoryTarget):
    """Keeps backups in a container of OpenStack Swift."""

    contract_version = '1.0'
    capabilities = capability.TargetCapabilities(
        repository=True, store=store.SwiftStore.capabilities
    )
    #: Spans that may be read ahead of a restore.
    _ahead = 0

    @functools.cached_property
    def _identity(self) -> identity.Identity:
        """Who logs in; with its token, for as long as the target is used."""
        return identity.Identity(self.name, self.section)

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return [*super().get_options(), *options.OPTIONS]

    def set_environment(
        self, cache_directory: str, threads: int, budget_bytes: int
    ) -> None:
        """Take more threads where there are more connections.

        Most of their time they wait for the cluster. They never take more
        than a quarter of the memory, unless they were given it.
        """
        self.put_threads = self.section.connections
        fit = budget_bytes // 4 // _THREAD_BYTES
        more = min(self.section.connections, fit)
        # What packs and threads leave of the memory by default.
        spare = budget_bytes // 8 // spans.SPAN_BYTES
        self._ahead = min(self.section.connections, spare)
        super().set_environment(
            cache_directory, max(threads, more), budget_bytes
        )

    def check(self) -> capability.TargetCapabilities:
        """Log in, and look at the cluster and the container.

        :raises errors.ConfigurationError: an option cannot work there
        :raises errors.TargetError: the cluster refuses, or is away
        """
        with self.open() as opened:
            opened.check()
            self._check_size(opened)
            return self.capabilities

    def open(self) -> store.SwiftStore:
        """Return the store; nothing is asked before its first call."""
        section = self.section
        connections = connection.Connections(
            self._identity, section.connections, section.timeout_seconds
        )
        return store.SwiftStore(
            connections,
            section.container,
            section.storage_policy,
            ahead=self._ahead,
        )

    def storage_identity(self) -> model.StorageIdentity | None:
        """Tell the cluster by the place where one logs in."""
        section = self.section
        where = section.storage_url or section.auth_url or section.cloud
        if not where:
            return None
        region = section.region_name or ''
        return model.StorageIdentity(
            f'swift {where} {region}'.strip(), section.storage_pool
        )

    def _check_size(self, opened: store.SwiftStore) -> None:
        """Refuse packs that the cluster would refuse.

        A pack closes when it is full, with one chunk and its table more.
        """
        section = self.section
        limit = section.max_object_size_bytes or opened.info().object_bytes
        largest = section.pack_size_bytes + 2 * section.chunk_size_bytes
        if largest > limit:
            raise errors.ConfigurationError(
                f'[target:{self.name}] pack_size_bytes '
                f'({section.pack_size_bytes}) is too much: the cluster takes '
                f'objects of {limit} bytes at the most'
            )
