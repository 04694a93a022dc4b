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
import pathlib
import threading
from typing import Any

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.targets.swift import failures
from backupkit_plugins.targets.swift import options

_SERVICE = 'object-store'

#: The options that each way to log in takes.
_PROJECT = (
    'project_name',
    'project_id',
    'project_domain_name',
    'project_domain_id',
)
_USER = ('user_id', 'username', 'user_domain_name', 'user_domain_id')
_TAKEN = {
    options.PASSWORD: ('auth_url', 'password', *_USER, *_PROJECT),
    options.APPLICATION_CREDENTIAL: (
        'auth_url',
        'application_credential_id',
        'application_credential_name',
        'application_credential_secret',
        *_USER,
    ),
    options.V1: ('auth_url', 'username', 'password'),
}
#: Those without which there is nothing to try; one of each group.
_NEEDED = {
    options.PASSWORD: (
        ('auth_url',),
        ('username', 'user_id'),
        ('password',),
        ('project_name', 'project_id'),
    ),
    options.APPLICATION_CREDENTIAL: (
        ('auth_url',),
        ('application_credential_id', 'application_credential_name'),
        ('application_credential_secret',),
    ),
    options.V1: (('auth_url',), ('username',), ('password',)),
}


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
        self._session: Any = None
        self._region: Any = None
        self._interface = section.interface or 'public'
        self._region_name: str | None = section.region_name
        self._override: str | None = section.storage_url
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
            if self._access is refused:
                self._access = None
                self._session.invalidate()

    def _log_in(self) -> Access:
        from keystoneauth1 import exceptions

        with self._translated():
            if self._session is None:
                self._session = self._make_session()
            token = self._session.get_token()
            url = self._override or self._session.get_endpoint(
                service_type=_SERVICE,
                interface=self._interface,
                region_name=self._region_name,
            )
            if url is None:
                raise exceptions.EndpointNotFound()
        if not token:
            raise errors.TargetError(f'{self._fact()}: there came no token')
        return Access(url.rstrip('/'), token)

    def _make_session(self) -> Any:
        """Return a session that follows no redirection.

        A password or token must not go where somebody else sends us.
        """
        from keystoneauth1 import session

        section = self._section
        self.verify = section.ca_file or not section.insecure
        plugin = self._cloud() if section.cloud else self._own()
        return session.Session(
            auth=plugin,
            verify=self.verify,
            timeout=section.timeout_seconds,
            redirect=False,
            app_name='backupkit',
        )

    def _own(self) -> Any:
        """Return the login that the section itself describes."""
        from keystoneauth1 import loading

        section = self._section
        kind = section.auth_type
        for group in _NEEDED[kind]:
            if not any(getattr(section, name) for name in group):
                raise errors.ConfigurationError(
                    f'section [target:{self._target}] lacks '
                    f'{" or ".join(group)}, which auth_type = {kind} needs; '
                    'or name a cloud of clouds.yaml in the option cloud'
                )
        given = {name: getattr(section, name) for name in _TAKEN[kind]}
        for whose in ('user', 'project'):
            _complete(given, whose)
        return loading.get_plugin_loader(kind).load_from_options(
            **{name: value for name, value in given.items() if value}
        )

    def _cloud(self) -> Any:
        """Return the login that clouds.yaml describes."""
        from openstack import config
        from openstack import exceptions

        section = self._section
        files = beside = None
        if section.clouds_file:
            files = [section.clouds_file]
            beside = [str(pathlib.Path(files[0]).with_name('secure.yaml'))]
        try:
            # The environment decides nothing here: neither which cloud
            # this is nor what its password is.
            found = config.OpenStackConfig(
                config_files=files, secure_files=beside, load_envvars=False
            ).get_one(cloud=section.cloud, argparse=None)
        except exceptions.ConfigException as exc:
            raise errors.ConfigurationError(
                f'[target:{self._target}] cloud = {section.cloud}: {exc}'
            ) from exc
        if not section.ca_file and not section.insecure:
            self.verify = found.get_requests_verify_args()[0] or False
        if not section.interface:
            self._interface = found.get_interface(_SERVICE) or 'public'
        if not section.region_name:
            self._region_name = found.get_region_name(_SERVICE)
        self._override = self._override or found.get_endpoint(_SERVICE)
        return found.get_auth()

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
            region = self._region_name or 'any region'
            raise errors.ConfigurationError(
                f'{self._fact()}: the catalog has no {self._interface} '
                f'endpoint of an object store in {region}; see region_name '
                f'and interface in section [target:{self._target}]'
            ) from exc
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


def _complete(given: dict[str, str | None], whose: str) -> None:
    """Add the domain that everybody means who names none."""
    name, domain = f'{whose}_name', f'{whose}_domain'
    named = given.get('username' if whose == 'user' else name)
    known = given.get(f'{domain}_name') or given.get(f'{domain}_id')
    if f'{domain}_id' in given and named and not known:
        given[f'{domain}_id'] = 'default'
