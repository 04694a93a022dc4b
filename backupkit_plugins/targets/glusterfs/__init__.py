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

"""Target driver ``glusterfs``: a repository on a volume of GlusterFS."""

from __future__ import annotations

from collections.abc import Sequence

from backupkit.drivers import contract
from backupkit_plugins.targets import remotefs

_VOLUME = contract.Remark(
    'a volume whose bricks are not replicated, or dispersed, is lost with the '
    'first of its disks; that cannot be seen from here'
)
_OTHERS = contract.Remark(
    'the volume can be mounted only while the server in '
    'backup_glusterfs_share is up, though others may serve the volume',
    'name them in backup_glusterfs_mount_options: '
    'backup-volfile-servers=HOST:HOST',
)


class GlusterfsTarget(remotefs.RemoteFsTarget):
    """Keeps backups on a GlusterFS volume, which it mounts when it is used."""

    kind = 'glusterfs'

    def remarks(self) -> Sequence[contract.Remark]:
        if 'backup-volfile-servers=' in self.mount_options:
            return [_VOLUME]
        return [_VOLUME, _OTHERS]
