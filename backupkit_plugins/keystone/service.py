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

"""What a section says of a login at Keystone, and of a service there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from oslo_config import cfg

from backupkit.drivers import contract

_PROJECT = (
    'project_name',
    'project_id',
    'project_domain_name',
    'project_domain_id',
)
_USER = ('user_id', 'username', 'user_domain_name', 'user_domain_id')


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """A way to log in.

    :ivar name: as keystoneauth calls it, and the option ``auth_type``
    :ivar title: what it is
    :ivar needed: options without which there is nothing to try; one of each
        group
    :ivar taken: options that keystoneauth is given
    :ivar make: makes what logs in, where keystoneauth knows no such name
    """

    name: str
    title: str
    needed: tuple[tuple[str, ...], ...]
    taken: tuple[str, ...] = ()
    make: Callable[[contract.Section], Any] | None = None


PASSWORD = Way(
    'v3password',
    'user and password, at Keystone',
    (
        ('auth_url',),
        ('username', 'user_id'),
        ('password',),
        ('project_name', 'project_id'),
    ),
    ('auth_url', 'password', *_USER, *_PROJECT),
)
APPLICATION_CREDENTIAL = Way(
    'v3applicationcredential',
    'an application credential of Keystone',
    (
        ('auth_url',),
        ('application_credential_id', 'application_credential_name'),
        ('application_credential_secret',),
    ),
    (
        'auth_url',
        'application_credential_id',
        'application_credential_name',
        'application_credential_secret',
        *_USER,
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A service that is asked for by who has logged in.

    :ivar kind: its type in the catalog
    :ivar title: what it is called in the help of options
    :ivar endpoint: the option with its URL, for who asks no catalog
    :ivar other: the way to log in there without Keystone
    :ivar helps: texts of options that are of another kind there, by name
    """

    kind: str
    title: str
    endpoint: cfg.Opt
    other: Way
    helps: Mapping[str, str]

    def options(self) -> list[cfg.Opt]:
        """Return the options of a login, and of where the service is."""
        return [
            *self._cloud_options(),
            *self._user_options(),
            *_project_options(self.helps['project_name']),
            *_credential_options(),
            *self._endpoint_options(),
        ]

    def way(self, name: str) -> Way:
        """Return the way to log in of this name."""
        ways = (PASSWORD, APPLICATION_CREDENTIAL, self.other)
        return next(way for way in ways if way.name == name)

    def _cloud_options(self) -> list[cfg.Opt]:
        return [
            cfg.StrOpt(
                'cloud',
                help='Name of a cloud in clouds.yaml that says how to log in '
                'and where; of the options below that say so too only '
                f'region_name, interface, {self.endpoint.name}, ca_file and '
                'insecure are used then, where they are given. By default '
                'the options below say all.',
            ),
            cfg.StrOpt(
                'clouds_file',
                help='Path of clouds.yaml, beside which secure.yaml is read '
                'too. By default the places where OpenStack clients look for '
                'it.',
            ),
            cfg.StrOpt(
                'auth_type',
                choices=[
                    (way.name, way.title)
                    for way in (PASSWORD, APPLICATION_CREDENTIAL, self.other)
                ],
                default=PASSWORD.name,
                help='How to log in. By default with user and password at '
                'Keystone.',
            ),
            cfg.URIOpt(
                'auth_url',
                schemes=['http', 'https'],
                help=self.helps['auth_url'],
            ),
        ]

    def _user_options(self) -> list[cfg.Opt]:
        return [
            cfg.StrOpt('username', help=self.helps['username']),
            cfg.StrOpt(
                'user_id',
                help='Id of the user at Keystone, in place of username and '
                'its domain. By default these are used.',
            ),
            cfg.StrOpt('password', secret=True, help=self.helps['password']),
            cfg.StrOpt(
                'user_domain_name',
                help='Name of the domain of the user. By default the domain '
                'whose id is "default".',
            ),
            cfg.StrOpt(
                'user_domain_id',
                help='Id of the domain of the user. By default "default", '
                'unless user_domain_name is given.',
            ),
        ]

    def _endpoint_options(self) -> list[cfg.Opt]:
        return [
            cfg.StrOpt(
                'region_name',
                help=f'Region whose {self.title} is used. By default the '
                'first that the catalog of Keystone names.',
            ),
            cfg.StrOpt(
                'interface',
                choices=['public', 'internal', 'admin'],
                help=f'Which endpoint of the {self.title} is used. By '
                'default the public one.',
            ),
            self.endpoint,
            cfg.StrOpt(
                'ca_file',
                help='Bundle of the certificates of those who may sign for '
                'the servers. By default those that the system trusts.',
            ),
            cfg.BoolOpt(
                'insecure', default=False, help=self.helps['insecure']
            ),
        ]


def _project_options(help_: str) -> list[cfg.Opt]:
    return [
        cfg.StrOpt('project_name', help=help_),
        cfg.StrOpt(
            'project_id',
            help='Id of that project, in place of its name and domain. By '
            'default these are used.',
        ),
        cfg.StrOpt(
            'project_domain_name',
            help='Name of the domain of the project. By default the domain '
            'whose id is "default".',
        ),
        cfg.StrOpt(
            'project_domain_id',
            help='Id of the domain of the project. By default "default", '
            'unless project_domain_name is given.',
        ),
    ]


def _credential_options() -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            'application_credential_id',
            help='Id of the application credential. By default it is found '
            'by its name and user.',
        ),
        cfg.StrOpt(
            'application_credential_name',
            help='Name of the application credential, in place of its id; '
            'the user must be named then. There is no default.',
        ),
        cfg.StrOpt(
            'application_credential_secret',
            secret=True,
            help='Secret of the application credential. There is no default.',
        ),
    ]
