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

"""Moves the chunks of packs elsewhere, by hand."""

from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import pack as pack_
from backupkit.repository import repository as repository_


def left_behind(
    old: layout.PackId,
    records: list[index.Record],
    sizes: dict[layout.PackId, int],
    digest_name: str = 'blake3',
) -> bytes:
    """Return the object that a pack leaves which has moved."""
    segment = index.encode(records, sizes, digest_name, layout.PartId(*old))
    body = frame.unseal(frame.INDEX, segment, 'a segment')
    return frame.seal(frame.MOVED, body, digest_name)


def move(
    repository: repository_.Repository,
    old: layout.PackId,
    owner: str,
    into: int = 1,
) -> list[layout.PackId]:
    """Move the chunks of a pack, in turn, into so many new ones."""
    buffers = [pack_.PackBuffer(1 << 17) for _ in range(into)]
    new = [layout.PackId(owner, 'feed0001', at) for at in range(into)]
    places = {}
    for at, one in enumerate(repository.table(old)):
        if one.digest in places:
            continue
        stored = repository.store.get(old.name, one.offset, one.stored)
        buffer = buffers[at % into]
        buffer.append(one.digest, one.plain, one.codec, stored, one.check)
        places[one.digest] = index.Place(
            new[at % into],
            buffer.records[-1][1],
            one.stored,
            one.plain,
            one.codec,
        )
    sizes = {}
    digest_name = repository.settings.digest
    for pack, buffer in zip(new, buffers):
        parts = buffer.seal(pack, digest_name)
        sizes[pack] = sum(map(len, parts))
        repository.store.put(pack.name, parts)
    left = left_behind(old, list(places.items()), sizes, digest_name)
    repository.store.put(layout.MovedId(old).name, [left])
    repository.store.delete(old.name)
    return new
