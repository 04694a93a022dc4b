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

"""The contract of a target driver.

A target keeps backups. Most drivers derive from
:class:`backupkit.repository.target.RepositoryTarget`, write ``open()`` for
a store of theirs, and are done: everything below is implemented there.

A backup comes to be in two steps. ``backup`` writes all of it but the one
object that makes it exist, and returns plain data. ``commit`` writes that
object. Between the two the run is put into the state *committing* in the
catalog, so that a run that was aborted meanwhile can never commit.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
import contextlib
import dataclasses
from typing import Any, ClassVar, Protocol

from backupkit.copy import control as control_
from backupkit.copy import interface
from backupkit.drivers import capability
from backupkit.drivers import contract
from backupkit.drivers import opened as opened_
from backupkit.drivers import volume as volume_
from backupkit import errors
from backupkit import model


class Coordinator(Protocol):
    """What a target may ask the catalog, which coordinates the writers.

    Packs are named by their object names. Implemented by the catalog, and
    by :class:`backupkit.testing.memory.catalog.MemoryCoordinator`.
    """

    @property
    def catalog_id(self) -> str:
        """The identity of the catalog, as a repository records it."""

    def known_repository(self, target: str) -> str | None:
        """Return the id of the repository last seen at this target."""

    def remember_repository(self, target: str, repository_id: str) -> None:
        """Record which repository a target holds."""

    def committed(self, repository_id: str) -> Collection[str]:
        """Return the ids of all backups that are available there."""

    def latest(
        self, repository_id: str, backend: str, volume_id: str
    ) -> str | None:
        """Return the last available backup of a volume there."""

    def known(self, repository_id: str) -> Collection[str]:
        """Return every id that ever wrote there and is not forgotten."""

    def live(
        self, repository_id: str, upto: int | None = None
    ) -> Collection[str]:
        """Return the backup ids of runs that may still read or write.

        A collection that moves packs is named by the owner of those that
        it makes, unless ``upto`` is given: it reuses nothing, so nobody
        waits for it.

        :param upto: only runs with a number up to this one
        """

    def astray(self, repository_id: str) -> Collection[str]:
        """Return the backups that a run aborted in its commit may still put.

        Their tombstones must stay.
        """

    def last_run(self) -> int:
        """Return the number of the last run registered."""

    def condemned(self, repository_id: str) -> Mapping[str, int | None]:
        """Return the condemned packs, each with its barrier or None."""

    def condemn(self, repository_id: str, packs: Iterable[str]) -> None:
        """Put packs on the list, in one transaction."""

    def set_barrier(self, repository_id: str, run_number: int) -> None:
        """Give every condemned pack without a barrier this one."""

    def absolve(self, repository_id: str, packs: Iterable[str]) -> None:
        """Take packs that were deleted off the list."""

    def forget(self, repository_id: str, backup_ids: Iterable[str]) -> None:
        """Drop the rows of backups of which nothing is left."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A backup that is wholly written but for its commit.

    ``document`` is the content of the commit object, as text.
    """

    summary: model.BackupSummary
    document: str

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that :meth:`from_dict` takes."""
        return {
            'summary': self.summary.to_dict(),
            'document': self.document,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Prepared:
        """Rebuild it from its plain form."""
        return cls(
            model.BackupSummary.from_dict(plain['summary']),
            plain['document'],
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a verify or check found wrong.

    ``backup_ids`` are the backups known to be hurt by it.
    """

    name: str
    problem: str
    backup_ids: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a verify or check looked at, and what it found."""

    objects: int = 0
    chunks: int = 0
    bytes_read: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclasses.dataclass(frozen=True, slots=True)
class GcResult:
    """What one collection did.

    ``waiting_for`` names the runs that must end before the condemned packs
    can go; a later collection goes on. ``condemned_packs`` are those still
    on the list, and ``swept`` what dead processes had left. ``moved_packs``
    are those of the deleted ones out of which ``moved_bytes`` were copied
    that backups still need.
    """

    deleted_packs: int = 0
    deleted_bytes: int = 0
    condemned_packs: int = 0
    waiting_for: tuple[str, ...] = ()
    swept: int = 0
    moved_packs: int = 0
    moved_bytes: int = 0


#: Opens the volume to be read. It is given the id of the parent backup (or
#: None for a full one), against which its ``same`` extents hold, and says
#: in its extents what need not be read.
OpenReader = Callable[[str | None], interface.Reader]


class Target(contract.Driver, abc.ABC):
    """Base class of target drivers."""

    capabilities: ClassVar[capability.TargetCapabilities] = (
        capability.TargetCapabilities()
    )

    def use_backends(
        self, load: Callable[[str], volume_.VolumeDriver]
    ) -> None:
        """Take what returns the volume driver of a configured backend.

        Called once, by the loader. For a target that keeps backups as
        volumes; the default needs no backend.

        :param load: takes the name of a section without its ``backend:``;
            it is loaded then
        """
        return

    @property
    def kept_on(self) -> str | None:
        """The backend whose volumes the backups are; None if none are."""
        return None

    def set_environment(
        self, cache_directory: str, threads: int, budget_bytes: int
    ) -> None:
        """Say where a cache may lie, and what a copy may use.

        The default uses neither.
        """
        return

    def check(self) -> capability.TargetCapabilities:
        """Return the effective capabilities, after a quick look.

        Quick, repeatable, without side effects; the target need not hold
        any backup yet.

        :raises errors.ConfigurationError: an option cannot work here
        :raises errors.TargetError: the place cannot be reached
        """
        return self.capabilities

    @abc.abstractmethod
    def storage_identity(self) -> model.StorageIdentity | None:
        """Tell which storage the backups lie on, or None if unknown."""

    @abc.abstractmethod
    def backup(
        self,
        request: model.BackupRequest,
        open_reader: OpenReader,
        coordinator: Coordinator,
        control: control_.Control,
    ) -> Prepared:
        """Write everything of a backup but what makes it exist.

        :raises errors.TargetError: the target failed
        :raises errors.SourceError: the volume failed
        """

    def revise(self, prepared: Prepared, *, consistent: bool) -> Prepared:
        """Return a prepared backup with what is known only after the copy.

        ``consistent`` is False where the volume changed while it was read
        and the operator wanted the backup all the same.
        """
        return dataclasses.replace(
            prepared,
            summary=dataclasses.replace(
                prepared.summary, consistent=consistent
            ),
        )

    @abc.abstractmethod
    def commit(self, prepared: Prepared) -> None:
        """Make a prepared backup exist, durably and at once.

        Committing what is committed already succeeds.

        :raises errors.RunAborted: the run was aborted meanwhile
        """

    @abc.abstractmethod
    def abort(
        self, backup_id: str, confirm: Callable[[], bool] | None = None
    ) -> bool:
        """Make sure that a backup can never be committed, and remove it.

        Called once the run is ``aborted`` in the catalog. Absent is fine.

        :param confirm: asked when no commit can come any more and before
            anything is removed: whether the run is still aborted. It may
            have committed, and its backup been deleted, since.

        :returns: False where it turned out to be committed: nothing was
            removed then, and the caller records it as available
        """

    @abc.abstractmethod
    def restore(
        self,
        backup_id: str,
        writer: interface.Writer,
        coordinator: Coordinator,
        control: control_.Control,
    ) -> model.BackupSummary:
        """Write a backup's bytes, each checked before it is written.

        :raises errors.NotFound: there is no such backup
        :raises errors.IntegrityError: a byte is not what was kept
        """

    def open_backup(
        self,
        backup_id: str,
        coordinator: Coordinator,
        control: control_.Control,
    ) -> contextlib.AbstractContextManager[opened_.OpenedBackup]:
        """Lend a backup, to be read in any order: for a copy elsewhere.

        The reader checks every block, and is good within the context only.
        The default cannot.

        :raises errors.NotFound: there is no such backup; on entry
        :raises errors.IntegrityError: it is damaged; on entry, or by the
            reader
        """
        raise errors.NotSupported(
            f'target {self.name} cannot lend its backups to be read'
        )

    @abc.abstractmethod
    def verify(
        self,
        backup_id: str,
        coordinator: Coordinator,
        control: control_.Control,
        *,
        full: bool = False,
    ) -> Report:
        """Check a backup: structure, sizes, presence; all bytes if full."""

    def verify_sample(
        self,
        backup_id: str,
        coordinator: Coordinator,
        control: control_.Control,
        *,
        share: float,
    ) -> Report:
        """Check a backup like :meth:`verify`, and a share of its bytes.

        Which of them is left to chance. The default reads all of them.

        :param share: more than 0, and at most 1
        """
        return self.verify(backup_id, coordinator, control, full=True)

    @abc.abstractmethod
    def delete(self, backup_id: str) -> None:
        """Make a backup not exist; absent is fine.

        Space that others share comes back when the target collects it.
        """

    @abc.abstractmethod
    def show(self, backup_id: str) -> model.BackupSummary:
        """Tell of one committed backup, from the target alone.

        :raises errors.NotFound: there is none
        :raises errors.IntegrityError: it is damaged
        """

    @abc.abstractmethod
    def list(self) -> Iterator[model.BackupSummary | Finding]:
        """Yield the committed backups, from the target alone.

        A backup whose record is damaged comes as a :class:`Finding`.
        """

    def leftovers(self) -> Iterator[str]:
        """Yield the ids of backups that were begun and not committed.

        From the target alone: some of them may be under way. What belongs
        to no run that lives is undone by :meth:`abort`. The default has
        none: a repository's are the business of its collection.
        """
        return iter(())

    def transfer(
        self,
        reader: interface.Reader,
        writer: interface.Writer,
        control: control_.Control,
    ) -> bool:
        """Move the bytes of one volume from a reader to a writer.

        The one method that vendors override, to move less. It must have
        the same result as the default copy: every ``data`` extent of the
        reader is written, every ``zero`` extent zeroed, every ``same``
        extent passed on. ``finish`` is the caller's.

        :returns: False to decline before the first byte has moved; the
            default copy then does the work
        """
        return False
