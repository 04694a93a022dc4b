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

"""The options of a section with the driver ``cinder``."""

from typing import Any

from oslo_config import cfg

from backupkit.drivers import contract
from backupkit_plugins.keystone import service

NOAUTH = 'noauth'


def _believed(section: contract.Section) -> Any:
    """Return a login for a Cinder that believes who somebody is.

    Without Keystone it takes a token of this form.
    """
    from keystoneauth1 import token_endpoint

    user = section.username or 'backupkit'
    return token_endpoint.Token(
        section.endpoint, f'{user}:{section.project_id}'
    )


SERVICE = service.Service(
    kind='block-storage',
    title='block storage',
    endpoint=cfg.URIOpt(
        'endpoint',
        schemes=['http', 'https'],
        help='URL of Cinder, as https://volume.example.org/v3/PROJECT_ID. '
        'By default the catalog of Keystone names it; noauth needs it.',
    ),
    other=service.Way(
        NOAUTH,
        'nothing is proved; for a lab whose Cinder has noauth',
        needed=(('endpoint',), ('project_id',)),
        make=_believed,
    ),
    helps={
        'auth_url': 'URL of Keystone, with or without /v3. There is no '
        'default; noauth needs none.',
        'username': 'Name of the user. There is no default.',
        'password': 'Password of the user. There is no default.',
        'project_name': 'Name of the project whose volumes are reached. There '
        'is no default; an application credential has its own project.',
        'insecure': 'Take any certificate for good, so that anybody on the '
        'way can read passwords. By default certificates are checked.',
    },
)

LOGIN = [
    *SERVICE.options(),
    cfg.StrOpt(
        'microversion',
        regex=r'^3\.\d{1,3}$',
        default='3.64',
        help='Version of the API of block storage that is asked for. The '
        'default is 3.64 (Wallaby), and less than 3.54 lacks what the '
        'driver needs.',
    ),
    cfg.FloatOpt(
        'timeout_seconds',
        default=60.0,
        min=0.1,
        max=3600.0,
        help='How long Cinder or Keystone may say nothing before a request '
        'is given up. The default is one minute.',
    ),
]

VOLUMES = [
    cfg.BoolOpt(
        'all_projects',
        default=False,
        help='List the volumes of all projects, which needs an '
        'administrator. By default those of the own project.',
    ),
    cfg.StrOpt(
        'volume_type',
        help='Type of the volumes that are made, where the backup does not '
        'tell one. By default the default type of Cinder.',
    ),
    cfg.StrOpt(
        'availability_zone',
        help='Availability zone of the volumes that are made, where the '
        'backup does not tell one. By default Cinder chooses.',
    ),
    cfg.StrOpt(
        'storage_pool',
        default='',
        help='Name of the part of the storage behind Cinder that holds the '
        'volumes, where it has several that fail apart. By default all '
        'volumes of one Cinder are taken to lie together.',
    ),
    cfg.FloatOpt(
        'snapshot_timeout_seconds',
        default=600.0,
        min=1.0,
        help='How long Cinder may take to make or delete a snapshot. The '
        'default is ten minutes.',
    ),
    cfg.FloatOpt(
        'volume_timeout_seconds',
        default=7200.0,
        min=1.0,
        help='How long Cinder may take to make or delete a volume; where '
        'the storage copies all bytes, to make one from a snapshot takes '
        'long. The default is two hours.',
    ),
]

ATTACHMENTS = [
    cfg.FloatOpt(
        'attach_timeout_seconds',
        default=120.0,
        min=1.0,
        help='How long it may take until a detached device is gone from '
        'this host. The default is two minutes.',
    ),
    cfg.StrOpt(
        'host',
        help='Name of this host, as Cinder and its storage are told. By '
        'default the name of the host.',
    ),
    cfg.HostAddressOpt(
        'my_ip',
        default='127.0.0.1',
        help='Address of this host in the network of the storage, as some '
        'kinds of storage want to know. The default is 127.0.0.1.',
    ),
    cfg.BoolOpt(
        'use_multipath',
        default=False,
        help='Attach iSCSI and Fibre Channel volumes by all their paths; '
        'multipathd must run. By default by one path.',
    ),
    cfg.BoolOpt(
        'enforce_multipath',
        default=False,
        help='Fail where multipathd does not run, instead of attaching by '
        'one path. By default one path is enough.',
    ),
    cfg.IntOpt(
        'device_scan_attempts',
        default=3,
        min=1,
        max=100,
        help='How often os-brick looks for the device of a volume. The '
        'default is 3 times.',
    ),
    cfg.StrOpt(
        'nfs_mount_point_base',
        help='Directory below which the shares of volumes on NFS are '
        'mounted here. By default the one that Cinder tells.',
    ),
    cfg.BoolOpt(
        'allow_larger_devices',
        default=False,
        help='Take a device that is larger than its volume, as those of '
        'storage that rounds sizes up. Its end is never read. By default '
        'such a device is refused: it may be another volume.',
    ),
    cfg.StrOpt(
        'lock_path',
        default='/run/lock/backupkit-cinder',
        help='Directory for what is attached to this host by backupkit, '
        'and for locks. It must be the same for all backupkits here that '
        'share volumes, and must not outlast a boot. The default is '
        '/run/lock/backupkit-cinder.',
    ),
]

OPTIONS = [*LOGIN, *VOLUMES, *ATTACHMENTS]
