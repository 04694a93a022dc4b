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


"""What a volume is besides its bytes, as texts that a backup keeps."""

from __future__ import annotations

from collections.abc import Mapping
import re
from typing import Any

from backupkit import errors
from backupkit_plugins.volumes.cinder import api as api_

#: Metadata of volumes that are ours: the id by which one that was made here
#: is known, and the name of the snapshot that a temporary one is made of.
ALIAS = 'backupkit_volume_id'
TEMPORARY = 'backupkit_snapshot'

#: Tells that all the other properties are of this driver.
_SERVICE = 'service'
_OURS = 'backupkit_'
#: Cinder mixes these into the metadata that administrators see.
_STATES = frozenset({'readonly', 'attached_mode', 'format'})
_METADATA = 'metadata.'
_IMAGE = 'image.'
#: Property by name, and the field of Cinder's that it is.
_FIELDS = {
    'name': 'name',
    'description': 'description',
    'volume_type': 'volume_type',
    'availability_zone': 'availability_zone',
    'bootable': 'bootable',
    'encryption_key_id': 'encryption_key_id',
    'group_id': 'group_id',
    'project_id': 'os-vol-tenant-attr:tenant_id',
    'multiattach': 'multiattach',
    'encrypted': 'encrypted',
}
#: What a new volume is told as it is made.
_GIVEN = ('name', 'description', 'volume_type', 'availability_zone')
_KEY = re.compile(r'[^\0\ud800-\udfff]{1,255}')


def of(found: api_.Fields) -> dict[str, str]:
    """Return the properties of a volume as Cinder describes it."""
    told = {_SERVICE: 'cinder'}
    told |= {
        name: _text(found[field])
        for name, field in _FIELDS.items()
        if found.get(field) not in (None, '')
    }
    for key, value in (found.get('metadata') or {}).items():
        if key not in _STATES and not key.startswith(_OURS):
            told[_METADATA + key] = _text(value)
    for key, value in (found.get('volume_image_metadata') or {}).items():
        told[_IMAGE + key] = _text(value)
    return told


def wish(
    volume_id: str, properties: Mapping[str, str], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a new volume is to be, but for its size.

    :param volume_id: the id that it is to be known by, and its name where
        the properties tell none
    :param defaults: for what the properties do not tell
    """
    given = {**defaults, **properties}
    made: dict[str, Any] = {
        name: given[name] for name in _GIVEN if given.get(name)
    }
    made.setdefault('name', volume_id)
    made['metadata'] = {
        **_below(properties, _METADATA),
        ALIAS: volume_id,
    }
    return made


def finish(
    api: api_.Api, volume_id: str, properties: Mapping[str, str]
) -> None:
    """Give a new volume what it can be given only now."""
    image = _below(properties, _IMAGE)
    if image:
        api.act(volume_id, 'os-set_image_metadata', {'metadata': image})
    if properties.get('bootable') == 'true':
        api.act(volume_id, 'os-set_bootable', {'bootable': True})


def check(properties: Mapping[str, str]) -> None:
    """Refuse properties that no volume can have.

    Those of other drivers' volumes are not ours to judge.

    :raises errors.UsageError: it says which
    """
    if properties.get(_SERVICE) != 'cinder':
        return
    for key, value in properties.items():
        known = key in {_SERVICE, *_FIELDS} or key.startswith(
            (_METADATA, _IMAGE)
        )
        if not known or not _KEY.fullmatch(key) or not isinstance(value, str):
            names = ', '.join(sorted(_FIELDS))
            raise errors.UsageError(
                f'{key!a} is no property of a volume of Cinder; there are '
                f'{names}, {_METADATA}KEY and {_IMAGE}KEY'
            )
    if properties.get('encrypted') == 'true':
        raise errors.NotSupported(
            'the backup is of an encrypted volume, whose key '
            f'{properties.get("encryption_key_id", "(not told)")} a new '
            'volume does not have'
        )


def _below(properties: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        key.removeprefix(prefix): value
        for key, value in properties.items()
        if key.startswith(prefix)
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
