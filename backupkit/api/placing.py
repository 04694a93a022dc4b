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

"""What a program calls for what backups are made of, and kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backupkit.api import session as session_
from backupkit.copy import control as control_

if TYPE_CHECKING:
    from backupkit.api import results
    from backupkit.drivers import target as target_


class Placing(session_.Part):
    """The part of the API for volumes and repositories."""

    def list_volumes(
        self, backend: str | None = None
    ) -> list[results.VolumeEntry]:
        """List the volumes of one backend, or of all that are enabled."""
        from backupkit.api import volumes

        return volumes.entries(self._session, backend)

    def show_volume(self, volume: str) -> results.VolumeEntry:
        """Describe one volume as it is now."""
        from backupkit.api import volumes

        return volumes.show(self._session, volume)

    def create_volume(
        self, volume: str, size_bytes: int
    ) -> results.VolumeEntry:
        """Make a volume of exactly this size."""
        from backupkit.api import volumes

        return volumes.create(self._session, volume, size_bytes)

    def delete_volume(self, volume: str) -> None:
        """Remove a volume and all that it holds."""
        from backupkit.api import volumes

        volumes.delete(self._session, volume)

    def clone_volume(
        self, source: str, volume: str, *, snapshot: str | None = None
    ) -> results.VolumeEntry:
        """Make a volume that is as another one of its backend is.

        :param snapshot: as it was at this snapshot
        """
        from backupkit.api import volumes

        return volumes.clone(self._session, source, volume, snapshot)

    def list_snapshots(self, volume: str) -> list[results.SnapshotEntry]:
        """List the snapshots of a volume, oldest first."""
        from backupkit.api import snapshots

        return snapshots.entries(self._session, volume)

    def create_snapshot(self, volume: str, name: str) -> results.SnapshotEntry:
        """Make a snapshot of a volume; one of that name is returned."""
        from backupkit.api import snapshots

        return snapshots.create(self._session, volume, name)

    def delete_snapshot(self, volume: str, name: str) -> None:
        """Delete a snapshot of a volume; absent is fine."""
        from backupkit.api import snapshots

        snapshots.delete(self._session, volume, name)

    def list_checkpoints(
        self, volume: str | None = None
    ) -> list[results.CheckpointEntry]:
        """List what tells the next backups what changed."""
        from backupkit.api import checkpoints

        return checkpoints.entries(self._session, volume)

    def drop_checkpoints(self, volume: str) -> int:
        """Drop the checkpoints of a volume; return how many there were.

        The next backup of it to each target reads all of it.
        """
        from backupkit.api import checkpoints

        return checkpoints.drop(self._session, volume)

    def repository_stats(self, target: str | None = None) -> dict[str, int]:
        """Tell how much a repository keeps, in bytes and objects."""
        from backupkit.api import repositories

        return repositories.stats(self._session, target)

    def check_repository(
        self,
        target: str | None = None,
        *,
        read_data: bool = False,
        part: tuple[int, int] | None = None,
        control: control_.Control | None = None,
    ) -> target_.Report:
        """Check every object of a repository, and record who is hurt.

        :param read_data: read every byte, instead of structure and sizes
        :param part: (K, N): read every byte of part K of N; whoever reads
            all N of them, one after the other, has read each pack once
        """
        from backupkit.api import repositories

        return repositories.check(
            self._session,
            target,
            control or control_.Control(),
            read_data=read_data,
            part=part,
        )

    def collect_garbage(
        self,
        target: str | None = None,
        *,
        max_unused: float = 0.2,
        control: control_.Control | None = None,
    ) -> target_.GcResult:
        """Remove what no backup reaches.

        Never what a run may still read or write: the result names the runs
        that are waited for, and a later call goes on.

        :param max_unused: share of the stored bytes that may stay though no
            backup needs them, because others in the same packs are needed;
            where there are more, packs are written anew. 1: never
        """
        from backupkit.api import repositories

        return repositories.collect(
            self._session,
            target,
            control or control_.Control(),
            max_unused=max_unused,
        )

    def adopt_repository(self, target: str | None = None) -> dict[str, str]:
        """Take a repository over from another catalog, for writing.

        Nothing that uses the former catalog may run on it from then on.
        """
        from backupkit.api import repositories

        return repositories.adopt(self._session, target)

    def rebuild_catalog(
        self, target: str | None = None
    ) -> results.RebuildResult:
        """Fill the catalog from what a target tells of its backups."""
        from backupkit.api import repositories

        return repositories.rebuild(self._session, target)
