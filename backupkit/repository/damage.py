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
from backupkit.repository import fetch
from backupkit.repository import frame
from backupkit.repository import layout
from backupkit.repository import packset

#: Packs, and chunks, that one note names at the most.
NOTE_LIMIT = 65_536


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
    """Put notes of damage, under names of their own."""
    packs, chunks = sorted(damage.packs), sorted(damage.chunks)
    for at in range(0, max(len(packs), len(chunks)), NOTE_LIMIT):
        part = slice(at, at + NOTE_LIMIT)
        body = frame.dump_json(
            {
                'format': 1,
                'packs': packset.PackSet(packs[part]).encode(),
                'chunks': [[key.hex(), *pack] for key, pack in chunks[part]],
            }
        )
        name = f'{layout.DAMAGED}{uuid.uuid4()}'
        store.put(name, [frame.seal(frame.DAMAGED, body, digest_name)])


def read(data: bytes, name: str) -> Damage:
    """Return what one note says.

    :raises errors.IntegrityError: the note itself is damaged
    """
    what = f'the note {name}'
    body = frame.unseal(frame.DAMAGED, data, what)
    fields = document.Fields(frame.load_json(body, what), what)
    if fields.integer('format', 1) > 1:
        raise errors.FormatTooNew(f'{what} is of a newer format')
    packs = document.decode_packs(fields.mapping('packs'), what, NOTE_LIMIT)
    return Damage(
        frozenset(packs),
        frozenset(_chunk(item, what) for item in fields.sequence('chunks')),
    )


def _chunk(item: object, what: str) -> tuple[bytes, layout.PackId]:
    if not isinstance(item, list) or len(item) != 4:
        raise errors.FormatError(f'{what} has a wrong chunk')
    names = ('digest', 'owner', 'attempt', 'number')
    fields = document.Fields(dict(zip(names, item)), what)
    pack = layout.PackId(
        fields.identifier('owner'),
        fields.attempt('attempt'),
        fields.integer('number', 0, layout.NUMBER_LIMIT),
    )
    return fields.digest('digest'), pack


def read_all(store: store_.Store) -> Damage:
    """Return all that the notes in a store say.

    A note that is damaged itself says nothing: check tells of it.
    """
    damage = Damage()
    for stat in store.list(layout.DAMAGED):
        try:
            damage |= read(fetch.whole(store, stat.name), stat.name)
        except (errors.IntegrityError, errors.ObjectNotFound):
            continue
    return damage
