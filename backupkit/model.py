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

"""The values that pass between drivers, flows and the catalog.

All of them are frozen, and those that pass between tasks turn into plain
dictionaries and back, so that a flow can be persisted and resumed by
another process. Sizes and offsets are integers of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import enum
import re
from typing import Any

from backupkit import errors

_BACKEND = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,62}')
_BACKUP_ID = re.compile(
    r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
)

_UNFIT = re.compile('[\0\ud800-\udfff]')

#: Characters of any text that is kept with a backup.
TEXT_LIMIT = 4096


class ExtentKind(enum.StrEnum):
    """What is known of the bytes of an extent without reading them."""

    DATA = 'data'
    ZERO = 'zero'
    SAME = 'same'


class BackupKind(enum.StrEnum):
    """Whether a backup was compared with an earlier one."""

    FULL = 'full'
    INCREMENTAL = 'incremental'


class BackupStatus(enum.StrEnum):
    """Where a backup stands; only ``available`` can be restored."""

    CREATING = 'creating'
    COMMITTING = 'committing'
    AVAILABLE = 'available'
    DAMAGED = 'damaged'
    ERROR = 'error'
    DELETING = 'deleting'
    DELETED = 'deleted'


#: Of a backup that stands like this nothing is kept, if no run is at it.
UNFINISHED = frozenset(
    {
        BackupStatus.CREATING,
        BackupStatus.COMMITTING,
        BackupStatus.ERROR,
        BackupStatus.DELETED,
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeRef:
    """The name of a volume: ``backend:volume_id``."""

    backend: str
    volume_id: str

    @classmethod
    def parse(cls, text: str) -> VolumeRef:
        """Split ``backend:volume_id`` at its first colon.

        :raises errors.UsageError: the text has no such form.
        """
        backend, colon, volume_id = text.partition(':')
        if not colon or not volume_id or not _BACKEND.fullmatch(backend):
            raise errors.UsageError(
                f'{text!r} does not name a volume: write BACKEND:VOLUME, '
                'for example local:disk.img'
            )
        return cls(backend, volume_id)

    def __str__(self) -> str:
        return f'{self.backend}:{self.volume_id}'


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume as its driver describes it.

    ``in_use`` is None where the driver cannot tell. ``generation`` differs
    between two volumes that bore the same id one after the other.
    ``snapshots`` is False where a driver that makes snapshots cannot make
    one of this volume.
    """

    volume_id: str
    size_bytes: int
    format: str = 'raw'
    in_use: bool | None = None
    generation: str = ''
    allocated_bytes: int | None = None
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    snapshots: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """A point in time of a volume, made by us and named by us."""

    name: str
    volume_id: str
    size_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that :meth:`from_dict` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Snapshot:
        """Rebuild a snapshot from its plain form."""
        return cls(**plain)


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """One file of a chain of images, as the driver's records name it.

    ``name`` is that of a file in the directory of the attachment's path.
    """

    name: str
    format: str


@dataclasses.dataclass(frozen=True, slots=True)
class Attachment:
    """How a volume or snapshot is reachable on this host.

    It belongs to a host and a boot: a resumed flow attaches again.
    ``handle`` is what the driver needs to detach, as plain JSON data.
    ``chain`` names all files that the bytes lie in, the one at ``path``
    first and what backs it after it; empty where that file stands alone.
    """

    path: str
    size_bytes: int
    format: str = 'raw'
    read_only: bool = True
    handle: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    chain: tuple[Link, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that :meth:`from_dict` takes."""
        return {
            'path': self.path,
            'size_bytes': self.size_bytes,
            'format': self.format,
            'read_only': self.read_only,
            'handle': dict(self.handle),
            'chain': [[link.name, link.format] for link in self.chain],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Attachment:
        """Rebuild an attachment from its plain form."""
        values = dict(plain)
        links = plain.get('chain', ())
        values['chain'] = tuple(Link(*link) for link in links)
        return cls(**values)


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """A byte range of a volume and what is known of it."""

    offset: int
    length: int
    kind: ExtentKind

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + self.length


@dataclasses.dataclass(frozen=True, slots=True)
class StorageIdentity:
    """Which storage something lies on: equal means the same failure."""

    system: str
    pool: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a driver kept after a backup, to tell what changed since."""

    backup_id: str
    volume_id: str
    generation: str
    size_bytes: int

    @property
    def name(self) -> str:
        """The name that it was given, and its backup's snapshot before."""
        return derived_name(self.backup_id)


@dataclasses.dataclass(frozen=True, slots=True)
class BackupRequest:
    """What a target is asked to keep.

    ``run_number`` is the number under which the run stands in the
    catalog: it was registered before this request was made. Of a copy it
    is the ``sequence`` of what is copied, and ``copy_of`` names the backup
    that was made of the volume. What is read is ``steady`` where it cannot
    change until the backup is there: a read-only snapshot. With
    ``resumed`` an earlier attempt may have left parts of this very backup.
    """

    backup_id: str
    run_number: int
    backend: str
    volume: Volume
    name: str = ''
    full: bool = False
    consistent: bool = True
    created_at: str = ''
    content: str = 'volume'
    copy_of: str = ''
    steady: bool = False
    resumed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class BackupSummary:
    """A backup as its target tells it: all that the catalog needs.

    ``changed_bytes`` is the plain data that differed from the parent (all
    data for a full one); ``stored_bytes`` what this backup added to the
    target, objects of metadata included.
    """

    backup_id: str
    backend: str
    volume_id: str
    size_bytes: int
    kind: BackupKind = BackupKind.FULL
    name: str = ''
    parent_id: str | None = None
    created_at: str = ''
    volume_generation: str = ''
    data_bytes: int = 0
    read_bytes: int = 0
    changed_bytes: int = 0
    stored_bytes: int = 0
    consistent: bool = True
    content: str = 'volume'
    sequence: int = 0
    service_metadata: str = ''
    repository_id: str = ''
    copy_of: str = ''

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that :meth:`from_dict` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> BackupSummary:
        """Rebuild a summary from its plain form."""
        values = dict(plain)
        values['kind'] = BackupKind(values.get('kind', 'full'))
        return cls(**values)


def derived_name(backup_id: str) -> str:
    """Return the name that a temporary thing of a backup is given."""
    return f'backupkit-{backup_id}'


def check_backup_id(text: str) -> str:
    """Return ``text`` where it is a backup id in canonical form.

    A backup id is a random UUID in lower case with hyphens (RFC 9562).

    :raises errors.UsageError: it is not.
    """
    if not _BACKUP_ID.fullmatch(text):
        raise errors.UsageError(f'{text!r} is not a backup id')
    return text


def check_text(what: str, text: str) -> str:
    """Return ``text`` where it can be kept with a backup.

    :param what: names the text in the error
    :raises errors.UsageError: it is too long, or not all of it is text
    """
    if len(text) > TEXT_LIMIT:
        raise errors.UsageError(
            f'{what} has {len(text)} characters; {TEXT_LIMIT} are allowed'
        )
    if _UNFIT.search(text):
        raise errors.UsageError(f'{what} holds what is not text: {text!a}')
    return text
