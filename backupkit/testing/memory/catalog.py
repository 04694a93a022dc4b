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


"""What a target asks of the catalog, kept in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
import dataclasses
import threading
import uuid

from backupkit import model


@dataclasses.dataclass(slots=True)
class _Run:
    """A run that was registered."""

    number: int
    backup_id: str
    repository_id: str
    live: bool = True
    collects: bool = False


class MemoryCoordinator:
    """A catalog's part in the work of a target.

    Besides what a target asks it takes what flows tell the catalog: that a
    run begins and ends, and which backups there are. All methods may be
    called from several threads.
    """

    def __init__(self, catalog_id: str | None = None) -> None:
        self._catalog_id = catalog_id or str(uuid.uuid4())
        self._lock = threading.RLock()
        self._repositories: dict[str, str] = {}
        self._runs: dict[int, _Run] = {}
        self._backups: dict[str, model.BackupSummary] = {}
        self._condemned: dict[str, dict[str, int | None]] = {}

    # What flows tell.

    def begin(
        self,
        backup_id: str,
        repository_id: str = '',
        *,
        collects: bool = False,
    ) -> int:
        """Register a run that works on a backup, and return its number.

        :param repository_id: empty where it is not known yet: the run then
            counts as live in every repository
        :param collects: it is a collection, and ``backup_id`` the owner of
            the packs that it makes
        """
        with self._lock:
            number = self.last_run() + 1
            self._runs[number] = _Run(
                number, backup_id, repository_id, collects=collects
            )
            return number

    def end(self, number: int) -> None:
        """Let a run be over, in whatever way."""
        with self._lock:
            self._runs[number].live = False

    def record(self, number: int, summary: model.BackupSummary) -> None:
        """Record that a run has committed its backup, and end it."""
        with self._lock:
            self._backups[summary.backup_id] = summary
            self._runs[number].repository_id = summary.repository_id
            self.end(number)

    def remove(self, backup_id: str) -> None:
        """Record that a backup was deleted; absent is fine."""
        with self._lock:
            self._backups.pop(backup_id, None)

    # What a target asks.

    @property
    def catalog_id(self) -> str:
        """The identity of this catalog."""
        return self._catalog_id

    def known_repository(self, target: str) -> str | None:
        """Return the id of the repository last seen at this target."""
        return self._repositories.get(target)

    def remember_repository(self, target: str, repository_id: str) -> None:
        """Record which repository a target holds."""
        self._repositories[target] = repository_id

    def committed(self, repository_id: str) -> Collection[str]:
        """Return the ids of all backups that are available there."""
        with self._lock:
            return {
                backup_id
                for backup_id, summary in self._backups.items()
                if summary.repository_id == repository_id
            }

    def latest(
        self, repository_id: str, backend: str, volume_id: str
    ) -> str | None:
        """Return the last available backup of a volume there."""
        with self._lock:
            candidates = [
                summary
                for summary in self._backups.values()
                if summary.repository_id == repository_id
                and summary.backend == backend
                and summary.volume_id == volume_id
            ]
        last = max(candidates, key=lambda s: s.sequence, default=None)
        return last.backup_id if last else None

    def known(self, repository_id: str) -> Collection[str]:
        """Return every id that ever wrote there and is not forgotten."""
        with self._lock:
            return {run.backup_id for run in self._there(repository_id)}

    def live(
        self, repository_id: str, upto: int | None = None
    ) -> Collection[str]:
        """Return the backup ids of runs that may still read or write."""
        with self._lock:
            return {
                run.backup_id
                for run in self._there(repository_id)
                if run.live
                and (upto is None or run.number <= upto)
                and not (run.collects and upto is not None)
            }

    def astray(self, repository_id: str) -> Collection[str]:
        """Return the backups that a run aborted in its commit may still put.

        There are none: a run in memory ends with what it was doing.
        """
        return frozenset()

    def last_run(self) -> int:
        """Return the number of the last run registered."""
        with self._lock:
            return max(self._runs, default=0)

    def condemned(self, repository_id: str) -> Mapping[str, int | None]:
        """Return the condemned packs, each with its barrier or None."""
        with self._lock:
            return dict(self._condemned.get(repository_id, {}))

    def condemn(self, repository_id: str, packs: Iterable[str]) -> None:
        """Put packs on the list; those that are on it stay as they are."""
        with self._lock:
            listed = self._condemned.setdefault(repository_id, {})
            for pack in packs:
                listed.setdefault(pack, None)

    def set_barrier(self, repository_id: str, run_number: int) -> None:
        """Give every condemned pack without a barrier one.

        It is the number of the last run now, where that is higher: another
        collector may have condemned a pack since the caller has asked.
        """
        with self._lock:
            barrier = max(run_number, self.last_run())
            listed = self._condemned.setdefault(repository_id, {})
            for pack, known in listed.items():
                listed[pack] = barrier if known is None else known

    def absolve(self, repository_id: str, packs: Iterable[str]) -> None:
        """Take packs that were deleted off the list."""
        with self._lock:
            listed = self._condemned.setdefault(repository_id, {})
            for pack in packs:
                listed.pop(pack, None)

    def forget(self, repository_id: str, backup_ids: Iterable[str]) -> None:
        """Drop the runs of backups of which nothing is left.

        The last run stays, so that no number is given twice.
        """
        forgotten = set(backup_ids)
        with self._lock:
            for run in self._there(repository_id):
                if run.backup_id in forgotten and not run.live:
                    run.backup_id = ''
                    run.repository_id = 'none'

    def _there(self, repository_id: str) -> list[_Run]:
        return [
            run
            for run in self._runs.values()
            if run.repository_id in ('', repository_id)
        ]
