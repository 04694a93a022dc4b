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


"""Volumes that are bytes in a file, which the storage may copy by itself."""

from __future__ import annotations

from collections.abc import Iterable
import os

from backupkit import model
from backupkit.testing import plain


class FiledReader(plain.PlainReader):
    """Reads bytes that a file holds too, and lends the file.

    :param path: of the file
    """

    def __init__(
        self, data: bytes, extents: Iterable[model.Extent], path: str
    ) -> None:
        super().__init__(data, extents)
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def descriptor(self) -> int | None:
        """Return the file, until it is closed."""
        return self._fd if self._fd >= 0 else None

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class FiledVolume(plain.PlainVolume):
    """Bytes that change, and are in a file when they are backed up.

    :param directory: of the file; on the file system of the target the
        storage may share or copy its blocks
    """

    def __init__(
        self, data: bytes, directory: str, volume_id: str = 'plain'
    ) -> None:
        super().__init__(data, volume_id)
        self._path = os.path.join(directory, volume_id)

    def open(self, parent_id: str | None) -> plain.PlainReader:
        """Write the file, zeros as holes, and open it."""
        reader = super().open(parent_id)
        data = bytes(self.data)
        with open(self._path, 'wb') as file:
            file.truncate(len(data))
            for at in range(0, len(data), plain.BLOCK_BYTES):
                block = data[at : at + plain.BLOCK_BYTES]
                if block.strip(b'\0'):
                    file.seek(at)
                    file.write(block)
        self.reader = FiledReader(data, reader.extents(), self._path)
        return self.reader
