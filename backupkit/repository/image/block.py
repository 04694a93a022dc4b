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

"""The two blocks of fixed size: the locator, and the head of a tree.

Each is 4 KiB, begins with a magic and ends with a digest of all before it,
so that a block that was half written, or is another one's, is never taken
for one.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
import uuid

from backupkit import errors
from backupkit.repository import digest
from backupkit.repository.image import area
from backupkit.repository import limits
from backupkit.repository import tree

LOCATOR = b'BKLOCAT1'
HEAD = b'BKIMTRE1'

_LOCATOR = struct.Struct('<8sBB6s16sQQ')
_HEAD = struct.Struct(f'<8sB7s16sQI{tree.REF.size}s')

BLOCK_BYTES = 4096
_SUMMED = BLOCK_BYTES - digest.SIZE


class State(enum.IntEnum):
    """What a locator says of its backup."""

    COMMITTED = 1
    ABORTED = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Locator:
    """The commit of a backup in a volume: where its manifest lies."""

    state: State
    backup_id: str
    manifest_offset: int = 0
    manifest_bytes: int = 0

    def pack(self, digest_name: str) -> bytes:
        """Return the block."""
        return _seal(
            _LOCATOR.pack(
                LOCATOR,
                limits.DIGESTS[digest_name],
                self.state,
                bytes(6),
                uuid.UUID(self.backup_id).bytes,
                self.manifest_offset,
                self.manifest_bytes,
            ),
            digest_name,
        )


def load_locator(block: bytes, volume_bytes: int) -> Locator | None:
    """Return what a volume's last block says; None where it is no locator.

    :raises errors.FormatTooNew: it is of a newer version
    :raises errors.FormatError: it is damaged
    """
    what = 'the locator of a backup volume'
    if not _opened(LOCATOR, block, what):
        return None
    fields = _LOCATOR.unpack_from(block)
    _, _, state, padding, key, offset, length = fields
    end = area.locator_offset(volume_bytes)
    if (
        state not in tuple(State)
        or padding != bytes(6)
        or offset % area.ALIGNMENT
        or length > area.MANIFEST_LIMIT
        or offset + length > end
        or block[_LOCATOR.size : _SUMMED].strip(b'\0')
    ):
        raise errors.FormatError(f'{what} has a wrong field')
    return Locator(State(state), str(uuid.UUID(bytes=key)), offset, length)


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """What begins a digest tree: of what it is, and its root."""

    backup_id: str
    geometry: tree.Geometry
    root: bytes

    def pack(self, digest_name: str) -> bytes:
        """Return the block."""
        return _seal(
            _HEAD.pack(
                HEAD,
                limits.DIGESTS[digest_name],
                bytes(7),
                uuid.UUID(self.backup_id).bytes,
                self.geometry.size_bytes,
                self.geometry.chunk_bytes,
                self.root,
            ),
            digest_name,
        )


def load_head(
    block: bytes, backup_id: str, geometry: tree.Geometry
) -> Head | None:
    """Return the head of this backup's digest tree; None: there is none.

    :raises errors.FormatTooNew: it is of a newer version
    :raises errors.FormatError: it is damaged, or is of another image
    """
    what = f'the digest tree of backup {backup_id}'
    if not _opened(HEAD, block, what):
        return None
    _, _, padding, key, size, chunk, root = _HEAD.unpack_from(block)
    if key != uuid.UUID(backup_id).bytes:
        # A clone of the parent's volume has the parent's tree at first.
        return None
    kind, plain, _ = tree.REF.unpack(root)
    if (
        padding != bytes(7)
        or (size, chunk) != (geometry.size_bytes, geometry.chunk_bytes)
        or kind not in (tree.ZERO, tree.STORED)
        or plain > tree.NODE_BYTES
        or block[_HEAD.size : _SUMMED].strip(b'\0')
    ):
        raise errors.FormatError(f'{what} has a wrong field')
    return Head(backup_id, geometry, root)


def _seal(fields: bytes, digest_name: str) -> bytes:
    summed = fields.ljust(_SUMMED, b'\0')
    return summed + digest.by_name(digest_name)(summed)


def _opened(magic: bytes, block: bytes, what: str) -> bool:
    """Tell whether a block is what it should be; raise if it is damaged."""
    if len(block) != BLOCK_BYTES or block[:7] != magic[:7]:
        return False
    if block[7:8] != magic[7:] and block[7:8].isdigit():
        raise errors.FormatTooNew(
            f'{what} is of version {block[7:8].decode()}, which this release '
            'does not read'
        )
    number = block[8]
    if block[:8] != magic or number not in limits.DIGESTS.values():
        raise errors.FormatError(f'{what} does not begin as it should')
    if digest.by_number(number)(block[:_SUMMED]) != block[_SUMMED:]:
        raise errors.FormatError(f'the checksum of {what} does not match')
    return True
