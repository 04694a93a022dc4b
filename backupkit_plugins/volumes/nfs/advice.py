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

"""What an operator should know of the configuration of a backend."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.drivers import contract

_LOCKS = contract.Remark(
    'the locks of the share are local to this host: nothing keeps two hosts '
    'from changing one volume at the same time, and whether a volume is in '
    'use elsewhere cannot be seen',
    'take nolock and local_lock out of backup_nfs_mount_options',
)
_OPEN = contract.Remark(
    'the files of volumes are made readable and writable for everybody',
    'set nas_secure_file_permissions to true, and share the files by a group',
)
_ROOT = contract.Remark(
    'nas_secure_file_operations is false, which Cinder takes as leave to '
    'work as root; here all work is still done by the user of the process, '
    'who needs the right to write to the files'
)
#: Locks of flock(2) are not used here.
_LOCAL_LOCKS = frozenset({'nolock', 'local_lock=all', 'local_lock=posix'})


def remarks(section: contract.Section) -> list[contract.Remark]:
    """Return what there is to say of a section."""
    return list(_remarks(section))


def _remarks(section: contract.Section) -> Iterator[contract.Remark]:
    mount = (section.backup_nfs_mount_options or '').split(',')
    if _LOCAL_LOCKS.intersection(mount):
        yield _LOCKS
    if section.nas_secure_file_permissions == 'false':
        yield _OPEN
    if section.nas_secure_file_operations == 'false':
        yield _ROOT
