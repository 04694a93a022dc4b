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


"""Tests of what a put promises."""

from __future__ import annotations

from collections.abc import Sequence

from backupkit.drivers import store
from backupkit import errors
from backupkit.testing import faults
from backupkit.testing.store import case

#: More parts than one writev(2) takes, which is 1024 on Linux.
MANY_PARTS = 2500


class PutTests(case.StoreCase):
    """Tests of ``put``."""

    def test_put_when_it_returned_then_the_bytes_are_there(self) -> None:
        """Guards: Store.put, Store.get, Store.stat."""
        data = self.random.randbytes(100_000)
        self.store.put('one/two.three/x-y_z', [data])
        self.assert_holds('one/two.three/x-y_z', data)

    def test_put_when_it_has_parts_then_they_are_joined(self) -> None:
        """Guards: Store.put."""
        parts = [self.random.randbytes(n % 97) for n in range(MANY_PARTS)]
        self.store.put('parts', parts)
        self.assert_holds('parts', b''.join(parts))

    def test_put_when_parts_are_large_then_they_are_joined(self) -> None:
        """Guards: Store.put."""
        large = bytearray(self.random.randbytes(4 * 1024 * 1024 + 1))
        parts: Sequence[store.Buffer] = [b'', large, memoryview(large)[7:9]]
        self.store.put('large', parts)
        self.assert_holds('large', bytes(large) + bytes(large[7:9]))

    def test_put_when_there_is_nothing_then_object_is_empty(self) -> None:
        """Guards: Store.put."""
        self.store.put('no-parts', [])
        self.store.put('empty-part', [b''])
        self.assert_holds('no-parts', b'')
        self.assert_holds('empty-part', b'')

    def test_put_when_buffer_is_used_again_then_object_stays(self) -> None:
        """Guards: Store.put."""
        buffer = bytearray(b'before' * 10_000)
        self.store.put('kept', [buffer, memoryview(buffer)])
        buffer[:] = b'behind' * 10_000
        self.assert_holds('kept', b'before' * 20_000)

    def test_put_when_name_is_as_long_as_allowed_then_kept(self) -> None:
        """Guards: Store.put."""
        limit = self.name_limit
        names = ['a' * limit, '0/' * (limit // 2 - 1) + 'z9']
        for name in names:
            self.store.put(store.check_name(name), [name.encode()])
        for name in names:
            self.assert_holds(name, name.encode())

    def test_put_when_names_are_alike_then_objects_differ(self) -> None:
        """Guards: Store.put, store 3."""
        names = ['a-b', 'a_b', 'a.b', 'ab', 'a/b', 'a--b', 'a..b', 'a.b.']
        for name in names:
            self.store.put(name, [name.encode()])
        for name in names:
            self.assert_holds(name, name.encode())

    def test_put_when_opened_again_then_object_is_there(self) -> None:
        """Guards: store 1. A power cut is for a test of the driver's own."""
        data = self.random.randbytes(200_000)
        self.store.put('kept', [data])
        self.store.close()
        self.store = self.open_again()
        self.assert_holds('kept', data)

    def test_put_when_name_is_taken_then_refused_and_kept(self) -> None:
        """Guards: store 3, Store.put raises ObjectExists."""
        self.store.put('taken', [b'first'])
        for parts in ([b'other'], [b'first'], [b'']):
            with self.assertRaises(errors.ObjectExists):
                self.store.put('taken', parts)
            with self.assertRaises(errors.ObjectExists):
                self.open_again().put('taken', parts)
        self.assert_holds('taken', b'first')

    def test_put_when_its_parts_break_off_then_nothing_is_seen(self) -> None:
        """Guards: store 2, Store.put raises TargetError."""
        data = [self.random.randbytes(300_000) for _ in range(6)]
        failing = faults.Faults(errors.TargetError)
        failing.arm(1, faults.Fault.TORN)
        with self.assertRaises(errors.TargetError):
            failing.wrap(self.store).put('torn', data)
        self.assert_absent('torn')

    def test_put_when_one_has_failed_then_the_next_succeeds(self) -> None:
        """Guards: store 2, Store.put raises TargetError."""
        failing = faults.Faults(errors.TargetError)
        failing.arm(1, faults.Fault.TORN)
        with self.assertRaises(errors.TargetError):
            failing.wrap(self.store).put('again', [b'x' * 100_000])
        self.store.put('again', [b'y' * 50_000])
        self.assert_holds('again', b'y' * 50_000)
