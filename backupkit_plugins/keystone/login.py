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

"""Logging in as a section says.

It names a cloud of clouds.yaml, or says itself how to log in. openstacksdk
reads the one, and keystoneauth does the other; both are imported with the
first login.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from backupkit.drivers import contract
from backupkit import errors
from backupkit_plugins.keystone import service as service_


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """A session of keystoneauth, and where it finds the service.

    :ivar verify: how certificates are checked, as requests wants it
    :ivar endpoint: the URL of the service, or None where the catalog is
        asked
    """

    session: Any
    verify: bool | str
    interface: str
    region_name: str | None
    endpoint: str | None


def log_in(
    where: str, section: contract.Section, service: service_.Service
) -> Login:
    """Return a login that asks nobody before its first request.

    It follows no redirection: a password or token must not go where
    somebody else sends us.

    :param where: name of the section, as ``target:NAME``
    :raises errors.ConfigurationError: an option is missing or wrong
    """
    from keystoneauth1 import session as session_

    verify: bool | str = section.ca_file or not section.insecure
    interface = section.interface
    region_name = section.region_name
    endpoint = getattr(section, service.endpoint.name)
    if section.cloud:
        found = _cloud(where, section)
        plugin = found.get_auth()
        if verify is True:
            verify = found.get_requests_verify_args()[0] or False
        interface = interface or found.get_interface(service.kind)
        region_name = region_name or found.get_region_name(service.kind)
        endpoint = endpoint or found.get_endpoint(service.kind)
    else:
        plugin = _own(where, section, service)
    session = session_.Session(
        auth=plugin,
        verify=verify,
        timeout=section.timeout_seconds,
        redirect=False,
        app_name='backupkit',
    )
    return Login(session, verify, interface or 'public', region_name, endpoint)


def _cloud(where: str, section: contract.Section) -> Any:
    """Return the cloud that clouds.yaml describes.

    The environment decides nothing here: neither which cloud this is nor
    what its password is.
    """
    from openstack import config
    from openstack import exceptions

    files = beside = None
    if section.clouds_file:
        files = [section.clouds_file]
        beside = [str(pathlib.Path(files[0]).with_name('secure.yaml'))]
    try:
        return config.OpenStackConfig(
            config_files=files, secure_files=beside, load_envvars=False
        ).get_one(cloud=section.cloud, argparse=None)
    except exceptions.ConfigException as exc:
        raise errors.ConfigurationError(
            f'[{where}] cloud = {section.cloud}: {exc}'
        ) from exc


def _own(
    where: str, section: contract.Section, service: service_.Service
) -> Any:
    """Return the login that the section itself describes."""
    way = service.way(section.auth_type)
    for group in way.needed:
        if not any(getattr(section, name) for name in group):
            raise errors.ConfigurationError(
                f'section [{where}] lacks {" or ".join(group)}, which '
                f'auth_type = {way.name} needs; or name a cloud of '
                'clouds.yaml in the option cloud'
            )
    if way.make is not None:
        return way.make(section)
    from keystoneauth1 import loading

    given = {name: getattr(section, name) for name in way.taken}
    for whose in ('user', 'project'):
        _complete(given, whose)
    return loading.get_plugin_loader(way.name).load_from_options(
        **{name: value for name, value in given.items() if value}
    )


def _complete(given: dict[str, str | None], whose: str) -> None:
    """Add the domain that everybody means who names none."""
    name, domain = f'{whose}_name', f'{whose}_domain'
    named = given.get('username' if whose == 'user' else name)
    known = given.get(f'{domain}_name') or given.get(f'{domain}_id')
    if f'{domain}_id' in given and named and not known:
        given[f'{domain}_id'] = 'default'
