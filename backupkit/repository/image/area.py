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

"""Where things lie in a backup volume: the data, and the map area.

::

    0                   the volume's bytes
    tree_offset         head of the digest tree, then its nodes
    manifest_offset     the framed manifest, within 1 MiB
    last 4 KiB          the locator

The nodes of each level lie one behind the other, the lowest level first:
so a node's place follows from its level and number.
"""

from __future__ import annotations

import dataclasses

from backupkit.repository import tree

ALIGNMENT = 4096

LOCATOR_BYTES = 4096

HEAD_BYTES = 4096

MANIFEST_LIMIT = 1 << 20


def aligned(offset: int) -> int:
    """Return the next border of a block."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def locator_offset(volume_bytes: int) -> int:
    """Return where the locator of a volume of this size lies."""
    return volume_bytes // ALIGNMENT * ALIGNMENT - LOCATOR_BYTES


def node_offset(geometry: tree.Geometry, level: int, number: int) -> int:
    """Return where a node lies, counted from the first one."""
    return levels(geometry)[level] + number * tree.NODE_BYTES


def levels(geometry: tree.Geometry) -> list[int]:
    """Return where each level begins, and where the last one ends."""
    offsets, refs = [0], geometry.chunks
    while True:
        offsets.append(offsets[-1] + refs * tree.REF.size)
        refs = -(-refs // tree.FAN_OUT)
        if refs <= 1:
            return offsets


@dataclasses.dataclass(frozen=True, slots=True)
class Area:
    """The places in a volume that keeps the backup of another one."""

    geometry: tree.Geometry

    @property
    def tree_offset(self) -> int:
        """Where the digest tree begins."""
        return aligned(self.geometry.size_bytes)

    @property
    def tree_bytes(self) -> int:
        """The size of the digest tree, its head included."""
        return HEAD_BYTES + levels(self.geometry)[-1]

    @property
    def manifest_offset(self) -> int:
        """Where the manifest begins."""
        return aligned(self.tree_offset + self.tree_bytes)

    @property
    def volume_bytes(self) -> int:
        """The least size of the volume that holds all of it."""
        return self.manifest_offset + MANIFEST_LIMIT + LOCATOR_BYTES
