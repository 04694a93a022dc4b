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

"""The plain bytes of an image, wherever it lies; nobody checks them here."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence

from backupkit.copy import interface
from backupkit.copy import raw
from backupkit.drivers import store as store_
from backupkit import errors
from backupkit import model
from backupkit.repository.image import failures
from backupkit.repository.image import holes


class Source(interface.Reader, abc.ABC):
    """The bytes of one image.

    :ivar name: of the image, for messages
    """

    name: str

    @abc.abstractmethod
    def data(self, offset: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges between two offsets that are no holes."""

    def extents(self) -> Iterator[model.Extent]:
        at = 0
        for begin, end in self.data(0, self.size_bytes):
            if begin > at:
                yield model.Extent(at, begin - at, model.ExtentKind.ZERO)
            yield model.Extent(begin, end - begin, model.ExtentKind.DATA)
            at = end
        if at < self.size_bytes:
            yield model.Extent(at, self.size_bytes - at, model.ExtentKind.ZERO)


class FileSource(Source):
    """An image in a file, or on a device.

    :param path: opened at once
    :raises errors.TargetError: it cannot be
    """

    def __init__(self, path: str, size_bytes: int, name: str = '') -> None:
        self.name = name or path
        self.size_bytes = size_bytes
        with failures.at_target(self.name):
            self._file = raw.RawReader(path, size_bytes, ())

    def close(self) -> None:
        self._file.close()

    def descriptor(self) -> int | None:
        return self._file.descriptor()

    def data(self, offset: int, end: int) -> Iterator[tuple[int, int]]:
        descriptor = self._file.descriptor()
        if descriptor is None:
            yield offset, end
            return
        yield from holes.data(descriptor, offset, end)

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        with failures.at_target(self.name):
            self._file.read_into(offset, buffers)


class ObjectSource(Source):
    """An image in an object of a store that lends no files."""

    def __init__(
        self, store: store_.Store, name: str, size_bytes: int
    ) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._store = store

    def data(self, offset: int, end: int) -> Iterator[tuple[int, int]]:
        if offset < end:
            yield offset, end

    def read_into(
        self, offset: int, buffers: Sequence[interface.Block]
    ) -> None:
        try:
            self._store.get_into(self.name, offset, buffers)
        except errors.ObjectNotFound as exc:
            raise errors.Damaged(f'{self.name} is gone') from exc
