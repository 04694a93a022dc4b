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

"""The container of a target: there or not, and what it lists."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import logging
import threading
import urllib.parse

from backupkit import errors
from backupkit_plugins.targets.swift import body as body_
from backupkit_plugins.targets.swift import connection
from backupkit_plugins.targets.swift import failures
from backupkit_plugins.targets.swift import parsing

LOG = logging.getLogger(__name__)

#: Objects of one page of a listing: what every cluster gives.
_PAGE = 10_000


class Container:
    """One container, which need not be there yet.

    May be used by several threads.

    :param policy: storage policy of a container that is made; None for
        that of the cluster
    """

    def __init__(
        self,
        connections: connection.Connections,
        name: str,
        policy: str | None,
    ) -> None:
        self.name = name
        self._connections = connections
        self._path = f'/{urllib.parse.quote(name, safe="")}'
        self._policy = policy
        self._lock = threading.Lock()
        self._seen = False

    def request(
        self,
        action: str,
        method: str,
        name: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: body_.Body | None = None,
    ) -> contextlib.AbstractContextManager[connection.Answer]:
        """Send a request for an object: :meth:`.Connections.request`."""
        path = f'{self._path}/{urllib.parse.quote(name)}'
        return self._connections.request(
            action, method, path, headers=headers, body=body
        )

    def is_there(self) -> bool:
        """Tell whether the container was ever seen; ask until it was."""
        with self._lock:
            if not self._seen:
                action = f'look at container {self.name}'
                with self._connections.request(
                    action, 'HEAD', self._path
                ) as answer:
                    if answer.status != 404:
                        failures.expect(answer, action, 'HEAD', 200, 204)
                        self._seen = True
            return self._seen

    def make(self) -> None:
        """Make the container, unless it was ever seen.

        One that has vanished is not made anew: what it held is lost, and
        nobody shall take it for an empty one.

        :raises errors.ConfigurationError: there is no such storage policy
        """
        if self.is_there():
            return
        action = f'make container {self.name}'
        headers = {'Content-Length': '0'}
        if self._policy:
            headers['X-Storage-Policy'] = self._policy
        with (
            self._lock,
            self._connections.request(
                action, 'PUT', self._path, headers=headers
            ) as answer,
        ):
            if answer.status == 400 and self._policy:
                raise _no_policy(self._policy, None)
            failures.expect(answer, action, 'PUT', 201, 202, 204)
            self._seen = True
        LOG.info('container %s is made', self.name)

    def check_policy(self, policies: frozenset[str] | None) -> None:
        """Check that the container is there, or can be made as asked for.

        :param policies: those of the cluster, where it tells them
        :raises errors.ConfigurationError: there is no such storage policy
        """
        if self.is_there() or not self._policy or policies is None:
            return
        if self._policy.lower() not in policies:
            raise _no_policy(self._policy, policies)

    def page(self, prefix: str, marker: str) -> list[tuple[str, int]]:
        """Return names and sizes that follow a name; none at the end."""
        action = f'list {prefix}*'
        query = {
            'format': 'json',
            'limit': str(_PAGE),
            'prefix': prefix,
            'marker': marker,
        }
        path = f'{self._path}?{urllib.parse.urlencode(query)}'
        with self._connections.request(action, 'GET', path) as answer:
            if answer.status != 404:
                failures.expect(answer, action, 'GET', 200, 204)
                return parsing.entries(action, answer.read(), marker)
        if self.is_there():
            raise failures.passing(
                f'cannot {action}: container {self.name} was not found'
            )
        return []


def _no_policy(
    policy: str, known: frozenset[str] | None
) -> errors.ConfigurationError:
    told = f'; it has {", ".join(sorted(known))}' if known else ''
    return errors.ConfigurationError(
        f'the cluster has no storage policy {policy} to make a container '
        f'with{told}'
    )
