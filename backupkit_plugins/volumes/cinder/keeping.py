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


"""Volumes as Cinder keeps them: made, found, waited for, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import functools
import logging
import re

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.volumes.cinder import api as api_
from backupkit_plugins.volumes.cinder import attaching
from backupkit_plugins.volumes.cinder import failures
from backupkit_plugins.volumes.cinder import properties as properties_
from backupkit_plugins.volumes.cinder import waiting

LOG = logging.getLogger(__name__)

_UUID = re.compile(
    '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
)
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,249}')


class Keeping:
    """The volumes of one backend."""

    def __init__(
        self,
        backend: str,
        section: contract.Section,
        api: api_.Api,
        attacher: attaching.Attacher,
    ) -> None:
        self._backend = backend
        self._section = section
        self._api = api
        self._attacher = attacher

    def find(self, volume_id: str) -> api_.Fields:
        """Return a volume by Cinder's id, or by the name we gave it.

        :raises errors.VolumeNotFound: there is none
        """
        if _UUID.fullmatch(volume_id):
            return self._api.volume(volume_id)
        found = []
        if _NAME.fullmatch(volume_id):
            found = self._api.marked(properties_.ALIAS, volume_id)
        if not found:
            raise errors.VolumeNotFound(
                f'backend {self._backend} has no volume {volume_id[:100]!a}: '
                'volumes have the ids that Cinder gives them; "backupkit '
                f'volume list {self._backend}" tells them'
            )
        if len(found) > 1:
            ids = ', '.join(str(each['id']) for each in found)
            raise errors.SourceError(
                f'several volumes have the name {volume_id}: say which by '
                f'its id, {ids}'
            )
        return found[0]

    def refuse_taken(self, volume_id: str) -> None:
        """Refuse what cannot be the name of a new volume.

        :raises errors.UsageError: no volume can have it
        :raises errors.VolumeExists: one has it already
        """
        if _UUID.fullmatch(volume_id) or not _NAME.fullmatch(volume_id):
            raise errors.UsageError(
                f'{volume_id[:100]!a} cannot be the name of a new volume: '
                'letters, digits, dots, hyphens and underscores can; ids '
                'are given by Cinder'
            )
        if self._api.marked(properties_.ALIAS, volume_id):
            raise errors.VolumeExists(
                f'backend {self._backend} has a volume {volume_id} already'
            )

    def make(
        self,
        volume_id: str,
        wish: api_.Fields,
        properties: Mapping[str, str],
    ) -> api_.Fields:
        """Return a new volume that is known by an id of ours.

        :param wish: what Cinder is asked for, with that id in it
        :param properties: what it is given once it is there
        :raises errors.VolumeExists: another one was made meanwhile
        """
        made = self._api.create_volume(wish)
        with self.deleted_on_failure(made['id']):
            self.wait(volume_id, made['id'])
            properties_.finish(self._api, made['id'], properties)
            if len(self._api.marked(properties_.ALIAS, volume_id)) > 1:
                # Whoever sees another one gives way, maybe both.
                raise errors.VolumeExists(
                    f'another volume {volume_id} was made at the same time'
                )
            return self._api.volume(made['id'])

    def wait(self, what: str, cinder_id: str) -> api_.Fields:
        """Return a volume once it is made.

        :param what: names it in errors
        :raises errors.SourceError: it failed, or takes too long
        """
        return waiting.ready(
            self._api,
            f'volume {what}',
            functools.partial(self._api.volume, cinder_id),
            self._section.volume_timeout_seconds,
        )

    def delete(self, cinder_id: str) -> None:
        """Delete a volume; return when it is gone. Absent is fine."""
        with contextlib.suppress(failures.Gone):
            self._api.delete_volume(cinder_id)
        waiting.gone(
            self._api,
            f'volume {cinder_id}',
            functools.partial(self._api.volume, cinder_id),
            self._section.volume_timeout_seconds,
        )

    @contextlib.contextmanager
    def deleted_on_failure(self, cinder_id: str) -> Iterator[None]:
        """Delete a volume, and what is attached of it, on an error."""
        with contextlib.ExitStack() as failed:
            failed.callback(self._try_to_delete, cinder_id)
            yield
            failed.pop_all()

    def _try_to_delete(self, cinder_id: str) -> None:
        try:
            self._attacher.clear(cinder_id)
            self.delete(cinder_id)
        except errors.BackupkitError as exc:
            LOG.warning('volume %s is left behind: %s', cinder_id, exc)
