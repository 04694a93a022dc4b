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


"""Tests of a store that is full."""

from __future__ import annotations

from backupkit.drivers import store
from backupkit import errors
from backupkit.testing.store import case

ROOM_BYTES = 4 * 1024 * 1024


class FullTests(case.StoreCase):
    """Tests of a store that has no room left."""

    def make_small_store(self, room_bytes: int) -> store.Store:
        """Return another store, opened, with room for so many bytes.

        A hook. There may be room for twice as much.
        """
        raise NotImplementedError('a suite needs its hook make_small_store')

    def open_small(self) -> store.Store:
        """Open a small store, to be closed when the test ends."""
        small = self.make_small_store(ROOM_BYTES)
        self.addCleanup(small.close)
        return small

    def test_put_when_store_is_full_then_nothing_is_left(self) -> None:
        """Guards: Store.put raises TargetFull."""
        self.store = small = self.open_small()
        small.put('kept', [b'k' * 4096])
        with self.assertRaises(errors.TargetFull):
            small.put('large', [b'l' * ROOM_BYTES, b'l' * ROOM_BYTES])
        self.assert_absent('large')
        small.put('small', [b's' * 4096])
        self.assert_holds('small', b's' * 4096)
        self.assert_holds('kept', b'k' * 4096)

    def test_delete_when_store_is_full_then_makes_room(self) -> None:
        """Guards: Store.delete, Store.put raises TargetFull."""
        small = self.open_small()
        piece = [b'p' * (ROOM_BYTES // 4)]
        with self.assertRaises(errors.TargetFull):
            for number in range(9):
                small.put(f'piece/{number}', piece)
        small.delete('piece/0')
        small.put('piece/again', piece)
