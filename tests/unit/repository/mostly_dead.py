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

"""A repository with packs that are partly dead, to be tried many times."""

from __future__ import annotations

from collections.abc import Callable
import copy
import random
from typing import Any

from backupkit.drivers import store as contract
from backupkit import errors
from backupkit import model
from backupkit.repository import layout
from backupkit.repository import repository as repository_
from backupkit.testing import faults as faults_
from backupkit.testing.memory import store
from tests.unit.repository import case

CHUNK = case.CHUNK

_CATALOG = ('_repositories', '_runs', '_backups', '_condemned')


class MostlyDeadCase(case.RepositoryCase):
    """The first of three backups is deleted; a third of it is dead."""

    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(7)
        self.data = bytearray(self.random.randbytes(60 * CHUNK))
        first = self.back_up(bytes(self.data)).backup_id
        self.versions: dict[str, bytes] = {}
        for third in (0, 1):
            self.change(range(third, 60, 3))
            kept = self.back_up(bytes(self.data))
            self.versions[kept.backup_id] = bytes(self.data)
        self.delete(first)
        self.collect()
        self.first = first
        self.last = [*self.versions][-1]

    def change(self, chunks: range | list[int]) -> None:
        """Give new bytes to some chunks of the volume."""
        for at in chunks:
            self.data[at * CHUNK : (at + 1) * CHUNK] = self.random.randbytes(
                CHUNK
            )

    def keep(self) -> Callable[[], None]:
        """Return what brings target and catalog back to what they are."""
        objects = dict(self.medium.objects)
        rows = {
            name: copy.deepcopy(getattr(self.coordinator, name))
            for name in _CATALOG
        }

        def bring_back() -> None:
            self.medium.objects.clear()
            self.medium.objects.update(objects)
            for name, value in rows.items():
                setattr(self.coordinator, name, copy.deepcopy(value))

        return bring_back

    @property
    def repository(self) -> repository_.Repository:
        """The repository, opened on the medium itself."""
        opened = repository_.open_repository(store.MemoryStore(self.medium))
        assert opened is not None
        return opened

    @property
    def condemned(self) -> set[str]:
        """The condemned list."""
        return set(self.coordinator.condemned(self.repository.repository_id))

    def packs(self, owner: str = '') -> list[layout.PackId]:
        """Return the packs that are there, of one owner or of all."""
        found = map(layout.parse, sorted(self.medium.objects))
        return [
            one
            for one in found
            if isinstance(one, layout.PackId) and owner in ('', one.owner)
        ]

    def moved(self) -> list[layout.PackId]:
        """Return the packs that have left a ``.moved``."""
        found = map(layout.parse, sorted(self.medium.objects))
        return [one.pack for one in found if isinstance(one, layout.MovedId)]

    def wrap(self, wrapper: Callable[..., contract.Store]) -> None:
        """Have a wrapper around the store of the target."""
        self.target.store_wrapper = wrapper

    def assert_whole(self) -> None:
        """Assert that all kept backups restore, and nothing is wrong."""
        for backup_id, data in self.versions.items():
            self.assertEqual(data, self.restore(backup_id))
        self.assertEqual((), self.check().findings)
        listed = {
            one.backup_id
            for one in self.target.list()
            if isinstance(one, model.BackupSummary)
        }
        self.assertEqual(set(self.versions), listed)

    def assert_nothing_stays(self) -> None:
        """Assert that gc empties a repository without backups."""
        for backup_id in self.versions:
            self.delete(backup_id)
        for _ in range(6):
            self.collect(0.0)
        self.assertEqual(
            {layout.CONFIG, layout.RESERVE}, set(self.medium.objects)
        )
        self.assertEqual(set(), self.condemned)

    def check_each_call(
        self,
        operation: Callable[[], Any],
        fault: faults_.Fault,
        *,
        lasting: bool = False,
        after: Callable[[], None] | None = None,
    ) -> int:
        """Let each call of an operation fail in turn; return how many.

        After each all must be whole, and be so still when gc has been
        through.
        """
        bring_back = self.keep()
        faults = faults_.Faults(errors.TargetError)
        self.wrap(faults.wrap)

        def begin() -> None:
            bring_back()
            operation()

        def check(raised: errors.BackupkitError | None) -> None:
            del raised
            self.assert_whole()
            for _ in range(3):
                self.collect(0.0)
            self.assert_whole()
            if after:
                after()

        return faults_.until_it_passes(
            faults, begin, check, fault=fault, lasting=lasting
        )
