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

"""The options of the section ``[DEFAULT]``."""

from __future__ import annotations

from oslo_config import cfg

GROUP = None

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'enabled_backends',
        default=[],
        help='The backends to use: NAME stands for the section '
        '[backend:NAME], whose option driver names a volume driver. By '
        'default there are none.',
    ),
    cfg.ListOpt(
        'enabled_targets',
        default=[],
        help='The targets to use: NAME stands for the section '
        '[target:NAME], whose option driver names a target driver. By '
        'default there are none.',
    ),
    cfg.StrOpt(
        'default_target',
        help='The target of commands that are given none. By default it is '
        'the only enabled target; where several are enabled, commands '
        'without a target are refused.',
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/backupkit',
        help='Directory for what belongs to this host: locks of running '
        'backups and caches that may be thrown away. The catalog is here '
        'too, unless [catalog] connection says otherwise.',
    ),
    cfg.IntOpt(
        'copy_threads',
        min=1,
        max=256,
        sample_default='one for each CPU, at most 4',
        help='How many threads read, compress and store the data of one '
        'run. Images, whose copies mostly wait for disks, use 8 where '
        'max_memory_bytes has room for them. By default one for each CPU '
        'that the process may use, at most 4.',
    ),
    cfg.IntOpt(
        'max_memory_bytes',
        default=256 * 1024**2,
        min=32 * 1024**2,
        help='The most bytes of volume data that one run holds in memory, '
        'whatever the size of the volume. The default is 256 MiB.',
    ),
    cfg.FloatOpt(
        'io_timeout_seconds',
        default=300.0,
        min=1.0,
        max=86400.0,
        help='How long one call to a target may take: to open it, or to '
        'put, get, list or delete in it. After that the call is given up '
        'and the target taken for one that hangs. The default is five '
        'minutes.',
    ),
]
