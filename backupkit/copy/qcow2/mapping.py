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

"""What a server of QEMU knows of an image's bytes without reading them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backupkit.copy.nbd import client
from backupkit.copy.qcow2 import server as server_
from backupkit import errors
from backupkit import model

#: Bytes that one question is about: a request tells 32 bits of length.
_RANGE_BYTES = 2 << 30


def allocated(server: server_.Server) -> Iterator[model.Extent]:
    """Yield what reads as zeros without being stored, and what is data.

    :raises errors.SourceError: the server cannot tell
    """
    for offset, length, flags in walk(server, (client.ALLOCATION,)):
        yield model.Extent(offset, length, kind_of(flags[client.ALLOCATION]))


def kind_of(flags: int) -> model.ExtentKind:
    """Return the kind that flags of ``base:allocation`` stand for."""
    if flags & client.ZERO:
        return model.ExtentKind.ZERO
    return model.ExtentKind.DATA


def walk(
    server: server_.Server, contexts: Sequence[str]
) -> Iterator[tuple[int, int, Mapping[str, int]]]:
    """Yield offset, length and flags in each context, over the whole image.

    :raises errors.SourceError: the server cannot tell
    """
    connection = server.connect(contexts)
    offset = 0
    while offset < server.size_bytes:
        length = min(_RANGE_BYTES, server.size_bytes - offset)
        try:
            told = connection.status(offset, length)
        except client.Failure as exc:
            raise server.failed('map', exc) from exc
        begin = offset
        for part, flags in _merged(told, server.size_bytes - offset):
            yield offset, part, flags
            offset += part
        if offset == begin:
            raise errors.SourceError(
                f'qemu-nbd does not tell what lies at {offset} of '
                f'{server.path}'
            )
    connection.close()


def _merged(
    told: Mapping[str, Sequence[client.Status]], limit: int
) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield what all contexts tell of, cut where any of them changes."""
    left = {
        context: [(status.length, status.flags) for status in statuses[::-1]]
        for context, statuses in told.items()
    }
    while limit and all(left.values()):
        length = min(limit, *(stack[-1][0] for stack in left.values()))
        flags = {}
        for context, stack in left.items():
            rest, flags[context] = stack.pop()
            if rest > length:
                stack.append((rest - length, flags[context]))
        if length:
            yield length, flags
        limit -= length
