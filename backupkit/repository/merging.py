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

"""Many small segments of an index become few larger ones.

A search looks at every segment, and each that is a mapped file costs a
descriptor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import heapq
from typing import TypeVar

from backupkit.repository import index
from backupkit.repository import layout

#: Segments of one magnitude that are merged into one.
_MERGE_AT = 8

_Name = TypeVar('_Name', str, int)


def groups(segments: Mapping[_Name, index.Segment]) -> list[list[_Name]]:
    """Return groups of one magnitude that are large enough to merge."""
    tiers: dict[int, list[_Name]] = {}
    for name, segment in segments.items():
        tier = segment.size_bytes.bit_length() // 3
        tiers.setdefault(tier, []).append(name)
    return [
        tiers[tier] for tier in sorted(tiers) if len(tiers[tier]) >= _MERGE_AT
    ]


def merged(
    segments: Sequence[index.Segment], digest_name: str
) -> Iterator[bytes]:
    """Yield one segment of several, piece by piece."""
    sizes: dict[layout.PackId, int] = {}
    for segment in segments:
        sizes.update(segment.packs)
    order = {pack: at for at, pack in enumerate(sizes)}
    streams = [_renumbered(segment, order) for segment in segments]
    count = sum(segment.count for segment in segments)
    return index.stream(heapq.merge(*streams), count, sizes, digest_name)


def _renumbered(
    segment: index.Segment, order: dict[layout.PackId, int]
) -> Iterator[bytes]:
    numbers = [order[pack].to_bytes(4, 'little') for pack in segment.packs]
    for record in segment.packed():
        number = int.from_bytes(record[32:36], 'little')
        yield record[:32] + numbers[number] + record[36:]
