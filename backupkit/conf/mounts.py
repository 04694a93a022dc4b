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

"""The options of a section whose driver has a share mounted.

The privileged daemon reads the same options from its own configuration
file, so they are defined once, here.
"""

from __future__ import annotations

import hashlib
import itertools

from oslo_config import cfg

#: The standard section of oslo.privsep for our one context: ``group`` is
#: read by the daemon, ``helper_command`` by its clients.
PRIVSEP_SECTION = 'privsep_mounts'

MAX_TIMEOUT_SECONDS = 600

_PLACE: list[cfg.Opt] = [
    cfg.StrOpt(
        'backup_mount_point_base',
        default='/run/backupkit/mnt',
        help='Directory below which shares are mounted. It and all its '
        'parents must belong to root and be writable by nobody else; what '
        'is missing is made.',
    ),
    cfg.IntOpt(
        'backup_mount_attempts',
        default=3,
        min=1,
        max=100,
        help='How often to try to mount the share where its server does not '
        'answer, all within mount_timeout_seconds.',
    ),
    cfg.IntOpt(
        'mount_timeout_seconds',
        default=60,
        min=1,
        max=MAX_TIMEOUT_SECONDS,
        help='How long to wait for the share to be mounted or unmounted, '
        'all attempts together.',
    ),
]

_NFS: list[cfg.Opt] = [
    cfg.StrOpt(
        'backup_nfs_share',
        deprecated_opts=[cfg.DeprecatedOpt('backup_share')],
        help='The NFS share to mount: host:/path, where host is a name, an '
        'IPv4 address, or an IPv6 address in brackets. There is no default.',
    ),
    cfg.StrOpt(
        'backup_nfs_mount_options',
        deprecated_opts=[cfg.DeprecatedOpt('backup_mount_options')],
        help='Mount options for the share, separated by commas and without '
        'spaces; see nfs(5). Only options that cannot weaken the host are '
        'accepted, and nosuid, nodev and noexec are always set. By default '
        'none are given; without vers the newest version that the server '
        'knows is used.',
    ),
]

_GLUSTERFS: list[cfg.Opt] = [
    cfg.StrOpt(
        'backup_glusterfs_share',
        deprecated_opts=[cfg.DeprecatedOpt('glusterfs_backup_share')],
        help='The GlusterFS volume to mount: host:/volume, where host is a '
        'name or an IPv4 address. There is no default.',
    ),
    cfg.StrOpt(
        'backup_glusterfs_mount_options',
        help='Mount options for the volume, separated by commas and without '
        'spaces; see mount.glusterfs(8). Only options that cannot weaken '
        'the host are accepted, and nosuid, nodev and noexec are always '
        'set. By default none are given.',
    ),
]

_SMB: list[cfg.Opt] = [
    cfg.StrOpt(
        'backup_smb_share',
        help='The SMB share to mount: //host/share, where host is a name or '
        'an IPv4 address. There is no default.',
    ),
    cfg.StrOpt(
        'backup_smb_mount_options',
        help='Mount options for the share, separated by commas and without '
        'spaces; see mount.cifs(8). Only options that cannot weaken the '
        'host are accepted, and nosuid, nodev and noexec are always set. By '
        'default none are given; then all on the share belongs to root.',
    ),
    cfg.StrOpt(
        'backup_smb_credentials',
        help='File with the lines username=, password= and, if needed, '
        'domain=, which are used to mount the share. It and the directories '
        'above it must belong to root and be writable by nobody else, and '
        'nobody else may read the file. There is no default.',
    ),
]

#: What names a share, for each type of share.
KINDS: dict[str, list[cfg.Opt]] = {
    'nfs': _NFS,
    'glusterfs': _GLUSTERFS,
    'smb': _SMB,
}
#: The option that has the share itself, for each type.
SHARES = {kind: f'backup_{kind}_share' for kind in KINDS}


def of_kind(kind: str) -> list[cfg.Opt]:
    """Return the options of a section with a share of a type."""
    return [*KINDS[kind], *_PLACE]


def of_all() -> list[cfg.Opt]:
    """Return the options of sections with shares of all types."""
    return [*itertools.chain.from_iterable(KINDS.values()), *_PLACE]


def terms(mount_options: str, credentials: str = '') -> str:
    """Return what all who use one mount of a share must agree on."""
    if not credentials:
        return mount_options
    return f'{mount_options};credentials={credentials}'


def mount_point(base: str, share: str) -> str:
    """Return where a share is mounted: in the place that os-brick names.

    Source: ``get_mount_point`` of ``os_brick.remotefs.remotefs``.
    """
    digest = hashlib.md5(share.encode(), usedforsecurity=False).hexdigest()
    return f'{base}/{digest}'
