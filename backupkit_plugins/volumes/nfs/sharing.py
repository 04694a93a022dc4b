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

"""The share of a backend, while it is in use."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os

from backupkit.drivers import contract
from backupkit import errors
from backupkit import model
from backupkit import mounts
from backupkit_plugins import share
from backupkit_plugins.volumes.nfs import chains
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import modes
from backupkit_plugins.volumes.nfs import place as place_


@contextlib.contextmanager
def opened(name: str, section: contract.Section) -> Iterator[place_.Place]:
    """Mount the share of a section, and open its root.

    :param name: of the section, with its ``backend:``
    :raises errors.SourceError: the share cannot be reached
    :raises errors.ConfigurationError: its options are wrong
    """
    with contextlib.ExitStack() as stack:
        try:
            mount = stack.enter_context(mounts.mounted(name, section))
            with files_.translated(f'share {mount.source}'):
                root = os.open(
                    mount.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
                )
                stack.callback(os.close, root)
                mount.check(root)
                place = _place(root, mount.path, section)
        except errors.TargetError as exc:
            # To the mounts every share is one that keeps backups.
            raise errors.SourceError(str(exc)) from exc
        yield place


def _place(root: int, path: str, section: contract.Section) -> place_.Place:
    owned = section.nas_secure_file_operations
    if owned == 'auto':
        owned = 'true' if _is_marked(root) else 'false'
    policy = modes.Policy(section.nas_secure_file_permissions, owned == 'true')
    default = 'qcow2' if section.nfs_qcow2_volumes else 'raw'
    return place_.Place(
        files_.Files(root, path, policy),
        chains.Formats(section.volume_formats, default),
        section.nfs_sparsed_volumes,
        section.qmp_sockets,
        section.lock_timeout_seconds,
    )


def _is_marked(root: int) -> bool:
    """Tell whether Cinder has marked a share as secure."""
    try:
        os.stat(modes.MARK, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def identity(
    place: place_.Place, section: contract.Section
) -> model.StorageIdentity:
    """Return which storage a share is, through every name of it."""
    found = share.read(place.files.root)
    return model.StorageIdentity(
        f'share-{found or section.backup_nfs_share}', section.storage_pool
    )


def sign(place: place_.Place) -> None:
    """Put an id on the share, where it has none yet."""
    if share.read(place.files.root) is None:
        share.put(place.files.root)
