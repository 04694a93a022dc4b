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

"""An index made anew from the packs themselves, where it is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backupkit import errors
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import moved
from backupkit.repository import repository as repository_


def segments(
    repository: repository_.Repository, packs: Iterable[layout.PackId]
) -> Iterator[bytes]:
    """Yield segments of an index made from the tails of packs.

    Packs that cannot be read are left out: their chunks are then nowhere to
    be found, which the caller reports. Of a pack that has moved it says
    what was in it, so that it can be followed.
    """
    digest = repository.settings.digest
    records: list[index.Record] = []
    sizes: dict[layout.PackId, int] = {}
    for pack in packs:
        try:
            found = list(_records(repository, pack))
            sizes[pack] = _size(repository, pack)
        except errors.IntegrityError:
            continue
        records += found
        if len(records) >= index.PART_RECORDS:
            yield index.encode(records, sizes, digest)
            records, sizes = [], {}
    yield index.encode(records, sizes, digest)


def _records(
    repository: repository_.Repository, pack: layout.PackId
) -> Iterator[index.Record]:
    try:
        table = repository.table(pack)
    except errors.ObjectNotFound:
        left = moved.load(repository.store, pack)
        for key, place in left.records() if left else ():
            yield key, place._replace(pack=pack)
        return
    for entry in table:
        yield (
            entry.digest,
            index.Place(
                pack,
                entry.offset,
                entry.stored,
                entry.plain,
                entry.codec,
                entry.cipher,
                entry.key_slot,
            ),
        )


def _size(repository: repository_.Repository, pack: layout.PackId) -> int:
    """Return the size of a pack's object; 0 where it is gone."""
    try:
        return repository.store.stat(pack.name).size_bytes
    except errors.ObjectNotFound:
        return 0
