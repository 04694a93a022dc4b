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

"""Requests to the cluster, over no more connections than allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import threading
from typing import Any
import urllib.parse

from backupkit import errors
from backupkit_plugins.targets.swift import body as body_
from backupkit_plugins.targets.swift import failures
from backupkit_plugins.targets.swift import identity as identity_

#: What fits into the buffers of a connection is sent in one piece.
_SMALL_BYTES = 64 * 1024


class Answer:
    """An answer whose body may still be on its way.

    :ivar headers: by names in any case
    """

    def __init__(self, response: Any, action: str) -> None:
        self._response = response
        self._action = action
        self.status = int(response.status_code)
        self.headers: Mapping[str, str] = response.headers

    def read(self, size: int | None = None) -> bytes:
        """Return so many bytes of the body, fewer only at its end.

        :raises errors.TargetUnavailable: it broke off
        """
        with translated(self._action):
            data = self._response.raw.read(size)
        return bytes(data)

    def drain(self) -> None:
        """Read what is left, so that the connection can be used again."""
        with translated(self._action):
            self._response.raw.drain_conn()


class Connections:
    """Connections of one opened store, made when they are needed.

    A request holds one for as long as its answer is read. Who comes when
    all are in use waits. May be used by several threads.

    :param limit: how many there may be
    :param timeout_seconds: how long a server may say nothing
    """

    def __init__(
        self, identity: identity_.Identity, limit: int, timeout_seconds: float
    ) -> None:
        self._identity = identity
        self._timeout_seconds = timeout_seconds
        self._slots = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._closed = False

    @contextlib.contextmanager
    def request(
        self,
        action: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: body_.Body | None = None,
    ) -> Iterator[Answer]:
        """Send a request below the account, and lend its answer.

        :param action: what it is good for, as in *cannot ACTION*
        :param path: what follows the account's, quoted, with its slash
        :raises errors.TargetUnavailable: there is no whole answer
        """
        access = self._identity.access()
        account = urllib.parse.urlsplit(access.storage_url).path
        told = {'X-Auth-Token': access.token, **(headers or {})}
        with self._exchange(
            action, method, f'{account}{path}', told, body
        ) as answer:
            if answer.status == 401:
                self._identity.renew(access)
            yield answer

    @contextlib.contextmanager
    def anonymous(self, action: str, path: str) -> Iterator[Answer]:
        """Ask for a path of the cluster itself, telling no token."""
        with self._exchange(action, 'GET', path, {}, None) as answer:
            yield answer

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is free."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for one in idle:
            one.close()

    @contextlib.contextmanager
    def _exchange(
        self,
        action: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: body_.Body | None,
    ) -> Iterator[Answer]:
        data: Any = body
        if body is not None and len(body) <= _SMALL_BYTES:
            data = body.joined()
        with self._connection() as connection:
            with translated(action):
                response = connection.request(
                    method, path, data or None, dict(headers)
                )
            answer = Answer(response, action)
            yield answer
            answer.drain()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        """Lend a connection; one that met an error is not used again."""
        with self._slots:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connect()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                    return
            connection.close()

    def _connect(self) -> Any:
        from swiftclient import client

        access = self._identity.access()
        verify = self._identity.verify
        connection = client.HTTPConnection(
            access.storage_url,
            cacert=verify if isinstance(verify, str) else None,
            insecure=verify is False,
            timeout=self._timeout_seconds,
            default_user_agent='backupkit',
        )
        # A token must not go where somebody else sends us.
        connection.requests_args['allow_redirects'] = False
        return connection


@contextlib.contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn what breaks on the way into an error that may pass.

    :raises errors.TargetUnavailable: no whole answer came
    :raises errors.ConfigurationError: the server is not to be trusted
    """
    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.SSLError as exc:
        raise errors.ConfigurationError(
            f'cannot {action}: the certificate of the server is not '
            'trusted; ca_file may name who signed it'
        ) from exc
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as exc:
        raise failures.passing(
            f'cannot {action}: no whole answer came ({_reason(exc)})'
        ) from exc


def _reason(exc: BaseException) -> str:
    """Tell in a few words what has happened on the way."""
    cause: BaseException = exc
    while isinstance(cause.args[:1], tuple) and cause.args:
        inner = next(
            (one for one in cause.args if isinstance(one, BaseException)), None
        )
        if inner is None:
            break
        cause = inner
    return type(cause).__name__
