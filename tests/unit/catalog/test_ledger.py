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

"""The ledger and the volumes left incomplete."""

from __future__ import annotations

import socket

from backupkit import catalog
from backupkit import errors
from tests.unit.catalog import base


class LedgerTest(base.CatalogTestCase):
    def test_when_added_then_the_entry_tells_all(self) -> None:
        entry_id = self.catalog.ledger_add(
            'run-1', 'snapshot', 'backupkit-b1', {'volume': 'v', 'n': [1]}
        )

        (entry,) = self.catalog.ledger()
        self.assertEqual(
            catalog.LedgerEntry(
                entry_id,
                'run-1',
                catalog.LedgerKind.SNAPSHOT,
                'backupkit-b1',
                socket.gethostname(),
                entry.boot_id,
                retained=False,
                details={'volume': 'v', 'n': [1]},
                made_at=entry.made_at,
            ),
            entry,
        )

    def test_when_added_again_then_it_is_the_same_entry(self) -> None:
        first = self.catalog.ledger_add('r', 'snapshot', 'n', {'a': 1})

        second = self.catalog.ledger_add(
            'r', 'snapshot', 'n', {'a': 2}, retained=True
        )

        self.assertEqual(first, second)
        (entry,) = self.catalog.ledger()
        self.assertEqual({'a': 2}, entry.details)
        self.assertTrue(entry.retained)

    def test_when_things_differ_then_each_has_an_entry(self) -> None:
        ids = [
            self.catalog.ledger_add('r', 'snapshot', 'n', {}),
            self.catalog.ledger_add('r', 'volume', 'n', {}),
            self.catalog.ledger_add('r', 'volume', 'N', {}),
            self.catalog.ledger_add('s', 'volume', 'n', {}),
        ]

        self.assertEqual(
            ids, [entry.entry_id for entry in self.catalog.ledger()]
        )
        self.assertEqual(
            ids[:3], [entry.entry_id for entry in self.catalog.ledger('r')]
        )
        self.assertEqual([], self.catalog.ledger('t'))

    def test_when_removed_then_absent_is_fine_and_ids_are_not_reused(
        self,
    ) -> None:
        first = self.catalog.ledger_add('r', 'mount', 'n', {})

        self.catalog.ledger_remove(first)
        self.catalog.ledger_remove(first)

        self.assertEqual([], self.catalog.ledger())
        self.assertNotEqual(
            first, self.catalog.ledger_add('r', 'mount', 'n', {})
        )

    def test_when_details_come_later_then_they_replace_the_first(
        self,
    ) -> None:
        entry_id = self.catalog.ledger_add('r', 'attachment', 'n', {'a': 1})

        self.catalog.ledger_update(entry_id, {'path': '/dev/x'})

        (entry,) = self.catalog.ledger()
        self.assertEqual({'path': '/dev/x'}, entry.details)

    def test_when_the_entry_is_gone_then_an_update_says_so(self) -> None:
        with self.assertRaises(errors.NotFound):
            self.catalog.ledger_update(7, {})

    def test_when_a_kind_is_unknown_then_it_is_refused(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, "'file' is none of"):
            self.catalog.ledger_add('r', 'file', 'n', {})

    def test_when_details_are_too_long_then_they_are_refused(self) -> None:
        with self.assertRaisesRegex(errors.UsageError, 'details has 65543'):
            self.catalog.ledger_add('r', 'mount', 'n', {'': 'x' * 65535})


class DestinationTest(base.CatalogTestCase):
    def test_when_a_restore_begins_then_the_volume_is_incomplete(
        self,
    ) -> None:
        self.catalog.destination_begin('local', 'v', 'run-1', 'b1')

        (found,) = self.catalog.destinations()
        self.assertEqual(
            catalog.Destination('local', 'v', 'run-1', 'b1', found.begun_at),
            found,
        )

    def test_when_another_restore_begins_then_it_takes_over(self) -> None:
        self.catalog.destination_begin('local', 'v', 'run-1', 'b1')
        self.catalog.destination_begin('local', 'v', 'run-2', 'b2')

        (found,) = self.catalog.destinations()
        self.assertEqual('run-2', found.run_id)

    def test_when_done_then_only_that_volume_is_complete(self) -> None:
        self.catalog.destination_begin('local', 'v', 'run-1', 'b1')
        self.catalog.destination_begin('local', 'V', 'run-2', 'b1')

        self.catalog.destination_done('local', 'v')
        self.catalog.destination_done('local', 'v')

        (found,) = self.catalog.destinations()
        self.assertEqual('V', found.volume_id)
