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

"""The options of a section with the driver ``swift``."""

from oslo_config import cfg

#: How somebody proves who he is, as keystoneauth calls it.
PASSWORD = 'v3password'  # noqa: S105 - a word, no secret
APPLICATION_CREDENTIAL = 'v3applicationcredential'
V1 = 'v1password'

OPTIONS = [
    cfg.StrOpt(
        'container',
        required=True,
        max_length=256,
        regex='^[^/]+$',
        help='Container of the repository, for this target alone. The first '
        'backup makes it where it is missing. There is no default.',
    ),
    cfg.StrOpt(
        'storage_policy',
        help='Storage policy of the container, for when it is made. By '
        'default that of the cluster.',
    ),
    cfg.StrOpt(
        'cloud',
        help='Name of a cloud in clouds.yaml that says how to log in and '
        'where; the options below are not used then, but for region_name, '
        'interface and ca_file, where they are given. By default the '
        'options below say all.',
    ),
    cfg.StrOpt(
        'clouds_file',
        help='Path of clouds.yaml, beside which secure.yaml is read too. By '
        'default the places where OpenStack clients look for it.',
    ),
    cfg.StrOpt(
        'auth_type',
        choices=[
            (PASSWORD, 'user and password, at Keystone'),
            (APPLICATION_CREDENTIAL, 'an application credential of Keystone'),
            (V1, 'user and key, at a cluster without Keystone (tempauth)'),
        ],
        default=PASSWORD,
        help='How to log in. By default with user and password at Keystone.',
    ),
    cfg.URIOpt(
        'auth_url',
        schemes=['http', 'https'],
        help='URL of Keystone, with or without /v3; or of version 1, as '
        'https://swift.example.org/auth/v1.0. There is no default.',
    ),
    cfg.StrOpt(
        'username',
        help='Name of the user; for version 1 with the account before it, '
        'as account:user. There is no default.',
    ),
    cfg.StrOpt(
        'user_id',
        help='Id of the user at Keystone, in place of username and its '
        'domain. By default these are used.',
    ),
    cfg.StrOpt(
        'password',
        secret=True,
        help='Password or key of the user. There is no default.',
    ),
    cfg.StrOpt(
        'user_domain_name',
        help='Name of the domain of the user. By default the domain whose '
        'id is "default".',
    ),
    cfg.StrOpt(
        'user_domain_id',
        help='Id of the domain of the user. By default "default", unless '
        'user_domain_name is given.',
    ),
    cfg.StrOpt(
        'project_name',
        help='Name of the project whose account holds the container. There '
        'is no default; application credentials and version 1 need none.',
    ),
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
        help='Id of the domain of the project. By default "default", unless '
        'project_domain_name is given.',
    ),
    cfg.StrOpt(
        'application_credential_id',
        help='Id of the application credential. By default it is found by '
        'its name and user.',
    ),
    cfg.StrOpt(
        'application_credential_name',
        help='Name of the application credential, in place of its id; the '
        'user must be named then. There is no default.',
    ),
    cfg.StrOpt(
        'application_credential_secret',
        secret=True,
        help='Secret of the application credential. There is no default.',
    ),
    cfg.StrOpt(
        'region_name',
        help='Region whose object store is used. By default the first that '
        'the catalog of Keystone names.',
    ),
    cfg.StrOpt(
        'interface',
        choices=['public', 'internal', 'admin'],
        help='Which endpoint of the object store is used. By default the '
        'public one.',
    ),
    cfg.URIOpt(
        'storage_url',
        schemes=['http', 'https'],
        help='URL of the account, as https://swift.example.org/v1/AUTH_x. '
        'By default the catalog, or the answer to the login, names it.',
    ),
    cfg.StrOpt(
        'ca_file',
        help='Bundle of the certificates of those who may sign for the '
        'servers. By default those that the system trusts.',
    ),
    cfg.BoolOpt(
        'insecure',
        default=False,
        help='Take any certificate for good, so that anybody on the way can '
        'read passwords and backups. By default certificates are checked.',
    ),
    cfg.IntOpt(
        'connections',
        default=4,
        min=1,
        max=64,
        help='How many requests are under way at once, at the most. More '
        'than memory allows (max_memory_bytes) are never used for packs. '
        'The default is 4.',
    ),
    cfg.FloatOpt(
        'timeout_seconds',
        default=60.0,
        min=0.1,
        max=3600.0,
        help='How long a server may say nothing before its connection is '
        'given up, and the request tried again. The default is one minute.',
    ),
    cfg.IntOpt(
        'max_object_size_bytes',
        min=1 << 16,
        help='Size of the largest object that the cluster takes in one '
        'piece. A pack is never split, so pack_size_bytes must be well below '
        'it. By default what the cluster tells, or 5 GiB.',
    ),
    cfg.StrOpt(
        'storage_pool',
        default='',
        help='Name of the part of the cluster that holds the container, '
        'where it has several that fail apart. By default the cluster is '
        'taken for one.',
    ),
]
