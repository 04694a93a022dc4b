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


"""Who asks Cinder: the login, and the adapter that speaks for it.

openstacksdk reads clouds.yaml, and keystoneauth logs in; both are imported
with the first request.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.volumes.cinder import failures
from backupkit_plugins.volumes.cinder import options

_SERVICE = 'block-storage'
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
    options.NOAUTH: (('endpoint',), ('project_id',)),
}


def adapter(backend: str, section: contract.Section) -> Any:
    """Return a keystoneauth adapter for Cinder, as a section says.

    Nothing is asked yet. It follows no redirection: a password or token
    must not go where somebody else sends us.

    :param backend: name of the backend, for messages
    :raises errors.ConfigurationError: an option is missing or wrong
    """
    from keystoneauth1 import adapter as adapter_
    from keystoneauth1 import session

    verify: bool | str = section.ca_file or not section.insecure
    where: dict[str, Any] = {
        'interface': section.interface or 'public',
        'region_name': section.region_name,
        'endpoint_override': section.endpoint,
    }
    if section.cloud:
        found = _cloud(backend, section)
        plugin = found.get_auth()
        if not section.ca_file and not section.insecure:
            verify = found.get_requests_verify_args()[0] or False
        where = {
            'interface': section.interface
            or found.get_interface(_SERVICE)
            or 'public',
            'region_name': section.region_name
            or found.get_region_name(_SERVICE),
            'endpoint_override': section.endpoint
            or found.get_endpoint(_SERVICE),
        }
    else:
        plugin = _own(backend, section)
    return adapter_.Adapter(
        session.Session(
            auth=plugin,
            verify=verify,
            timeout=section.timeout_seconds,
            redirect=False,
            app_name='backupkit',
        ),
        service_type=_SERVICE,
        min_version='3',
        max_version='3.latest',
        **where,
    )


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what keystoneauth raises into errors of ours.

    Its texts name URLs, but no password or token.
    """
    from keystoneauth1 import exceptions

    try:
        yield
    except exceptions.Unauthorized as exc:
        raise errors.SourceError(
            f'{what}: the credentials are refused; mend them in the section'
        ) from exc
    except (exceptions.EndpointNotFound, exceptions.EmptyCatalog) as exc:
        raise errors.ConfigurationError(
            f'{what}: the catalog of Keystone has no such endpoint of block '
            'storage; see region_name and interface'
        ) from exc
    except exceptions.SSLError as exc:
        raise errors.ConfigurationError(
            f'{what}: the certificate of the server is not trusted; ca_file '
            'may name who signed it'
        ) from exc
    except exceptions.ConnectionError as exc:
        raise failures.Unreachable(f'{what}: {exc}') from exc
    except exceptions.HttpError as exc:
        raise failures.explain(what, int(exc.http_status or 0), None) from exc
    except exceptions.ClientException as exc:
        raise errors.ConfigurationError(f'{what}: {exc}') from exc


def _own(backend: str, section: contract.Section) -> Any:
    """Return the login that the section itself describes."""
    from keystoneauth1 import loading
    from keystoneauth1 import token_endpoint

    kind = section.auth_type
    for group in _NEEDED[kind]:
        if not any(getattr(section, name) for name in group):
            raise errors.ConfigurationError(
                f'section [backend:{backend}] lacks {" or ".join(group)}, '
                f'which auth_type = {kind} needs; or name a cloud of '
                'clouds.yaml in the option cloud'
            )
    if kind == options.NOAUTH:
        # Without Keystone Cinder believes a token of this form.
        user = section.username or 'backupkit'
        return token_endpoint.Token(
            section.endpoint, f'{user}:{section.project_id}'
        )
    given = {name: getattr(section, name) for name in _TAKEN[kind]}
    for whose in ('user', 'project'):
        _complete(given, whose)
    return loading.get_plugin_loader(kind).load_from_options(
        **{name: value for name, value in given.items() if value}
    )


def _cloud(backend: str, section: contract.Section) -> Any:
    """Return the cloud that clouds.yaml describes.

    The environment decides nothing here: neither which cloud this is nor
    what its password is.
    """
    from openstack import config
    from openstack import exceptions

    files = [section.clouds_file] if section.clouds_file else None
    try:
        return config.OpenStackConfig(
            config_files=files, load_envvars=False
        ).get_one(cloud=section.cloud, argparse=None)
    except exceptions.ConfigException as exc:
        raise errors.ConfigurationError(
            f'[backend:{backend}] cloud = {section.cloud}: {exc}'
        ) from exc


def _complete(given: dict[str, str | None], whose: str) -> None:
    """Add the domain that everybody means who names none."""
    name, domain = f'{whose}_name', f'{whose}_domain'
    named = given.get('username' if whose == 'user' else name)
    known = given.get(f'{domain}_name') or given.get(f'{domain}_id')
    if f'{domain}_id' in given and named and not known:
        given[f'{domain}_id'] = 'default'
