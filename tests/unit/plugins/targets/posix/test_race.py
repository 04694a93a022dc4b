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


"""Somebody swaps a directory for a link while the store works in it."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import threading

from backupkit import errors
from tests.unit.plugins.targets.posix import base

_ROUNDS = 1500


class LinkRaceTest(base.StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.outside = os.path.join(self.base, 'outside')
        os.makedirs(os.path.join(self.outside, 'b'))
        for name in ('x', 'b/x', 'b/.tmp-1'):
            with open(os.path.join(self.outside, name), 'wb') as file:
                file.write(b'secret')
        self.before = self._everything_outside()
        os.makedirs(self.path('a/b'))

    def _everything_outside(self) -> list[tuple[str, int, int, int]]:
        found = []
        for directory, directories, files in os.walk(self.outside):
            for name in [*directories, *files]:
                path = os.path.join(directory, name)
                status = os.stat(path)
                found.append(
                    (path, status.st_ino, status.st_mtime_ns, status.st_nlink)
                )
        return sorted(found)

    @contextlib.contextmanager
    def _swapping(self) -> Iterator[list[int]]:
        """Swap directory and link in a thread, as fast as it can."""
        done = threading.Event()
        swaps = [0]
        directory, hidden = self.path('a'), self.path('hidden')

        def swap() -> None:
            while not done.is_set():
                # Any step fails where the store has just made it anew.
                with contextlib.suppress(OSError):
                    os.rename(directory, hidden)
                with contextlib.suppress(OSError):
                    os.symlink(self.outside, directory)
                    swaps[0] += 1
                with contextlib.suppress(OSError):
                    os.unlink(directory)
                with contextlib.suppress(OSError):
                    os.rename(hidden, directory)

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            yield swaps
        finally:
            done.set()
            thread.join()

    def test_when_directory_and_link_are_swapped_then_nothing_escapes(
        self,
    ) -> None:
        refused = succeeded = 0
        with self._swapping() as swaps:
            for number in range(_ROUNDS):
                name = ('a/b/x', 'a/x', 'a/b/c/y')[number % 3]
                for call in (
                    lambda name: self.store.put(name, [b'data']),
                    self.store.get,
                    self.store.delete,
                    lambda name: [*self.store.list()],
                    lambda name: self.store.sweep(),
                ):
                    try:
                        result = call(name)
                    except errors.TargetError:
                        refused += 1
                    else:
                        succeeded += 1
                        self.assertNotEqual(b'secret', result)
                if number % 16 == 0:
                    self.store.close()
                    self.store = self.open_store()
        self.assertGreater(swaps[0], 100)
        self.assertGreater(succeeded, 100)
        self.assertGreater(refused, 100)
        self.assertEqual(self.before, self._everything_outside())
