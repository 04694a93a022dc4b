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

"""Snapshots of volumes, by the names under which they are known here."""

from __future__ import annotations

import collections
import contextlib
import functools

from backupkit.drivers import contract
from backupkit import errors
from backupkit import model
from backupkit_plugins.volumes.cinder import api as api_
from backupkit_plugins.volumes.cinder import attaching
from backupkit_plugins.volumes.cinder import failures
from backupkit_plugins.volumes.cinder import keeping as keeping_
from backupkit_plugins.volumes.cinder import properties
from backupkit_plugins.volumes.cinder import waiting

#: With this begin the names of snapshots of backups. Several of one name
#: are of one backup, whose requests were answered too late.
_OURS = model.derived_name('')


class Snapshots:
    """The snapshots of one backend."""

    def __init__(
        self,
        section: contract.Section,
        api: api_.Api,
        keeping: keeping_.Keeping,
        attacher: attaching.Attacher,
    ) -> None:
        self._section = section
        self._api = api
        self._keeping = keeping
        self._attacher = attacher

    def named(self, cinder_id: str) -> dict[str, api_.Fields]:
        """Return the snapshots of a volume, oldest first.

        Cinder lets many have one name, or none: these are known by their
        ids.
        """
        taken = sorted(
            self._api.snapshots_of(cinder_id),
            key=lambda one: str(one.get('created_at') or ''),
        )
        counts = collections.Counter(one['name'] for one in taken)
        known: dict[str, api_.Fields] = {}
        for one in taken:
            name = one['name'] or ''
            fit = counts[name] == 1 or name.startswith(_OURS)
            known[
                name if name and fit and name not in known else one['id']
            ] = one
        return known

    def find(self, cinder_id: str, name: str) -> api_.Fields | None:
        """Return the snapshot of a volume that is known by a name, if any.

        :raises errors.SourceError: several have it
        """
        return next(iter(self._all(cinder_id, name)), None)

    def get(self, cinder_id: str, name: str) -> api_.Fields:
        """Return the snapshot of a volume that is known by a name.

        :raises errors.VolumeNotFound: there is none
        :raises errors.SourceError: several have it
        """
        taken = self.find(cinder_id, name)
        if taken is None:
            raise errors.VolumeNotFound(
                f'volume {cinder_id} has no snapshot {name}'
            )
        return taken

    def take(self, cinder_id: str, name: str) -> api_.Fields:
        """Return the snapshot of this name, which is made if needed."""
        taken = self.find(cinder_id, name)
        if taken is None:
            taken = self._api.create_snapshot(cinder_id, name)
        return waiting.ready(
            self._api,
            f'snapshot {name} of volume {cinder_id}',
            functools.partial(self._api.snapshot, taken['id']),
            self._section.snapshot_timeout_seconds,
        )

    def delete(self, snapshot: model.Snapshot) -> None:
        """Delete a snapshot, and what was made of it to be read."""
        taken: list[api_.Fields] = []
        with contextlib.suppress(errors.VolumeNotFound):
            found = self._keeping.find(snapshot.volume_id)
            taken = self._all(found['id'], snapshot.name)
        # First what was made of it: much storage keeps them together.
        self._delete_temporary(snapshot.name, {one['id'] for one in taken})
        for one in taken:
            with contextlib.suppress(failures.Gone):
                self._api.delete_snapshot(one['id'])
            waiting.gone(
                self._api,
                f'snapshot {snapshot.name}',
                functools.partial(self._api.snapshot, one['id']),
                self._section.snapshot_timeout_seconds,
            )

    def _delete_temporary(self, name: str, ours: set[str]) -> None:
        """Delete temporary volumes, but those of other volumes' snapshots."""
        made = self._api.marked(properties.TEMPORARY, name)
        if not made:
            return
        others = {one['id'] for one in self._api.snapshots(name)} - ours
        for one in made:
            if one.get('snapshot_id') not in others:
                self._attacher.clear(one['id'])
                self._keeping.delete(one['id'])

    def _all(self, cinder_id: str, name: str) -> list[api_.Fields]:
        known = self.named(cinder_id)
        same = [one for one in known.values() if one['name'] == name]
        if name.startswith(_OURS):
            return same
        if name not in known and same:
            ids = ', '.join(str(one['id']) for one in same)
            raise errors.SourceError(
                f'volume {cinder_id} has several snapshots of the name '
                f'{name}: say which by its id, {ids}'
            )
        return [known[name]] if name in known else []
