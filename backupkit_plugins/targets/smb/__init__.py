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

"""Target driver ``smb``: a repository on an SMB share that it has mounted."""

from __future__ import annotations

from collections.abc import Sequence

from backupkit.drivers import contract
from backupkit_plugins.targets import remotefs

_FLUSH = contract.Remark(
    'the server must write to its disks when it is asked to, which cannot be '
    'seen from here: Samba does with "strict sync = yes", its default'
)
_OWNER = contract.Remark(
    'everything on the share belongs to root here, for the mount options do '
    'not say whose it is',
    'add uid=, gid=, file_mode=0660 and dir_mode=0770 to '
    'backup_smb_mount_options, with the numbers of the service user',
)
_SOFT = contract.Remark(
    'the share is mounted soft: a server that is away makes a run fail, '
    'where a hard mount would wait for it, up to io_timeout_seconds',
    'add hard to backup_smb_mount_options',
)


class SmbTarget(remotefs.RemoteFsTarget):
    """Keeps backups on an SMB share, which it mounts when it is used."""

    kind = 'smb'

    def remarks(self) -> Sequence[contract.Remark]:
        options = self.mount_options.split(',')
        found = [_FLUSH]
        if not any(option.startswith('uid=') for option in options):
            found.append(_OWNER)
        if 'hard' not in options:
            found.append(_SOFT)
        return found
