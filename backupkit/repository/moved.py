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

"""Where the chunks of a pack are now that is gone.

What is still in use of a pack that is mostly dead can be copied elsewhere,
so that the pack can go. It leaves an object ``<pack>.moved``: a segment as
in :mod:`backupkit.repository.index`, with a magic of its own, whose header
names the pack that is gone. Manifests and indexes go on naming that pack.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
import logging
import threading

from backupkit.drivers import store as store_
from backupkit import errors
from backupkit.repository import fetch
from backupkit.repository import frame
from backupkit.repository import index
from backupkit.repository import layout
from backupkit.repository import limits

LOG = logging.getLogger(__name__)

#: How often a chunk may have moved on; a reader gives up behind that.
HOPS_LIMIT = 16

#: Bytes of segments that are kept in memory.
_KEPT_BYTES = 16 << 20


def read(data: bytes, pack: layout.PackId) -> index.Segment:
    """Return what one object says, after checking all of it.

    :raises errors.IntegrityError: it is damaged, or tells of another pack
    """
    name = layout.MovedId(pack).name
    frame.unseal(frame.MOVED, data, name)
    segment = index.Segment(data)
    if tuple(segment.part) != tuple(pack):
        raise errors.FormatError(f'{name} tells of another pack')
    segment.check_records(limits.ENTRIES_LIMIT, unique=True)
    return segment


def dump(
    pack: layout.PackId,
    records: Iterable[index.Record],
    sizes: dict[layout.PackId, int],
    digest_name: str,
) -> bytes:
    """Return the object that a pack leaves; no digest may come twice.

    :param sizes: bytes of the packs that hold the chunks now
    """
    segment = index.encode(records, sizes, digest_name, layout.PartId(*pack))
    body = frame.unseal(frame.INDEX, segment, 'a segment')
    return frame.seal(frame.MOVED, body, digest_name)


def load(store: store_.Store, pack: layout.PackId) -> index.Segment | None:
    """Return where the chunks of a pack are now; None where it left nothing.

    :raises errors.IntegrityError: what it left is damaged
    """
    try:
        data = fetch.whole(store, layout.MovedId(pack).name)
    except errors.ObjectNotFound:
        return None
    return read(data, pack)


def lost(store: store_.Store, pack: layout.PackId) -> bool:
    """Tell whether a pack is gone, and not all of it is elsewhere."""
    seen: set[layout.PackId] = set()
    todo = {pack}
    while todo:
        one = todo.pop()
        seen.add(one)
        try:
            store.stat(one.name)
        except errors.ObjectNotFound:
            try:
                segment = load(store, one)
            except errors.IntegrityError:
                return True
            if segment is None:
                return True
            todo |= segment.packs.keys() - seen
    return False


class Moves:
    """Follows chunks out of packs that are gone; for several threads."""

    def __init__(self, store: store_.Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._gone: set[layout.PackId] = set()
        self._sizes: dict[layout.PackId, int] = {}
        self._kept: collections.OrderedDict[
            layout.PackId, index.Segment | None
        ] = collections.OrderedDict()
        self.kept_bytes = 0

    def note_gone(self, pack: layout.PackId) -> bool:
        """Note that a pack is gone; tell whether that was news."""
        with self._lock:
            news = pack not in self._gone
            self._gone.add(pack)
        return news

    def follow(self, key: bytes, place: index.Place) -> index.Place | None:
        """Return where a chunk is now; None where nobody knows.

        A place stays as it is while its pack is not known to be gone.
        """
        for _ in range(HOPS_LIMIT + 1):
            if place.pack not in self._gone:
                return place
            segment = self.segment(place.pack)
            found = segment.lookup(key) if segment else []
            if not found:
                return None
            place = found[0]
        return None

    def size_of(self, pack: layout.PackId) -> int | None:
        """Return the size of a pack to which one has moved, as told."""
        return self._sizes.get(pack)

    def segment(self, pack: layout.PackId) -> index.Segment | None:
        """Return where the chunks of a pack are now.

        None where it left nothing, or something damaged.
        """
        with self._lock:
            if pack in self._kept:
                self._kept.move_to_end(pack)
                return self._kept[pack]
        try:
            segment = load(self._store, pack)
        except errors.IntegrityError as exc:
            LOG.warning('%s', exc)
            segment = None
        with self._lock:
            if pack not in self._kept:
                self._kept[pack] = segment
                self.kept_bytes += _size(segment)
                self._sizes.update(segment.packs if segment else {})
            while self.kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self.kept_bytes -= _size(self._kept.popitem(last=False)[1])
        return segment


def _size(segment: index.Segment | None) -> int:
    return segment.size_bytes if segment else 0
