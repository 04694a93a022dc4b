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


"""A store in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import threading

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit import errors


class Medium:
    """What a closed store leaves behind: the objects themselves.

    :param limit_bytes: how many bytes of objects there is room for
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.lock = threading.Lock()
        self.objects: dict[str, bytes] = {}

    def used_bytes(self) -> int:
        """Return how many bytes all objects hold together."""
        return sum(map(len, self.objects.values()))


_MEDIA: dict[str, Medium] = {}


def medium(name: str) -> Medium:
    """Return the medium of this name, made on its first use.

    There is one for each name in a process, so that what one target has put
    is found by the next one that is configured alike.
    """
    return _MEDIA.setdefault(name, Medium())


def discard(name: str) -> None:
    """Forget a medium and all that it holds; absent is fine."""
    _MEDIA.pop(name, None)


class MemoryStore(store.Store):
    """A store whose objects are values of a dictionary.

    As durable as the process, and in everything else as strict as the
    contract allows.
    """

    capabilities = capability.StoreCapabilities(
        list_complete=True, put_if_absent=True
    )

    def __init__(self, kept: Medium) -> None:
        self._medium = kept

    def put(self, name: str, parts: Sequence[store.Buffer]) -> None:
        """Keep a copy of the parts, if there is room for it."""
        store.check_name(name)
        data = b''.join(parts)
        limit = self._medium.limit_bytes
        with self._medium.lock:
            if name in self._medium.objects:
                raise errors.ObjectExists(f'object {name} exists already')
            if limit is not None:
                room = limit - self._medium.used_bytes()
                if len(data) > room:
                    raise errors.TargetFull(
                        f'cannot put {name}: {len(data)} bytes, and room '
                        f'for {room}'
                    )
            self._medium.objects[name] = data

    def get(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Return a slice of the object."""
        data = self._data(name)
        end = len(data) if length is None else offset + length
        if offset > len(data) or end > len(data):
            raise errors.Damaged(
                f'object {name} has {len(data)} bytes: no range '
                f'{offset} to {end}'
            )
        return data[offset:end]

    def stat(self, name: str) -> store.ObjectStat:
        """Tell the size of the object."""
        return store.ObjectStat(name, len(self._data(name)))

    def list(self, prefix: str = '') -> Iterator[store.ObjectStat]:
        """Yield what was there when the listing began."""
        store.check_prefix(prefix)
        with self._medium.lock:
            found = [
                store.ObjectStat(name, len(data))
                for name, data in self._medium.objects.items()
                if name.startswith(prefix)
            ]
        yield from found

    def delete(self, name: str) -> None:
        """Drop the object from the dictionary."""
        store.check_name(name)
        with self._medium.lock:
            self._medium.objects.pop(name, None)

    def _data(self, name: str) -> bytes:
        store.check_name(name)
        try:
            return self._medium.objects[name]
        except KeyError:
            raise errors.ObjectNotFound(f'there is no object {name}') from None
