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

"""A store of objects in one container of Swift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import itertools

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit import errors
from backupkit_plugins.targets.swift import ahead as ahead_
from backupkit_plugins.targets.swift import body as body_
from backupkit_plugins.targets.swift import bulk
from backupkit_plugins.targets.swift import connection
from backupkit_plugins.targets.swift import container as container_
from backupkit_plugins.targets.swift import failures
from backupkit_plugins.targets.swift import info as info_
from backupkit_plugins.targets.swift import parsing
from backupkit_plugins.targets.swift import spans

#: A larger body is not begun where its name is taken: the answer would come
#: while it is sent, and the connection might break before it is read.
_ASKED_FIRST_BYTES = 64 * 1024
#: All copies are asked, and the newest answers: as current as it can be.
_NEWEST = {'X-Newest': 'true'}


class SwiftStore(store.Store):
    """Objects in a container, which the first put makes.

    Nothing is asked before the first call. A put carries its MD5, so that
    Swift refuses what does not arrive as it was sent.

    :param container: its name
    :param policy: storage policy of a container that is made; None for
        that of the cluster
    :param ahead: spans that are read ahead at the most
    """

    capabilities = capability.StoreCapabilities(
        list_complete=False, put_if_absent=False
    )

    def __init__(
        self,
        connections: connection.Connections,
        container: str,
        policy: str | None = None,
        *,
        ahead: int = 0,
        span_bytes: int = spans.SPAN_BYTES,
    ) -> None:
        self._connections = connections
        self._container = container_.Container(connections, container, policy)
        self._ahead = ahead_.ReadAhead(self._container, ahead, span_bytes)
        self._info: info_.Info | None = None

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        self._container.make()
        body = body_.Body(parts)
        if len(body) > _ASKED_FIRST_BYTES and self._size(name) is not None:
            raise errors.ObjectExists(f'{name} exists already')
        action = f'put {name}'
        headers = {
            'ETag': body.md5,
            'Content-Length': str(len(body)),
            'Content-Type': 'application/octet-stream',
            'If-None-Match': '*',
        }
        with self._container.request(
            action, 'PUT', name, headers=headers, body=body
        ) as answer:
            if answer.status == 412:
                raise errors.ObjectExists(f'{name} exists already')
            if answer.status == 404:
                raise failures.passing(
                    f'cannot {action}: container {self._container.name} was '
                    'not found'
                )
            failures.expect(answer, action, 'PUT', 201)
            if parsing.etag(answer.headers) not in (body.md5, ''):
                raise failures.passing(
                    f'cannot {action}: the cluster tells another checksum'
                )

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        if offset == 0 and length is None:
            return self._whole(name)
        if not length:
            size = self.stat(name).size_bytes
            length = size - offset if length is None else 0
            if not 0 <= length <= size - offset:
                raise parsing.too_short(name, size, offset, length)
        data = bytearray(length)
        if data:
            self.get_into(name, offset, [data])
        return bytes(data)

    def get_into(
        self, name: str, offset: int, buffers: Sequence[bytearray | memoryview]
    ) -> None:
        views = [memoryview(buffer).cast('B') for buffer in buffers]
        wanted = sum(map(len, views))
        if not wanted:
            self.get(name, offset, 0)
            return
        if self._ahead.read(name, offset, views):
            return
        action = f'get {name}'
        headers = {'Range': f'bytes={offset}-{offset + wanted - 1}'}
        with self._container.request(
            action, 'GET', name, headers=headers
        ) as answer:
            if answer.status == 416:
                size = parsing.total(answer.headers)
                raise parsing.too_short(name, size, offset, wanted)
            if answer.status != 404:
                failures.expect(answer, action, 'GET', 206)
                parsing.read_range(action, name, answer, offset, views)
                return
        raise self._missing(name)

    def stat(self, name: str) -> store.ObjectStat:
        size = self._size(name)
        if size is None:
            # Once more: what one server missed must not look lost.
            size = self._size(name)
        if size is None:
            raise errors.ObjectNotFound(f'{name} does not exist')
        return store.ObjectStat(name, size)

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        marker = ''
        while page := self._container.page(prefix, marker):
            marker = page[-1][0]
            for name, size in page:
                if parsing.is_legal(name):
                    yield store.ObjectStat(name, size)

    def delete(self, name: str) -> None:
        self._ahead.forget(name)
        action = f'delete {name}'
        with self._container.request(action, 'DELETE', name) as answer:
            if answer.status != 404:
                failures.expect(answer, action, 'DELETE', 200, 202, 204)
                return
        # That it was not there is believed only where it is not.
        if self._size(name) is not None:
            raise failures.passing(f'cannot {action}: it is still there')

    def delete_many(self, names: Sequence[str]) -> None:
        limit = min(bulk.MOST, self.info().bulk_deletes) if names[1:] else 0
        if limit < 2:
            super().delete_many(names)
            return
        for name in names:
            self._ahead.forget(name)
        waiting = iter(names)
        while batch := list(itertools.islice(waiting, limit)):
            bulk.delete(self._connections, self._container.name, batch)

    def close(self) -> None:
        self._ahead.close()
        self._connections.close()

    def info(self) -> info_.Info:
        """Return what the cluster tells of itself; it is asked once."""
        if self._info is None:
            self._info = info_.ask(self._connections)
        return self._info

    def check(self) -> None:
        """Check that the container can be used or made, and write nothing.

        :raises errors.ConfigurationError: there is no such storage policy
        :raises errors.TargetError: login or rights do not suffice
        """
        self._container.check_policy(self.info().policies)

    def _whole(self, name: str) -> bytes:
        action = f'get {name}'
        with self._container.request(
            action, 'GET', name, headers=_NEWEST
        ) as answer:
            if answer.status != 404:
                failures.expect(answer, action, 'GET', 200)
                return parsing.read_whole(action, answer)
        raise self._missing(name)

    def _missing(self, name: str) -> errors.TargetError:
        """Return the error of a get that found nothing."""
        if self._size(name) is None:
            return errors.ObjectNotFound(f'{name} does not exist')
        return failures.passing(
            f'cannot get {name}: the cluster did not find what it has'
        )

    def _size(self, name: str) -> int | None:
        """Return the size of an object, or None where it is not there."""
        action = f'stat {name}'
        with self._container.request(
            action, 'HEAD', name, headers=_NEWEST
        ) as answer:
            if answer.status == 404:
                return None
            failures.expect(answer, action, 'HEAD', 200)
            return parsing.size(action, answer.headers)
