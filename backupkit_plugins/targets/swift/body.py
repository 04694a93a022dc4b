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

"""What is sent in a request, without a copy of it."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib

from backupkit.drivers import store

#: So much is handed to the socket at once.
BLOCK_BYTES = 256 * 1024


class Body:
    """The concatenation of some buffers, read once from its beginning.

    :ivar md5: its MD5 in hexadecimal: what Swift calls its ETag
    """

    def __init__(self, parts: Sequence[store.Buffer]) -> None:
        self._views = [memoryview(part).cast('B') for part in parts]
        self._length = sum(map(len, self._views))
        md5 = hashlib.md5(usedforsecurity=False)
        for view in self._views:
            md5.update(view)
        self.md5 = md5.hexdigest()
        self._at = 0
        self._offset = 0

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> memoryview | bytes:
        """Return the next block; its size is ours to choose."""
        while self._at < len(self._views):
            view = self._views[self._at]
            block = view[self._offset : self._offset + BLOCK_BYTES]
            self._offset += len(block)
            if block:
                return block
            self._at += 1
            self._offset = 0
        return b''

    def joined(self) -> bytes:
        """Return all of it; for small ones."""
        return b''.join(self._views)
