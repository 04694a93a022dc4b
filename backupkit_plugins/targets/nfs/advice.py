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


"""What an operator should know of the mount options of a share."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.drivers import contract

_EXPORT = contract.Remark(
    'the share must be exported with "sync", which cannot be seen from '
    'here: a server that exports "async" answers before anything is '
    'durable, and loses finished backups in a power cut'
)
_SOFT = contract.Remark(
    'the share is mounted "soft": a server that is away for longer than '
    'timeo and retrans allow makes a run fail, where a hard mount would '
    'wait for it, up to io_timeout_seconds',
    'take soft and softerr out of backup_nfs_mount_options',
)
_LOCKS = contract.Remark(
    'the locks of the share are local to this host: gc on another host '
    'takes the unfinished files of running backups for leftovers',
    'take nolock and local_lock out of backup_nfs_mount_options',
)


def remarks(options: str) -> list[contract.Remark]:
    """Return what there is to say, the facts first."""
    return [_EXPORT, *_warnings(options.split(','))]


def _warnings(options: list[str]) -> Iterator[contract.Remark]:
    if 'soft' in options or 'softerr' in options:
        yield _SOFT
    local = {'local_lock=all', 'local_lock=flock'}
    if 'nolock' in options or local.intersection(options):
        yield _LOCKS
