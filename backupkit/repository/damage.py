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

"""Notes of damage: what was found broken and must not be reused.

A note is an object ``damaged/<id>``. It names packs that are gone or
unreadable as a whole, and single chunks by digest and pack. Notes are only
added; gc removes those whose packs are gone.
"""

from __future__ import annotations

import dataclasses
import uuid

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.repository import document
from backupkit.repository import frame
from backupkit.repository import layout


@dataclasses.dataclass(frozen=True, slots=True)
class Damage:
    """Packs that are broken as a whole, and broken copies of chunks."""

    packs: frozenset[layout.PackId] = frozenset()
    chunks: frozenset[tuple[bytes, layout.PackId]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.packs or self.chunks)

    def __or__(self, other: Damage) -> Damage:
        return Damage(self.packs | other.packs, self.chunks | other.chunks)

    def __sub__(self, other: Damage) -> Damage:
        return Damage(self.packs - other.packs, self.chunks - other.chunks)

    @property
    def all_packs(self) -> frozenset[layout.PackId]:
        """Every pack with anything broken in it."""
        return self.packs | {pack for _, pack in self.chunks}


def write(store: store_.Store, damage: Damage, digest_name: str) -> None:
    """Put a note of damage, under a name of its own."""
    body = frame.dump_json(
        {
            'format': 1,
            'packs': document.encode_packs(set(damage.packs)),
            'chunks': sorted(
                [key.hex(), *pack] for key, pack in damage.chunks
            ),
        }
    )
    name = f'{layout.DAMAGED}{uuid.uuid4()}'
    store.put(name, [frame.seal(frame.DAMAGED, body, digest_name)])


def read(data: bytes, name: str) -> Damage:
    """Return what one note says.

    :raises errors.FormatError: the note itself is damaged
    """
    what = f'the note {name}'
    body = frame.unseal(frame.DAMAGED, data, what)
    fields = document.Fields(frame.load_json(body, what), what)
    chunks = set()
    for item in fields.sequence('chunks'):
        if not isinstance(item, list) or len(item) != 4:
            raise errors.FormatError(f'{what} has a wrong chunk')
        key, owner, attempt, number = item
        entry = document.Fields(
            {'digest': key, 'packs': {owner: {attempt: str(number)}}}, what
        )
        (pack,) = document.decode_packs(entry.mapping('packs'), what)
        chunks.add((entry.digest('digest'), pack))
    return Damage(
        frozenset(document.decode_packs(fields.mapping('packs'), what)),
        frozenset(chunks),
    )


def read_all(store: store_.Store) -> Damage:
    """Return all that the notes in a store say.

    A note that is damaged itself says nothing: check tells of it.
    """
    damage = Damage()
    for stat in store.list(layout.DAMAGED):
        try:
            damage |= read(store.get(stat.name), stat.name)
        except (errors.FormatError, errors.ObjectNotFound):
            continue
    return damage
