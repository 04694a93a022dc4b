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

"""A target that keeps its backups in a repository in a store.

A driver derives from :class:`RepositoryTarget`, writes ``open()`` for its
store and ``storage_identity()``, and is done.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
import contextlib
import logging
import os
from typing import ClassVar, TYPE_CHECKING

from oslo_config import cfg

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import capability
from backupkit.drivers import contract
from backupkit.drivers import opened as opened_
from backupkit.drivers import patience as patience_
from backupkit.drivers import store as store_
from backupkit.drivers import target as target_
from backupkit import errors
from backupkit import model
from backupkit.repository import options

if TYPE_CHECKING:
    from backupkit.repository import operations
    from backupkit.repository import repack

LOG = logging.getLogger(__name__)


class RepositoryTarget(target_.Target, abc.ABC):
    """Implements the target contract on top of a store.

    ``store_wrapper`` is set by the loader: it adds retries, a limit of the
    rate and the like, as the section asks for. So is ``patience``, with
    which a driver makes calls of its own that may hang.
    """

    capabilities: ClassVar[capability.TargetCapabilities] = (
        capability.TargetCapabilities(repository=True)
    )

    def __init__(self, name: str, section: contract.Section) -> None:
        super().__init__(name, section)
        self.store_wrapper: Callable[..., store_.Store] = _unwrapped
        self.patience = patience_.ENDLESS
        self.cache_directory: str | None = None
        #: Packs that are put at the same time, where memory allows it.
        self.put_threads = 2
        self.threads = min(4, len(os.sched_getaffinity(0)))
        self.budget_bytes = 256 << 20

    @classmethod
    def get_options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @property
    def layout(self) -> str:
        """The layout of new backups: ``chunks``, or ``image``.

        Backups of the other one can be used all the same. A driver whose
        store has the capability ``files`` may let its section decide.
        """
        return 'chunks'

    @abc.abstractmethod
    def open(self) -> store_.Store:
        """Return the opened store.

        :raises errors.TargetMissing: the place is not there
        """

    def set_environment(
        self, cache_directory: str, threads: int, budget_bytes: int
    ) -> None:
        """Say where indexes are cached, and what a copy may use."""
        self.cache_directory = cache_directory
        self.threads = threads
        self.budget_bytes = budget_bytes

    @contextlib.contextmanager
    def opened(
        self, control: control_.Control | None = None
    ) -> Iterator[store_.Store]:
        """Open the store with the wrappers that the section asks for.

        :raises errors.TargetStalled: it is not open in time
        """
        check = control.check if control else None
        store = self.patience.call(
            'open', self.open, check=check, discard=_close
        )
        try:
            yield self.store_wrapper(store, check)
        finally:
            self._close(store)

    def _close(self, store: store_.Store) -> None:
        try:
            self.patience.call('close', store.close)
        except errors.TargetStalled as exc:
            # All that was promised is kept: what is open goes with us.
            LOG.warning('%s', exc)

    def _work(self) -> operations.Operations:
        """Return what does the work.

        Imported late: listing backups and checking a configuration load
        the driver's class, and need nothing of the repository.
        """
        from backupkit.repository import operations

        return operations.Operations(self)

    # The target contract.

    def backup(
        self,
        request: model.BackupRequest,
        open_reader: target_.OpenReader,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> target_.Prepared:
        return self._work().backup(request, open_reader, coordinator, control)

    def revise(
        self, prepared: target_.Prepared, *, consistent: bool
    ) -> target_.Prepared:
        return self._work().revise(prepared, consistent=consistent)

    def commit(self, prepared: target_.Prepared) -> None:
        self._work().commit(prepared)

    def abort(
        self, backup_id: str, confirm: Callable[[], bool] | None = None
    ) -> bool:
        return self._work().abort(backup_id, confirm)

    def restore(
        self,
        backup_id: str,
        writer: interface.Writer,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> model.BackupSummary:
        return self._work().restore(backup_id, writer, control)

    def open_backup(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
    ) -> contextlib.AbstractContextManager[opened_.OpenedBackup]:
        return self._work().open_backup(backup_id, control)

    def verify(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        full: bool = False,
    ) -> target_.Report:
        from backupkit.repository import selection

        return self._work().verify(
            backup_id,
            coordinator,
            control,
            reads=selection.All() if full else selection.Nothing(),
        )

    def verify_sample(
        self,
        backup_id: str,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        share: float,
    ) -> target_.Report:
        from backupkit.repository import selection

        return self._work().verify(
            backup_id, coordinator, control, reads=selection.Sample(share)
        )

    def delete(self, backup_id: str) -> None:
        self._work().delete(backup_id)

    def show(self, backup_id: str) -> model.BackupSummary:
        return self._work().show(backup_id)

    def list(self) -> Iterator[model.BackupSummary | target_.Finding]:
        return self._work().list()

    # What a repository offers beyond it.

    def prepare_repository(self, coordinator: target_.Coordinator) -> str:
        """Open or make the repository, for writing; return its id.

        :raises errors.NotOwner: another catalog writes there
        :raises errors.TargetMissing: a repository was here and is gone
        """
        return self._work().prepare(coordinator)

    def check_repository(
        self,
        coordinator: target_.Coordinator,
        control: control_.Control,
        *,
        read_data: bool = False,
        part: tuple[int, int] | None = None,
    ) -> target_.Report:
        """Check every object of the repository.

        :param read_data: read every byte of it
        :param part: (K, N): read every byte of part K of N
        :raises errors.UsageError: there is no such part
        """
        from backupkit.repository import selection

        reads: selection.Selection = selection.Nothing()
        if read_data:
            reads = selection.All()
        elif part is not None:
            reads = selection.Part(*part)
        return self._work().check(coordinator, control, reads=reads)

    def collect(
        self,
        coordinator: target_.Coordinator,
        control: control_.Control,
        wish: repack.Wish | None = None,
    ) -> target_.GcResult:
        """Remove what no backup reaches.

        :param wish: asks to move what is in use out of packs mostly dead
        :raises errors.NotOwner: another catalog writes there
        :raises errors.Damaged: a manifest cannot be read: nothing was
            removed
        """
        return self._work().collect(coordinator, control, wish)

    def stats(self, coordinator: target_.Coordinator) -> dict[str, int]:
        """Tell how much is kept, in bytes and objects.

        ``logical_bytes`` is the size of all volumes at their backups,
        ``data_bytes`` what of it was not zero, ``changed_bytes`` what
        differed from the parents, ``unique_bytes`` the plain size of all
        chunks that backups reach, each once, and ``stored_bytes`` the size
        of all objects.
        """
        return self._work().stats()

    def adopt(self, coordinator: target_.Coordinator) -> str:
        """Take writing over from another catalog; return that one's id."""
        return self._work().adopt(coordinator)

    def release_reserve(self) -> None:
        """Free the reserve, so that a full target can be emptied."""
        self._work().release_reserve()

    def keep_reserve(self) -> None:
        """Put the reserve back where there is room."""
        self._work().keep_reserve()


def _close(store: store_.Store) -> None:
    store.close()


def _unwrapped(store: store_.Store, *unused: object) -> store_.Store:
    return store
