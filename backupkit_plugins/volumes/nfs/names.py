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

"""The names of the files that make up a volume.

They are those of Cinder's remotefs drivers, so that each side finds what
the other has made: ``volume-<id>`` is the volume as it was created,
``volume-<id>.<suffix>`` an overlay made by a snapshot, ``volume-<id>.info``
tells which file is in use. Beside them lie files of ours alone:
``volume-<id>.backupkit`` with what Cinder keeps in its database, and
``volume-<id>.lock``.
"""

from __future__ import annotations

import re
import uuid

from backupkit import errors

_PREFIX = 'volume-'
_ID = re.compile('[A-Za-z0-9][A-Za-z0-9_-]{0,127}')
_SNAPSHOT = re.compile('[A-Za-z0-9][A-Za-z0-9._-]{0,127}')
#: What Cinder's remotefs drivers accept in the name of a backing file.
_SUFFIX = re.compile('(tmp-snap-)?[0-9A-Fa-f-]{1,128}')
_UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')

#: Names of overlays are drawn from those of snapshots below this one.
_NAMESPACE = uuid.UUID('5d7b8f4c-6c0c-4f0e-9f5a-3f8f0a3a7d11')


def file_of(volume_id: str) -> str:
    """Return the name of the file that a volume begins as.

    :raises errors.VolumeNotFound: no volume has such an id
    """
    if not _ID.fullmatch(volume_id):
        raise errors.VolumeNotFound(
            f'there is no volume {volume_id[:80]!a}: ids have letters, '
            'digits, hyphens and underscores, at most 128 of them'
        )
    return _PREFIX + volume_id


def volume_of(file: str) -> str | None:
    """Return the id of the volume to which a file belongs, if to any."""
    stem, _, suffix = file.partition('.')
    if not stem.startswith(_PREFIX) or suffix not in ('', 'info'):
        return None
    volume_id = stem[len(_PREFIX) :]
    return volume_id if _ID.fullmatch(volume_id) else None


def info(volume_id: str) -> str:
    """Return the name of the file that tells which file is in use."""
    return file_of(volume_id) + '.info'


def record(volume_id: str) -> str:
    """Return the name of the file with what Cinder has in its database."""
    return file_of(volume_id) + '.backupkit'


def lock(volume_id: str) -> str:
    """Return the name of the file that is locked for work on a volume."""
    return file_of(volume_id) + '.lock'


def unfinished(volume_id: str) -> str:
    """Return the name of a volume's file until it is whole."""
    return file_of(volume_id) + '.new'


def overlay(volume_id: str, snapshot: str) -> str:
    """Return the name of the file that a snapshot puts over a volume.

    What Cinder accepts behind the dot are hexadecimal digits and hyphens;
    its own snapshots have the names of their UUIDs, and so have those of
    ours that are named by one.

    :raises errors.UsageError: no snapshot has such a name
    """
    suffix = check_snapshot(snapshot)
    if not _UUID.fullmatch(suffix):
        suffix = str(uuid.uuid5(_NAMESPACE, snapshot))
    return f'{file_of(volume_id)}.{suffix}'


def check_snapshot(name: str) -> str:
    """Return the name of a snapshot where it is one.

    :raises errors.UsageError: it is not
    """
    if name == 'active' or not _SNAPSHOT.fullmatch(name):
        raise errors.UsageError(
            f'{name[:80]!a} is not a snapshot name: those have letters, '
            'digits, dots, hyphens and underscores, at most 128 of them'
        )
    return name


def is_image(volume_id: str, file: object) -> bool:
    """Tell whether a name is that of a volume's file or of an overlay."""
    if not isinstance(file, str):
        return False
    stem, dot, suffix = file.partition('.')
    if stem != file_of(volume_id):
        return False
    if not dot:
        return True
    return bool(_SUFFIX.fullmatch(suffix))
