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

"""Where the objects of a repository lie: names, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
import re
from typing import NamedTuple

from backupkit import errors

CONFIG = 'config'
RESERVE = 'reserve'
BACKUPS = 'backups/'
DAMAGED = 'damaged/'
ADOPTED = 'adopted/'

#: Packs in one directory.
PACKS_PER_DIRECTORY = 1000

#: Greatest number of a pack or index part.
NUMBER_LIMIT = 99_999_999

_ID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
_BACKUP = re.compile(rf'backups/([0-9a-f]{{2}})/([0-9a-f]{{2}})/({_ID})/(.+)')
_PACK = re.compile(r'packs/([0-9]{4,5})/([0-9a-f]{8})-([0-9]{8})(\.moved)?')
_PART = re.compile(r'index/([0-9a-f]{8})-([0-9]{8})')
_FILE = re.compile(r'(image|tree)-([0-9a-f]{8})')
_JOURNAL = re.compile(r'journal/([0-9a-f]{8})-([0-9]{8})')


class PackId(NamedTuple):
    """A pack: the backup that owns it, the attempt, and its number."""

    owner: str
    attempt: str
    number: int

    @property
    def name(self) -> str:
        """The name of the pack's object."""
        directory = self.number // PACKS_PER_DIRECTORY
        return (
            f'{base(self.owner)}packs/{directory:04d}/'
            f'{self.attempt}-{self.number:08d}'
        )


class MovedId(NamedTuple):
    """What tells where the chunks of a pack are that is gone."""

    pack: PackId

    @property
    def name(self) -> str:
        """The name of the object."""
        return f'{self.pack.name}.moved'


class PartId(NamedTuple):
    """A part of a backup's index: owner, attempt, number."""

    owner: str
    attempt: str
    number: int

    @property
    def name(self) -> str:
        """The name of the part's object."""
        return f'{base(self.owner)}index/{self.attempt}-{self.number:08d}'


class JournalId(NamedTuple):
    """A part of the journal of a copy that goes on."""

    owner: str
    attempt: str
    number: int

    @property
    def name(self) -> str:
        """The name of the part's object."""
        return f'{journal(self.owner)}{self.attempt}-{self.number:08d}'


class FileId(NamedTuple):
    """One of the two files of a backup in the layout ``image``.

    ``kind`` is ``image`` for the bytes, ``tree`` for their digests.
    """

    owner: str
    kind: str
    attempt: str

    @property
    def name(self) -> str:
        """The name of the file's object."""
        return f'{base(self.owner)}{self.kind}-{self.attempt}'


#: What :func:`parse` finds; a text is the id of a backup.
Parsed = PackId | MovedId | PartId | JournalId | FileId | str | None


def base(backup_id: str) -> str:
    """Return the prefix of all that one backup writes."""
    return f'backups/{backup_id[0:2]}/{backup_id[2:4]}/{backup_id}/'


def manifest(backup_id: str) -> str:
    """Return the name of a backup's manifest, or of its tombstone."""
    return base(backup_id) + 'manifest'


def image(backup_id: str, attempt: str) -> str:
    """Return the name of the file that holds a backup's plain bytes."""
    return FileId(backup_id, 'image', attempt).name


def digests(backup_id: str, attempt: str) -> str:
    """Return the name of the digest tree of such a file."""
    return FileId(backup_id, 'tree', attempt).name


def journal(backup_id: str) -> str:
    """Return the prefix of what the copy of a backup keeps of itself."""
    return base(backup_id) + 'journal/'


def owner_of(name: str) -> str | None:
    """Return the backup below whose path an object lies, or None."""
    match = _BACKUP.fullmatch(name)
    if not match or not match[3].startswith(match[1] + match[2]):
        return None
    return match[3]


def parse(name: str) -> Parsed:
    """Tell what an object below a backup's path is.

    :returns: a pack, what a pack left, a part of index or journal, or a
        file; the backup id where it is the manifest; None for any other
        name
    """
    owner = owner_of(name)
    if owner is None:
        return None
    rest = name[len(base(owner)) :]
    if rest == 'manifest':
        return owner
    if match := _FILE.fullmatch(rest):
        return FileId(owner, match[1], match[2])
    if match := _PART.fullmatch(rest):
        return PartId(owner, match[1], int(match[2]))
    if match := _JOURNAL.fullmatch(rest):
        return JournalId(owner, match[1], int(match[2]))
    if match := _PACK.fullmatch(rest):
        pack = PackId(owner, match[2], int(match[3]))
        found = MovedId(pack) if match[4] else pack
        return found if found.name == name else None
    return None


def pack_of(name: str) -> PackId:
    """Return the pack that an object name names.

    :raises errors.FormatError: it names none
    """
    pack = parse(name)
    if not isinstance(pack, PackId):
        raise errors.FormatError(f'{name!r} does not name a pack')
    return pack


def encode_numbers(ranges: Iterable[tuple[int, int]]) -> str:
    """Return ranges of numbers as text: ``(0, 2), (7, 7)`` is ``0-2,7``."""
    return ','.join(
        str(low) if low == high else f'{low}-{high}' for low, high in ranges
    )


def decode_numbers(text: str, limit: int) -> list[tuple[int, int]]:
    """Return the ranges that :func:`encode_numbers` wrote.

    :param limit: how many numbers there may be at the most
    :raises errors.FormatError: the text is no such list, or too long
    """
    ranges: list[tuple[int, int]] = []
    last, count = -1, 0
    for item in text.split(','):
        match = re.fullmatch(r'([0-9]{1,8})(?:-([0-9]{1,8}))?', item)
        if not match:
            raise errors.FormatError(f'{item[:40]!r} is no range of packs')
        low, high = int(match[1]), int(match[2] or match[1])
        count += high - low + 1
        if low <= last or high < low or count > limit:
            raise errors.FormatError(f'{item[:40]!r} is no range of packs')
        ranges.append((low, high))
        last = high
    return ranges
