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


"""Tests of a store being opened, swept and closed."""

from __future__ import annotations

from backupkit.drivers import capability
from backupkit.drivers import store
from backupkit.testing.store import case


class OpenTests(case.StoreCase):
    """Tests of opening and closing."""

    def test_open_when_it_returned_then_store_tells_its_facts(self) -> None:
        """Guards: Store.capabilities."""
        self.assertIsInstance(self.store, store.Store)
        self.assertIsInstance(
            self.store.capabilities, capability.StoreCapabilities
        )

    def test_close_when_called_twice_then_succeeds(self) -> None:
        """Guards: Store.close."""
        opened = self.make_store()
        opened.close()
        opened.close()

    def test_store_when_left_then_it_is_closed(self) -> None:
        """Guards: Store.close."""
        with self.make_store() as opened:
            opened.put('kept', [b'data'])
        opened.close()
        self.assert_holds('kept', b'data')

    def test_close_when_another_is_open_then_that_one_works(self) -> None:
        """Guards: Store.close."""
        other = self.make_store()
        other.put('kept', [b'data'])
        other.close()
        self.assert_holds('kept', b'data')
        self.store.put('beside', [b'more'])
        self.assert_holds('beside', b'more')

    def test_sweep_when_nothing_was_left_then_nothing_is_lost(self) -> None:
        """Guards: Store.sweep."""
        self.store.put('kept', [b'data'])
        self.store.sweep()
        self.assertEqual(0, self.store.sweep())
        self.assert_holds('kept', b'data')
