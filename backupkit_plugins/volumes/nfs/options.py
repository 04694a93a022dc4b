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

"""The options of the driver, beside those of its share.

Those that Cinder has too have its names and its meaning.
"""

from __future__ import annotations

from oslo_config import cfg

_SECURE = ('auto', 'true', 'false')

OPTIONS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'nfs_qcow2_volumes',
        default=False,
        help='Create volumes as qcow2 files. It is also the format of '
        'volumes of which nothing else tells one: made by Cinder, without '
        'snapshots, and not named in volume_formats. By default volumes '
        'are raw files.',
    ),
    cfg.DictOpt(
        'volume_formats',
        default={},
        help='Formats of single volumes that others have made, as ID:raw or '
        'ID:qcow2, separated by commas: for a share on which Cinder has '
        'made volumes of both. Formats are never guessed. By default '
        'nfs_qcow2_volumes holds for all of them.',
    ),
    cfg.BoolOpt(
        'nfs_sparsed_volumes',
        default=True,
        help='Create raw volumes as sparse files, which take space when '
        'they are written. If false, all their space is taken at once. By '
        'default they are sparse.',
    ),
    cfg.StrOpt(
        'nas_secure_file_permissions',
        default='auto',
        choices=_SECURE,
        ignore_case=True,
        help='Mode of the files of volumes: true makes them 0660, false '
        '0666. The default, auto, makes new volumes 0660 and gives each '
        'other file the mode of the volume to which it belongs.',
    ),
    cfg.StrOpt(
        'nas_secure_file_operations',
        default='auto',
        choices=_SECURE,
        ignore_case=True,
        help='Whether the files of a volume must belong to the user that '
        'runs backupkit before anything is changed: true demands it, false '
        'takes what can be written. All work is done by that user; nothing '
        'is ever done as root for it. The default, auto, is true on a share '
        'that Cinder has marked as secure, else false.',
    ),
    cfg.ListOpt(
        'qmp_sockets',
        default=[],
        help='Monitors (QMP) of the QEMU processes on this host that use '
        'volumes of the share: paths of Unix sockets, which may hold * and '
        '?, separated by commas. A snapshot of a volume that such a process '
        'has open is made and deleted through it. By default there are '
        'none, and a volume in use cannot have snapshots made or deleted.',
    ),
    cfg.IntOpt(
        'lock_timeout_seconds',
        default=300,
        min=1,
        help='How long to wait for the work of another process, on this or '
        'another host, on the same volume. By default 300 seconds.',
    ),
    cfg.StrOpt(
        'storage_pool',
        default='',
        help='Name of the part of the storage on which the share lies, '
        'where one storage system has several that fail apart. By default '
        'the whole share is taken for one.',
    ),
]
