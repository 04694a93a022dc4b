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


"""The requests to Cinder's API that the driver makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import json
import threading
from typing import Any
from urllib import parse

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.volumes.cinder import access
from backupkit_plugins.volumes.cinder import failures

_PAGE = 500

#: One volume, snapshot or attachment, as Cinder describes it.
Fields = Mapping[str, Any]


class Api:
    """Block storage, version 3, as one section reaches it.

    Every method may raise an error of :mod:`failures`. Answers that hold
    connection information are never logged.
    """

    def __init__(self, backend: str, section: contract.Section) -> None:
        self._backend = backend
        self._section = section
        self._lock = threading.Lock()
        self._adapter: Any = None

    def endpoint(self) -> str:
        """Return the URL of Cinder, without what names a project."""
        what = f'backend {self._backend} cannot reach Cinder'
        with access.translated(what):
            url = self._connected().get_endpoint()
        if not url:
            raise errors.ConfigurationError(
                f'{what}: the catalog of Keystone has no such endpoint of '
                'block storage; see region_name and interface'
            )
        return str(parse.urlsplit(url).netloc)

    def ping(self) -> None:
        """Make sure that Cinder takes our requests."""
        self._ask('cannot list volumes', 'GET', '/volumes?limit=1')

    def volume(self, volume_id: str) -> Fields:
        """Describe a volume."""
        return self._one('volume', volume_id)

    def volumes(self, filters: Mapping[str, str]) -> Iterator[Fields]:
        """Yield the volumes that a filter of Cinder's lets through."""
        return self._all('volumes', '/volumes/detail', filters)

    def marked(self, key: str, value: str) -> list[Fields]:
        """Return the volumes with a piece of metadata."""
        wanted = json.dumps({key: value})
        return [
            found
            for found in self.volumes({'metadata': wanted})
            if found.get('metadata', {}).get(key) == value
        ]

    def create_volume(self, wish: Fields) -> Fields:
        """Ask for a volume; it is not there yet on return."""
        return self._created('volume', wish)

    def delete_volume(self, volume_id: str) -> None:
        """Ask for a volume to be deleted."""
        self._ask(
            f'cannot delete volume {volume_id}',
            'DELETE',
            f'/volumes/{volume_id}',
        )

    def act(self, volume_id: str, action: str, arguments: Fields) -> None:
        """Do something to a volume."""
        self._ask(
            f'cannot do {action} to volume {volume_id}',
            'POST',
            f'/volumes/{volume_id}/action',
            {action: arguments},
        )

    def snapshot(self, snapshot_id: str) -> Fields:
        """Describe a snapshot."""
        return self._one('snapshot', snapshot_id)

    def snapshots(self, name: str) -> list[Fields]:
        """Return the snapshots of a name."""
        found = self._all('snapshots', '/snapshots/detail', {'name': name})
        return [snapshot for snapshot in found if snapshot['name'] == name]

    def snapshots_of(self, volume_id: str) -> list[Fields]:
        """Return the snapshots of a volume."""
        filters = {'volume_id': volume_id}
        if self._section.all_projects:
            filters['all_tenants'] = '1'
        found = self._all('snapshots', '/snapshots/detail', filters)
        return [one for one in found if one['volume_id'] == volume_id]

    def create_snapshot(self, volume_id: str, name: str) -> Fields:
        """Ask for a snapshot, also of a volume that is in use."""
        return self._created(
            'snapshot', {'volume_id': volume_id, 'name': name, 'force': True}
        )

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Ask for a snapshot to be deleted."""
        self._ask(
            f'cannot delete snapshot {snapshot_id}',
            'DELETE',
            f'/snapshots/{snapshot_id}',
        )

    def attachment(self, attachment_id: str) -> Fields:
        """Describe an attachment, with all that is needed to connect."""
        return self._one('attachment', attachment_id, log=False)

    def attachments(self, volume_id: str) -> list[Fields]:
        """Return the attachments of a volume, without connections."""
        filters = {'volume_id': volume_id}
        if self._section.all_projects:
            filters['all_tenants'] = '1'
        return list(self._all('attachments', '/attachments', filters))

    def reserve(self, volume_id: str, mode: str) -> str:
        """Make an attachment that nothing is connected to yet."""
        made = self._created(
            'attachment',
            {'volume_uuid': volume_id, 'mode': mode},
        )
        return str(made['id'])

    def export(self, attachment_id: str, connector: Fields) -> Fields:
        """Have the storage export the volume to a host."""
        answer = self._ask(
            f'cannot attach (attachment {attachment_id})',
            'PUT',
            f'/attachments/{attachment_id}',
            {'attachment': {'connector': connector}},
            log=False,
        )
        found: Fields = self._part(answer, 'attachment')
        return found

    def complete(self, attachment_id: str) -> None:
        """Tell that the volume of an attachment is in use now."""
        self._ask(
            f'cannot complete attachment {attachment_id}',
            'POST',
            f'/attachments/{attachment_id}/action',
            {'os-complete': {}},
        )

    def delete_attachment(self, attachment_id: str) -> None:
        """Have the storage take back what it exported."""
        self._ask(
            f'cannot delete attachment {attachment_id}',
            'DELETE',
            f'/attachments/{attachment_id}',
            log=False,
        )

    def told(self, resource_id: str) -> str:
        """Return what Cinder has told its users of a thing, if anything."""
        try:
            found = self._ask('cannot list messages', 'GET', '/messages')
        except errors.SourceError:
            return ''
        for message in self._part(found, 'messages'):
            if message.get('resource_uuid') == resource_id:
                return str(message.get('user_message', ''))
        return ''

    def _one(self, kind: str, thing_id: str, *, log: bool = True) -> Fields:
        answer = self._ask(
            f'cannot look at {kind} {thing_id}',
            'GET',
            f'/{kind}s/{parse.quote(thing_id, safe="")}',
            log=log,
        )
        found: Fields = self._part(answer, kind)
        return found

    def _created(self, kind: str, wish: Fields) -> Fields:
        answer = self._ask(
            f'cannot make {_article(kind)}', 'POST', f'/{kind}s', {kind: wish}
        )
        made: Fields = self._part(answer, kind)
        return made

    def _all(
        self, kind: str, path: str, filters: Mapping[str, str]
    ) -> Iterator[Fields]:
        """Yield page by page."""
        query = {**filters, 'limit': str(_PAGE)}
        while True:
            answer = self._ask(
                f'cannot list {kind}',
                'GET',
                f'{path}?{parse.urlencode(query)}',
            )
            page = self._part(answer, kind)
            yield from page
            if not answer.get(f'{kind}_links'):
                return
            query['marker'] = page[-1]['id']

    @staticmethod
    def _part(answer: Any, key: str) -> Any:
        try:
            return answer[key]
        except (TypeError, KeyError) as exc:
            raise errors.SourceError(
                f'what answers is no Cinder: its answer has no {key}'
            ) from exc

    def _ask(
        self,
        what: str,
        method: str,
        path: str,
        body: Fields | None = None,
        *,
        log: bool = True,
    ) -> Any:
        what = f'backend {self._backend} {what}'
        with access.translated(what):
            answer = self._connected().request(
                path,
                method,
                json=body,
                raise_exc=False,
                log=log,
                microversion=self._section.microversion,
                headers={'Accept': 'application/json'},
            )
        try:
            document = answer.json() if answer.content else None
        except ValueError:
            document = None
        if not 200 <= answer.status_code < 300:
            raise failures.explain(what, answer.status_code, document)
        return document

    def _connected(self) -> Any:
        with self._lock:
            if self._adapter is None:
                self._adapter = access.adapter(self._backend, self._section)
            return self._adapter


def _article(kind: str) -> str:
    return f'an {kind}' if kind == 'attachment' else f'a {kind}'
