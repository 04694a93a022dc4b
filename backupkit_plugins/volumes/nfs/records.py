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

"""The two documents of a volume: Cinder's, and ours.

``volume-<id>.info`` is Cinder's and has its form: ``active`` names the file
in use, each other key is a snapshot and names the overlay that it put over
the volume; its bytes are those of the file *below* that overlay. There is
none before the first snapshot.

``volume-<id>.backupkit`` keeps the format, which Cinder has in its database,
and what is under way: written before the first step of a change, it lets
the next use of the volume, by whatever process, finish or undo it.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import enum
from typing import Any
import uuid

from backupkit import errors
from backupkit_plugins.volumes.nfs import files as files_
from backupkit_plugins.volumes.nfs import names

_FORMATS = ('raw', 'qcow2')
_VERSION = 1


class Change(enum.StrEnum):
    """What is under way on a volume."""

    #: The volume is made: before it is whole there is none.
    CREATE = 'create'
    #: The volume is removed.
    DELETE = 'delete'
    #: An overlay is put over the volume.
    SNAPSHOT = 'snapshot'
    #: An overlay is merged into the file below it.
    MERGE = 'merge'


@dataclasses.dataclass(frozen=True, slots=True)
class Intent:
    """A change that has begun.

    :ivar file: the overlay that is made, or merged
    :ivar below: the file below it
    :ivar fresh_bytes: the size of a new overlay before anybody writes to
        it; 0 as long as nobody can
    :ivar switched: the QEMU that has the volume open was asked to go on
        with ``below``
    """

    change: Change
    snapshot: str = ''
    file: str = ''
    below: str = ''
    fresh_bytes: int = 0
    switched: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What we keep of a volume.

    :ivar format: of the file as which the volume began
    :ivar generation: differs between two volumes of one id
    """

    format: str
    generation: str = dataclasses.field(
        default_factory=lambda: uuid.uuid4().hex
    )
    intent: Intent | None = None


def read(files: files_.Files, volume_id: str) -> Record | None:
    """Return what we keep of a volume; None where we have not made it.

    :raises errors.SourceError: the file is damaged
    """
    name = names.record(volume_id)
    plain = files.read(name)
    if plain is None:
        return None
    try:
        if plain['version'] != _VERSION or plain['format'] not in _FORMATS:
            raise ValueError
        return Record(
            plain['format'],
            str(plain['generation']),
            _intent(volume_id, plain['intent']),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise errors.SourceError(
            f'{name} is damaged, or of a newer release: mend it by hand, or '
            'put it back from a copy'
        ) from exc


def _intent(volume_id: str, plain: Any) -> Intent | None:
    if plain is None:
        return None
    intent = Intent(**{**plain, 'change': Change(plain['change'])})
    for file in (intent.file, intent.below):
        if file and not names.is_image(volume_id, file):
            raise ValueError
    return intent


def write(files: files_.Files, volume_id: str, record: Record) -> None:
    """Put down what we keep of a volume, durably."""
    like = files.stat(names.file_of(volume_id))
    plain = {'version': _VERSION, **dataclasses.asdict(record)}
    files.write(names.record(volume_id), plain, like)


@dataclasses.dataclass(frozen=True, slots=True)
class Info:
    """What Cinder's document says.

    :ivar snapshots: the overlay of each
    """

    active: str
    snapshots: Mapping[str, str]


def read_info(files: files_.Files, volume_id: str) -> Info | None:
    """Return what Cinder's document says, or None where there is none.

    :raises errors.SourceError: it is damaged, or names foreign files
    """
    name = names.info(volume_id)
    plain = files.read(name)
    if plain is None:
        return None
    if 'active' not in plain or not all(
        names.is_image(volume_id, file) for file in plain.values()
    ):
        raise errors.SourceError(
            f'{name} names files that are not of volume {volume_id}, or '
            'none: mend it by hand, or put it back from a copy'
        )
    active = plain.pop('active')
    return Info(active, plain)


def write_info(files: files_.Files, volume_id: str, info: Info) -> None:
    """Put down which files are in use, as a whole and durably."""
    like = files.stat(info.active)
    plain = {**info.snapshots, 'active': info.active}
    files.write(names.info(volume_id), plain, like)
