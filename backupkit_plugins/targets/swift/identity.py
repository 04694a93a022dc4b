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

"""Who asks the cluster: the login, and the token that comes of it."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import threading
from typing import Any

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.keystone import login
from backupkit_plugins.targets.swift import failures
from backupkit_plugins.targets.swift import options


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """Where the account is, and the token that opens it."""

    storage_url: str
    token: str = dataclasses.field(repr=False)


class Identity:
    """Logs in when it must, and keeps the token for all connections.

    May be used by several threads.

    :param target: name of the target, for messages
    """

    def __init__(self, target: str, section: contract.Section) -> None:
        self._target = target
        self._section = section
        self._lock = threading.Lock()
        self._login: login.Login | None = None
        self._access: Access | None = None
        self.verify: bool | str = True

    def access(self) -> Access:
        """Return a token that is taken for good, logging in where needed.

        :raises errors.ConfigurationError: an option is missing or wrong
        :raises errors.TargetUnavailable: nobody answers there now
        :raises errors.TargetError: the login is refused
        """
        with self._lock:
            if self._access is None:
                self._access = self._log_in()
            return self._access

    def renew(self, refused: Access) -> None:
        """Log in again the next time, unless somebody else has by now."""
        with self._lock:
            if self._access is refused and self._login is not None:
                self._access = None
                self._login.session.invalidate()

    def _log_in(self) -> Access:
        from keystoneauth1 import exceptions

        with self._translated():
            if self._login is None:
                self._login = login.log_in(
                    f'target:{self._target}', self._section, options.SERVICE
                )
                self.verify = self._login.verify
            found = self._login
            token = found.session.get_token()
            url = found.endpoint or found.session.get_endpoint(
                service_type=options.SERVICE.kind,
                interface=found.interface,
                region_name=found.region_name,
            )
            if url is None:
                raise exceptions.EndpointNotFound()
        if not token:
            raise errors.TargetError(f'{self._fact()}: there came no token')
        return Access(url.rstrip('/'), token)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what keystoneauth raises into errors of ours.

        Its texts name URLs, but no password or token.
        """
        from keystoneauth1 import exceptions

        try:
            yield
        except errors.BackupkitError:
            raise
        except exceptions.Unauthorized as exc:
            raise errors.TargetError(
                f'{self._fact()}: the credentials are refused; mend them in '
                f'section [target:{self._target}]'
            ) from exc
        except (
            exceptions.EndpointNotFound,
            exceptions.EmptyCatalog,
        ) as exc:
            raise self._missing() from exc
        except exceptions.HttpError as exc:
            raise self._refused(exc) from exc
        except exceptions.InvalidResponse as exc:
            raise self._strange(exc.response) from exc
        except exceptions.SSLError as exc:
            raise errors.ConfigurationError(
                f'{self._fact()}: the certificate of the server is not '
                'trusted; ca_file may name who signed it'
            ) from exc
        except exceptions.ConnectionError as exc:
            raise failures.passing(f'{self._fact()}: no connection') from exc
        except exceptions.ClientException as exc:
            raise errors.ConfigurationError(f'{self._fact()}: {exc}') from exc

    def _missing(self) -> errors.ConfigurationError:
        """Return the error of a catalog without our endpoint."""
        region, interface = 'any region', 'public'
        if self._login is not None:
            region = self._login.region_name or region
            interface = self._login.interface
        return errors.ConfigurationError(
            f'{self._fact()}: the catalog has no {interface} endpoint of an '
            f'object store in {region}; see region_name and interface in '
            f'section [target:{self._target}]'
        )

    def _refused(self, exc: Any) -> errors.BackupkitError:
        status = int(exc.http_status or 0)
        headers = exc.response.headers if exc.response is not None else {}
        if 300 <= status < 500 and status not in (401, 408, 429, 498):
            # Keystone says 404 of an application credential that is gone.
            return errors.TargetError(
                f'{self._fact()}: {failures.describe(status)}; is auth_url '
                'right, and is there such an application credential, if one '
                'is used?'
            )
        return failures.passing(
            f'{self._fact()}: {failures.describe(status)}', headers
        )

    def _strange(self, response: Any) -> errors.BackupkitError:
        """Return the error of an answer that does not fit the question."""
        status = int(response.status_code)
        if status < 300:
            # Most likely it was cut off.
            return failures.passing(
                f'{self._fact()}: what came is no answer to a login; is '
                'auth_url right?'
            )
        return errors.TargetError(
            f'{self._fact()}: {failures.describe(status)}; is auth_url right?'
        )

    def _fact(self) -> str:
        where = self._section.auth_url or f'cloud {self._section.cloud}'
        return f'cannot log in to {where}'
