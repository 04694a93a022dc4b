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

from backupkit_plugins.keystone import service

SERVICE = service.Service(
    kind='object-store',
    title='object store',
    endpoint=cfg.URIOpt(
        'storage_url',
        schemes=['http', 'https'],
        help='URL of the account, as https://swift.example.org/v1/AUTH_x. '
        'By default the catalog, or the answer to the login, names it.',
    ),
    other=service.Way(
        'v1password',
        'user and key, at a cluster without Keystone (tempauth)',
        needed=(('auth_url',), ('username',), ('password',)),
        taken=('auth_url', 'username', 'password'),
    ),
    helps={
        'auth_url': 'URL of Keystone, with or without /v3; or of version 1, '
        'as https://swift.example.org/auth/v1.0. There is no default.',
        'username': 'Name of the user; for version 1 with the account before '
        'it, as account:user. There is no default.',
        'password': 'Password or key of the user. There is no default.',
        'project_name': 'Name of the project whose account holds the '
        'container. There is no default; application credentials and version '
        '1 need none.',
        'insecure': 'Take any certificate for good, so that anybody on the '
        'way can read passwords and backups. By default certificates are '
        'checked.',
    },
)

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
    *SERVICE.options(),
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
