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

"""Where the clusters of an image lie in its files.

QEMU tells it (``qemu-img map``), and what lies there plain is then read from
the files themselves, which spares two copies of each byte and a change of
processes. QEMU has the image open meanwhile, so that nobody writes to it.
"""

from __future__ import annotations

import bisect
import collections
from collections.abc import Iterator, Sequence
import dataclasses
import json
import logging
import threading

from backupkit.copy import direct
from backupkit.copy.qcow2 import chain
from backupkit.copy import qemu
from backupkit import errors
from backupkit import model

LOG = logging.getLogger(__name__)

#: Bytes that one question is about, and how many answers are kept.
WINDOW_BYTES = 2 << 30
_WINDOWS = 4
_COUNTED = 64

#: So much of a window is read through QEMU before the question, which takes
#: a process, is worth it.
PAYING_BYTES = 32 << 20

#: In ranges shorter than this on average an image is scattered, and QEMU
#: reads it as quickly.
_LEAST_BYTES = 256 << 10


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A range of an image, and where it lies.

    :ivar file: which of the chain's files; None where QEMU has to read it
    """

    length: int
    file: int | None = None
    offset: int = 0


class Places:
    """The places of an image's bytes; may be used by several threads.

    :param files: of the chain, open as long as this is used
    """

    def __init__(
        self, files: Sequence[int], links: Sequence[model.Link]
    ) -> None:
        self._files = files
        self._image = chain.options(files, links)
        self._lock = threading.Lock()
        self._windows: dict[int, tuple[list[int], list[Place]]] = {}
        self._read: collections.Counter[int] = collections.Counter()

    def find(self, offset: int, length: int) -> Iterator[Place]:
        """Yield the places of a range, in order.

        One of no file alone where it is too scattered to be worth it.
        """
        end = offset + length
        if not self._pays(offset, length):
            yield Place(length)
            return
        found = list(self._found(offset, end))
        if length < _LEAST_BYTES * (len(found) - 1):
            found = [Place(length)]
        yield from found

    def _pays(self, offset: int, length: int) -> bool:
        """Tell whether enough was read near a range to ask for its places."""
        number = offset // WINDOW_BYTES
        with self._lock:
            self._read[number] += length
            if len(self._read) > _COUNTED:
                del self._read[min(self._read)]
            return self._read[number] > PAYING_BYTES

    def _found(self, offset: int, end: int) -> Iterator[Place]:
        while offset < end:
            number, begin = divmod(offset, WINDOW_BYTES)
            starts, places = self._window(number)
            at = bisect.bisect_right(starts, begin) - 1
            place = places[at] if at >= 0 else Place(0)
            into = begin - starts[at] if at >= 0 else 0
            length = min(place.length - into, end - offset)
            if length <= 0:
                # It was not told: QEMU has to read it.
                yield Place(end - offset)
                return
            yield Place(length, place.file, place.offset + into)
            offset += length

    def _window(self, number: int) -> tuple[list[int], list[Place]]:
        with self._lock:
            found = self._windows.get(number)
            if found is None:
                found = self._ask(number * WINDOW_BYTES)
                if len(self._windows) >= _WINDOWS:
                    del self._windows[min(self._windows)]
                self._windows[number] = found
            return found

    def _ask(self, begin: int) -> tuple[list[int], list[Place]]:
        try:
            told = qemu.run(
                'qemu-img',
                'map',
                '--output=json',
                f'--start-offset={begin}',
                f'--max-length={WINDOW_BYTES}',
                self._image,
                pass_fds=self._files,
            )
        except errors.SourceError as exc:
            LOG.debug('the server is to read all of it: %s', exc)
            return [0], [Place(WINDOW_BYTES)]
        starts, places = [], []
        for entry in json.loads(told):
            place = Place(entry['length'])
            if entry['data'] and not entry['zero'] and 'offset' in entry:
                depth = entry['depth']
                if depth < len(self._files):
                    place = Place(entry['length'], depth, entry['offset'])
            starts.append(entry['start'] - begin)
            places.append(place)
        return starts, places


class DirectFiles:
    """The files of a chain, read past QEMU."""

    def __init__(self, files: Sequence[int], flags: int) -> None:
        self._files = [direct.DirectFile(fd, flags) for fd in files]

    def read_into(self, place: Place, blocks: Sequence[direct.Block]) -> bool:
        """Fill blocks from a place; False where not all of it is there."""
        if place.file is None:
            return False
        try:
            count = self._files[place.file].read_into(place.offset, blocks)
        except OSError:
            # QEMU will meet it, too, and say what it is.
            return False
        return count == place.length

    def close(self) -> None:
        """Close them; twice is fine."""
        for file in self._files:
            file.close()
