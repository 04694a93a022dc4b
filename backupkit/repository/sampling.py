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

"""A sample of what a volume driver says is as it was in the parent backup.

What a driver says of changes is believed, and a chunk that it wrongly calls
unchanged is lost without anybody noticing. So a few of those chunks are
read and compared before anything rests on the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
import random

from backupkit.copy import interface
from backupkit.copy import pipeline
from backupkit import errors
from backupkit import model
from backupkit.repository import digest as digest_
from backupkit.repository import tree

#: Chunks that the parent has stored; a wrong answer shows there.
_STORED = 16
#: Chunks from anywhere.
_ANY = 4
#: Leaves of the map in which stored chunks are looked for.
_LEAVES = 16


def disagreement(
    reader: interface.Reader, map_: tree.MapReader, digest: digest_.Digest
) -> int | None:
    """Return where what is said to be the same is not; None: nowhere.

    :param reader: of the volume, with extents since the parent backup
    :param map_: of the parent, for a volume of the same size
    """
    chunk_bytes = map_.geometry.chunk_bytes
    wanted = _chosen(map_)
    extents = pipeline.aligned(
        reader.extents(), reader.size_bytes, chunk_bytes
    )
    for chunk, ref in _same(extents, wanted, chunk_bytes):
        offset = chunk * chunk_bytes
        length = min(chunk_bytes, reader.size_bytes - offset)
        buffer = bytearray(length)
        reader.read_into(offset, [buffer])
        found = tree.ZERO_REF
        if buffer.count(0) != length:
            found = tree.REF.pack(tree.STORED, length, digest(buffer))
        if found != ref:
            return offset
    return None


def _chosen(map_: tree.MapReader) -> dict[int, bytes]:
    """Choose chunks of the parent; return their references, in order."""
    geometry = map_.geometry
    draw = random.SystemRandom()
    chosen: dict[int, bytes] = {}
    leaves = range(geometry.leaves)
    for leaf in sorted(draw.sample(leaves, min(_LEAVES, len(leaves)))):
        chosen.update(_stored(map_, leaf, draw))
    chosen = dict(draw.sample([*chosen.items()], min(_STORED, len(chosen))))
    for _ in range(min(_ANY, geometry.chunks)):
        chunk = draw.randrange(geometry.chunks)
        leaf, place = divmod(chunk, tree.FAN_OUT)
        refs = _leaf(map_, leaf)
        if refs is not None:
            chosen[chunk] = refs[place]
    return dict(sorted(chosen.items()))


def _stored(
    map_: tree.MapReader, leaf: int, draw: random.Random
) -> dict[int, bytes]:
    """Return some of the chunks of a leaf that are stored."""
    refs = _leaf(map_, leaf) or []
    stored = [
        place
        for place, ref in enumerate(refs)
        if ref[:1] == bytes((tree.STORED,))
    ]
    return {
        leaf * tree.FAN_OUT + place: refs[place]
        for place in draw.sample(stored, min(_STORED, len(stored)))
    }


def _leaf(map_: tree.MapReader, leaf: int) -> list[bytes] | None:
    """Return the references of a leaf; None for one that is damaged."""
    try:
        node = map_.leaf(leaf)
    except errors.IntegrityError:
        return None
    if node is None:
        return [tree.ZERO_REF] * map_.geometry.leaf_chunks(leaf)
    size = tree.REF.size
    return [node[at : at + size] for at in range(0, len(node), size)]


def _same(
    extents: Iterator[model.Extent],
    wanted: dict[int, bytes],
    chunk_bytes: int,
) -> Iterator[tuple[int, bytes]]:
    """Yield those chosen chunks that lie in extents that are the same."""
    chunks = iter(wanted.items())
    chosen = next(chunks, None)
    for extent in extents:
        while chosen and chosen[0] * chunk_bytes < extent.end:
            if extent.kind == model.ExtentKind.SAME:
                yield chosen
            chosen = next(chunks, None)
        if chosen is None:
            return
