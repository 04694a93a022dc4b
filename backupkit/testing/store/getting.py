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


"""Tests of what get, stat and delete promise."""

from __future__ import annotations

from backupkit import errors
from backupkit.testing.store import case

SIZE = 70_001


class GetTests(case.StoreCase):
    """Tests of ``get``, ``get_into``, ``stat`` and ``delete``."""

    def put_here(self) -> None:
        """Put one object."""
        self.data = self.random.randbytes(SIZE)
        self.store.put('here', [self.data])

    def test_get_when_range_is_inside_then_it_is_exact(self) -> None:
        """Guards: store 4, Store.get."""
        self.put_here()
        ranges = [(0, 1), (0, SIZE), (SIZE - 1, 1), (4095, 2), (1, SIZE - 1)]
        for offset, length in ranges:
            self.assert_bytes(
                self.data[offset : offset + length],
                self.store.get('here', offset, length),
                f'the range at {offset}',
            )

    def test_get_when_length_is_left_out_then_to_the_end(self) -> None:
        """Guards: Store.get."""
        self.put_here()
        for offset in (0, 1, 65_536, SIZE - 1, SIZE):
            self.assert_bytes(
                self.data[offset:],
                self.store.get('here', offset),
                f'what follows {offset}',
            )

    def test_get_when_length_is_zero_then_it_is_empty(self) -> None:
        """Guards: Store.get."""
        self.put_here()
        for offset in (0, 5, SIZE):
            self.assertEqual(b'', self.store.get('here', offset, 0))

    def test_get_when_object_ends_early_then_error(self) -> None:
        """Guards: store 4, Store.get raises Damaged."""
        self.put_here()
        for offset, length in [(0, SIZE + 1), (SIZE, 1), (SIZE - 1, 2)]:
            with self.assertRaises(errors.Damaged):
                self.store.get('here', offset, length)

    def test_get_when_it_begins_behind_the_end_then_error(self) -> None:
        """Guards: store 4, Store.get raises Damaged."""
        self.put_here()
        for length in (None, 1):
            with self.assertRaises(errors.Damaged):
                self.store.get('here', SIZE + 1, length)

    def test_get_into_when_there_are_buffers_then_all_are_filled(self) -> None:
        """Guards: Store.get_into."""
        self.put_here()
        sizes = (1, 0, 30_000, 4096)
        buffers = [bytearray(b'\xff' * size) for size in sizes]
        self.store.get_into('here', 11, buffers)
        self.assert_bytes(
            self.data[11 : 11 + sum(sizes)], b''.join(buffers), 'it'
        )
        self.assertEqual(list(sizes), [len(buffer) for buffer in buffers])

    def test_get_into_when_there_are_many_views_then_filled(self) -> None:
        """Guards: Store.get_into."""
        self.put_here()
        whole = bytearray(SIZE)
        view = memoryview(whole)
        self.store.get_into(
            'here', 0, [view[n : n + 25] for n in range(0, SIZE, 25)]
        )
        self.assert_bytes(self.data, whole, 'what the buffers hold')

    def test_get_into_when_object_ends_early_then_error(self) -> None:
        """Guards: store 4, Store.get_into."""
        self.put_here()
        with self.assertRaises(errors.Damaged):
            self.store.get_into('here', 1, [bytearray(SIZE - 1), bytearray(1)])

    def test_get_when_name_is_not_there_then_not_found(self) -> None:
        """Guards: Store.get raises ObjectNotFound."""
        self.put_here()
        for name in ('there', 'here/not', 'no/such/prefix', 'her'):
            with self.assertRaises(errors.ObjectNotFound):
                self.store.get(name, 0, 1)
            with self.assertRaises(errors.ObjectNotFound):
                self.store.get_into(name, 0, [bytearray(1)])

    def test_stat_when_name_is_not_there_then_not_found(self) -> None:
        """Guards: Store.stat raises ObjectNotFound."""
        self.store.put('beneath/it', [b''])
        for name in ('there', 'beneath', 'no/such/prefix'):
            with self.assertRaises(errors.ObjectNotFound):
                self.store.stat(name)

    def test_get_when_object_was_put_elsewhere_then_current(self) -> None:
        """Guards: store 5."""
        other = self.open_again()
        for number in range(5):
            self.assert_absent(f'new/{number}')
            other.put(f'new/{number}', [b'n' * number])
            self.assert_holds(f'new/{number}', b'n' * number)

    def test_get_when_object_was_deleted_elsewhere_then_absent(self) -> None:
        """Guards: store 5, Store.delete."""
        self.put_here()
        self.assert_holds('here', self.data)
        self.open_again().delete('here')
        self.assert_absent('here')

    def test_get_when_name_was_put_anew_then_current(self) -> None:
        """Guards: store 5."""
        self.put_here()
        other = self.open_again()
        for content in (b'second', b'third, and longer', b''):
            other.delete('here')
            other.put('here', [content])
            self.assert_holds('here', content)

    def test_delete_when_it_returned_then_object_is_gone(self) -> None:
        """Guards: Store.delete, StoreCapabilities.list_complete."""
        self.put_here()
        beside = ('her', 'here-too', 'here.too', 'heretoo', 'there')
        for name in beside:
            self.store.put(name, [name.encode()])
        self.store.delete('here')
        self.assert_absent('here')
        for name in beside:
            self.assert_holds(name, name.encode())

    def test_delete_when_name_is_not_there_then_succeeds(self) -> None:
        """Guards: store 6, Store.delete."""
        self.put_here()
        self.store.delete('here')
        self.store.delete('here')
        self.store.delete('no/such/prefix')

    def test_delete_many_when_some_are_missing_then_all_are_gone(self) -> None:
        """Guards: Store.delete_many."""
        names = [f'many/{number}' for number in range(5)]
        for name in names:
            self.store.put(name, [b'data'])
        self.store.put('kept', [b'data'])
        self.store.delete_many([])
        self.store.delete_many(['no/such', *names, 'nor/this'])
        self.store.delete_many(names)
        for name in names:
            self.assert_absent(name)
        self.assert_holds('kept', b'data')
